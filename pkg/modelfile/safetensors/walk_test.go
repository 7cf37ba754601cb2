package safetensors_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/modelfile/safetensors"
)

func TestWalk(t *testing.T) {
	b := file(`{"b":{"dtype":"F16","shape":[2,3],"data_offsets":[4,16]},"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}`, 16)
	var got []string
	h, err := safetensors.Walk(bytes.NewReader(b), int64(len(b)), func(x *safetensors.Tensor) error {
		got = append(got, fmt.Sprintf("%s %s %v %d-%d, %d from the end", x.Name, x.DType, x.Shape, x.Begin, x.End, int64(len(b))-x.At))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"b F16 [2 3] 4-16, 12 from the end", "a F32 [] 0-4, 16 from the end"}, got); d != "" {
		t.Error(d)
	}
	want := &safetensors.Header{Metadata: map[string]string{"format": "pt"}, TensorCount: 2, HeaderSize: int64(len(b) - 24)}
	if d := cmp.Diff(want, h); d != "" {
		t.Error(d)
	}
	if got := h.DataStart(); got != int64(len(b)-16) {
		t.Errorf("data starts at %d", got)
	}
}

// What breaks the format anywhere is known before the first tensor is told.
func TestWalkTellsNothingOfAnInvalidFile(t *testing.T) {
	b := file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 2)
	_, err := safetensors.Walk(bytes.NewReader(b), int64(len(b)), func(x *safetensors.Tensor) error {
		t.Errorf("told %q", x.Name)
		return nil
	})
	if err == nil {
		t.Error("no error")
	}
}

func TestWalkEndsWithTheErrorOfTheCaller(t *testing.T) {
	b := file(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"b":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`, 0)
	enough := errors.New("enough")
	calls := 0
	h, err := safetensors.Walk(bytes.NewReader(b), int64(len(b)), func(*safetensors.Tensor) error {
		calls++
		return enough
	})
	if !errors.Is(err, enough) || err.Error() != "enough" || calls != 1 || h != nil {
		t.Errorf("%v after %d calls, header %v", err, calls, h)
	}
}

func TestReadKeepsSoMuch(t *testing.T) {
	many := func(n int, name string) []byte {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"%d%s":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`, i, name)
		}
		return file("{"+b.String()[1:]+"}", 0)
	}
	for _, b := range [][]byte{many(safetensors.MaxKept+1, ""), many(2100, strings.Repeat("a", 4000))} {
		if _, err := read(b); !errors.Is(err, safetensors.ErrTooLarge) {
			t.Errorf("Read: %v", err)
		}
		if _, err := safetensors.Walk(bytes.NewReader(b), int64(len(b)), nil); err != nil {
			t.Errorf("Walk: %v", err)
		}
	}
	if h, err := read(many(safetensors.MaxKept, "")); err != nil || len(h.Tensors) != safetensors.MaxKept {
		t.Error(err)
	}
}

// million is a valid file with as many tensors as a header may have, which nobody
// has in memory: entry i is made when it is read, without garbage. The tensors are
// in no order.
type million struct {
	*peak
	entry func(b []byte, i int64) []byte
	text  [entrySize]byte
}

const (
	tensors   = safetensors.MaxTensors
	entrySize = 90
	longTail  = 9_999_000 - 4_200_000 // spaces behind the object
	metaSize  = 4_200_000
)

func (m *million) size() int64 { return m.header() + 8 + tensors }

func (m *million) header() int64 { return 1 + metaSize + tensors*entrySize + 1 + longTail }

func (m *million) ReadAt(b []byte, off int64) (int, error) {
	m.look()
	if off >= m.size() {
		return 0, io.EOF
	}
	for n := 0; n < len(b); {
		n += copy(b[n:], m.from(off+int64(n)))
	}
	return len(b), nil
}

