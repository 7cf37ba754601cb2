package hf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
)

// MaxIndexed bounds the tensors of an index that [ParseIndex] keeps.
const MaxIndexed = 100_000

// ErrTooLarge is a file that is valid, and has more than is kept in memory.
var ErrTooLarge = errors.New("more than is kept in memory")

// Index says which file holds which tensor of sharded weights.
type Index struct {
	// WeightMap names for each tensor a file, by a local path relative to the
	// directory of the index.
	WeightMap map[string]string
	// TotalSize is the size of all tensors, 0 when the index does not say.
	TotalSize uint64
}

// ParseIndex is [ReadIndex] of what is in memory, into a map. An index of more than
// [MaxIndexed] tensors is ErrTooLarge.
func ParseIndex(data []byte) (*Index, error) {
	x := &Index{WeightMap: map[string]string{}}
	files := map[string]string{} // one copy of each name
	total, err := ReadIndex(bytes.NewReader(data), func(tensor, file string) error {
		if len(x.WeightMap) == MaxIndexed {
			return ErrTooLarge
		}
		if _, ok := files[file]; !ok {
			files[file] = file
		}
		x.WeightMap[tensor] = files[file]
		return nil
	})
	if err != nil {
		return nil, err
	}
	x.TotalSize = total
	return x, nil
}

// ReadIndex reads model.safetensors.index.json or another index of its shape, of at
// most [MaxJSONSize], and calls f for each tensor with the local path of the file
// that holds it, relative to the directory of the index. What f was told counts
// when there is no error. It returns the size of all tensors that the index
// announces, 0 when it does not say.
func ReadIndex(r io.Reader, f func(tensor, file string) error) (totalSize uint64, err error) {
	there := false
	err = readDocument(r, MaxJSONSize, func(d *document) fields {
		return fields{
			"weight_map": func() error {
				there = true
				return d.weightMap(f)
			},
			"metadata": d.object(fields{"total_size": func() error {
				totalSize, err = d.totalSize()
				return err
			}}),
		}
	})
	if err == nil && !there {
		err = absent("weight_map")
	}
	if err != nil {
		return 0, err
	}
	return totalSize, nil
}

func (d *document) weightMap(f func(tensor, file string) error) error {
	if err := d.begins('{', "an object"); err != nil {
		return err
	}
	return d.Object(func(key []byte, _ int64) error {
		tensor := string(key)
		if b, err := d.Next(); err != nil {
			return err
		} else if b != '"' {
			return fmt.Errorf("tensor %.100q: its file is not named by a string", tensor)
		}
		text, err := d.Text(MaxTextSize)
		if err != nil {
			return err
		}
		file := string(text)
		if !isLocal(file) {
			return fmt.Errorf("tensor %.100q: %.100q is no local path", tensor, file)
		}
		return f(tensor, file)
	})
}

// isLocal reports whether a name stays in its directory on every system: "c:x" is on
// another drive of Windows.
func isLocal(file string) bool {
	return fs.ValidPath(file) && file != "." && !strings.ContainsAny(file, "\\:") && CleanText(file, MaxTextSize) == file
}

// totalSize reads an integer. Versions of transformers wrote it with a fraction
// of zero when weights had less than a byte per element.
func (d *document) totalSize() (uint64, error) {
	const want = "an unsigned integer"
	if b, err := d.Next(); err != nil {
		return 0, err
	} else if b < '0' || b > '9' {
		return 0, d.wrong(want)
	}
	text, err := d.Number()
	if err != nil {
		return 0, err
	}
	whole, fraction, _ := strings.Cut(string(text), ".")
	n, err := strconv.ParseUint(whole, 10, 63)
	if err != nil || strings.Trim(fraction, "0") != "" {
		return 0, d.wrong(want)
	}
	return n, nil
}