// from returns some bytes at an offset.
func (m *million) from(off int64) []byte {
	const table = 9 + metaSize
	switch {
	case off < 9:
		return append(binary.LittleEndian.AppendUint64(m.text[:0], uint64(m.header())), '{')[off:]
	case off < table:
		return metadataText[off-9:]
	case off < table+tensors*entrySize:
		i := (off - table) / entrySize
		text := m.entry(m.text[:0], i)
		for len(text) < entrySize {
			text = append(text, ' ')
		}
		if i < tensors-1 {
			text[entrySize-1] = ','
		}
		return text[(off-table)%entrySize:]
	case off == table+tensors*entrySize:
		return append(m.text[:0], '}')
	}
	return append(m.text[:0], ' ')
}

// metadataText is as much metadata as a header may have, in as many entries.
var metadataText = func() []byte {
	var b strings.Builder
	b.WriteString(`"__metadata__":{`)
	room := safetensors.MaxMetadataSize
	for i := 0; room > 128+32+32; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"%032d":"%032d"`, i, i)
		room -= 128 + 64
	}
	b.WriteString(`}`)
	return []byte(b.String() + strings.Repeat(" ", metaSize-1-b.Len()) + ",")
}()

func entryOf(b []byte, i int64) []byte { return entryAt(b, i, i*7919%tensors) }

func entryAt(b []byte, name, at int64) []byte {
	b = strconv.AppendInt(append(b, '"'), name, 10)
	b = append(b, `":{"dtype":"U8","shape":[1],"data_offsets":[`...)
	b = append(strconv.AppendInt(b, at, 10), ',')
	return append(strconv.AppendInt(b, at+1, 10), "]}"...)
}

// peak is how much of the heap was in use over what was before, without what only
// the collector holds.
type peak struct {
	before, most uint64
	looks        int
}

func newPeak() *peak { return &peak{before: inUse()} }

func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func (p *peak) look() {
	if p.looks++; p.looks%64 == 0 {
		now := inUse()
		p.most = max(p.most, now-min(now, p.before))
	}
}

// A valid header of 100 MB with a million tensors, out of order, and all the
// metadata that is allowed.
func TestWalkMemory(t *testing.T) {
	const budget = 32 << 20
	if testing.Short() {
		t.Skip("reads 300 MB")
	}
	for _, tt := range []struct {
		name  string
		entry func(b []byte, i int64) []byte
		want  string
	}{
		{"valid", entryOf, ""},
		{"the last has the name of the first", func(b []byte, i int64) []byte {
			return entryAt(b, i%(tensors-1), i*7919%tensors)
		}, `duplicate key "0"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &million{peak: newPeak(), entry: tt.entry}
			told := 0
			h, err := safetensors.Walk(m, m.size(), func(*safetensors.Tensor) error {
				told++
				return nil
			})
			switch {
			case tt.want == "" && (err != nil || told != tensors || h.TensorCount != tensors):
				t.Errorf("%v, %d tensors", err, told)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got error %v, want %s", err, tt.want)
			}
			if m.most > budget {
				t.Errorf("%d bytes of the heap were in use", m.most)
			}
			t.Logf("header of %d bytes: %d bytes of the heap", m.header(), m.most)
		})
	}
	if h := (&million{}).header(); h > safetensors.MaxHeaderSize || h < safetensors.MaxHeaderSize*99/100 {
		t.Errorf("the header has %d bytes", h)
	}
}

// benchmarkHeader is a header of n tensors in the order of their data.
func benchmarkHeader(n int) []byte {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"model.layers.%d.mlp.down_proj.weight":{"dtype":"BF16","shape":[1,2],"data_offsets":[%d,%d]}`, i, 4*i, 4*i+4)
	}
	return file("{"+b.String()[1:]+"}", 4*n)
}

func BenchmarkWalk(b *testing.B) {
	data := benchmarkHeader(10_000)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := safetensors.Walk(bytes.NewReader(data), int64(len(data)), func(*safetensors.Tensor) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func TestReadIsInTheOrderOfData(t *testing.T) {
	b := benchmarkHeader(100)
	h, err := read(b)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(h.Tensors, func(a, b safetensors.Tensor) int { return int(a.Begin) - int(b.Begin) }) {
		t.Error("not sorted")
	}
}
