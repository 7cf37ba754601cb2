package safetensors

import (
	"bufio"
	"errors"
	"io"
	"math"
	"unicode/utf16"
	"unicode/utf8"
)

// decoder reads the one shape of JSON that a header may have. It follows the
// schema instead of building a tree, so nothing nests deeper than the three
// levels the schema has, whatever the bytes say.
type decoder struct {
	r   *bufio.Reader
	pos int64 // in the file, of the next byte
	end int64 // in the file, of the end of the header

	text []byte // the string being decoded
	dims int    // dimensions of all tensors so far

	metadata     map[string]string
	metadataSize int
	tensors      []Tensor
}

func newDecoder(r io.ReaderAt, n int64) *decoder {
	return &decoder{
		r:   bufio.NewReaderSize(io.NewSectionReader(r, lengthSize, n), 64<<10),
		pos: lengthSize,
		end: lengthSize + n,
	}
}

// header reads the whole header: an object at its first byte, then spaces.
func (d *decoder) header() error {
	if b, err := d.next(); err != nil {
		return err
	} else if b != '{' {
		return invalid(d.pos-1, "header begins with %q, not with '{'", b)
	}
	if err := d.members(d.entry); err != nil {
		return err
	}
	for d.pos < d.end {
		if b, err := d.next(); err != nil {
			return err
		} else if b != ' ' {
			return invalid(d.pos-1, "%q after the header object, where only spaces may be", b)
		}
	}
	return nil
}

func (d *decoder) entry(key string, at int64) error {
	if key == metadataKey {
		return d.readMetadata(at)
	}
	if len(d.tensors) == MaxTensors {
		return invalid(at, "more than %d tensors", MaxTensors)
	}
	t := Tensor{Name: key}
	if err := d.tensor(&t, at); err != nil {
		return err
	}
	d.tensors = append(d.tensors, t)
	return nil
}

func (d *decoder) readMetadata(at int64) error {
	if d.metadata != nil {
		return invalid(at, "duplicate key %q", metadataKey)
	}
	d.metadata = map[string]string{}
	if err := d.expect('{', metadataKey+" is not an object"); err != nil {
		return err
	}
	return d.members(func(key string, at int64) error {
		if _, dup := d.metadata[key]; dup {
			return invalid(at, "duplicate key %q in %s", key, metadataKey)
		}
		if err := d.expect('"', "a value of "+metadataKey+" is not a string"); err != nil {
			return err
		}
		d.metadataSize += len(key) + metadataEntryCost
		value, err := d.str(MaxMetadataSize - d.metadataSize)
		if err != nil {
			return err
		}
		d.metadataSize += len(value)
		d.metadata[key] = value
		return nil
	})
}

func (d *decoder) tensor(t *Tensor, at int64) error {
	if err := d.expect('{', "a tensor is not an object"); err != nil {
		return err
	}
	var hasShape, hasOffsets bool
	err := d.members(func(key string, at int64) error {
		switch {
		case key == "dtype" && t.DType == "":
			return d.dtype(t)
		case key == "shape" && !hasShape:
			hasShape = true
			return d.shape(t)
		case key == "data_offsets" && !hasOffsets:
			hasOffsets = true
			return d.offsets(t)
		case key == "dtype", key == "shape", key == "data_offsets":
			return invalid(at, "tensor %q: duplicate key %q", t.Name, key)
		}
		return invalid(at, "tensor %q: unknown key %q", t.Name, key)
	})
	switch {
	case err != nil:
		return err
	case t.DType == "":
		return invalid(at, "tensor %q: no dtype", t.Name)
	case !hasShape:
		return invalid(at, "tensor %q: no shape", t.Name)
	case !hasOffsets:
		return invalid(at, "tensor %q: no data_offsets", t.Name)
	}
	return t.check(at)
}

func (d *decoder) dtype(t *Tensor) error {
	at := d.pos
	if err := d.expect('"', "dtype is not a string"); err != nil {
		return err
	}
	if err := d.decodeString(MaxNameSize); err != nil {
		return err
	}
	for name := range dtypes {
		if string(d.text) == string(name) {
			t.DType = name // the constant, not another copy of the text
			return nil
		}
	}
	return invalid(at, "tensor %q: unknown dtype %q", t.Name, d.text)
}

func (d *decoder) shape(t *Tensor) error {
	at := d.pos
	var dims [MaxRank]uint64
	n, err := d.uints(dims[:], "shape")
	if err != nil {
		return err
	}
	if d.dims += n; d.dims > maxDims {
		return invalid(at, "more than %d dimensions in all shapes", maxDims)
	}
	t.Shape = append(make([]uint64, 0, n), dims[:n]...)
	return nil
}

func (d *decoder) offsets(t *Tensor) error {
	at := d.pos
	var span [2]uint64
	n, err := d.uints(span[:], "data_offsets")
	if err != nil {
		return err
	}
	if n != 2 {
		return invalid(at, "data_offsets holds %d numbers, not 2", n)
	}
	t.Begin, t.End = span[0], span[1]
	return nil
}

// members reads an object after its '{' and calls f before each value with the
// key and the key's place.
func (d *decoder) members(f func(key string, at int64) error) error {
	b, err := d.token()
	if err != nil || b == '}' {
		return err
	}
	for {
		at := d.pos - 1
		if b != '"' {
			return invalid(at, "%q where a key should begin", b)
		}
		key, err := d.str(MaxNameSize)
		if err != nil {
			return err
		}
		if err := d.expect(':', "no colon after a key"); err != nil {
			return err
		}
		if err := f(key, at); err != nil {
			return err
		}
		if b, err = d.token(); err != nil || b == '}' {
			return err
		}
		if b != ',' {
			return invalid(d.pos-1, "%q after a value, where ',' or '}' should be", b)
		}
		if b, err = d.token(); err != nil {
			return err
		}
	}
}

// uints reads an array of at most len(dst) unsigned integers.
func (d *decoder) uints(dst []uint64, what string) (int, error) {
	if err := d.expect('[', what+" is not an array"); err != nil {
		return 0, err
	}
	b, err := d.token()
	if err != nil || b == ']' {
		return 0, err
	}
	for n := 0; ; {
		if n == len(dst) {
			return 0, invalid(d.pos-1, "%s holds more than %d numbers", what, len(dst))
		}
		if dst[n], err = d.uint(b, what); err != nil {
			return 0, err
		}
		n++
		if b, err = d.token(); err != nil || b == ']' {
			return n, err
		}
		if b != ',' {
			return 0, invalid(d.pos-1, "%s: %q where ',' or ']' should be; only unsigned integers are allowed", what, b)
		}
		if b, err = d.token(); err != nil {
			return 0, err
		}
	}
}

// uint reads an integer that begins with b. A sign, a fraction and an exponent
// are legal JSON but not legal here; the caller stumbles over the last two.
func (d *decoder) uint(b byte, what string) (uint64, error) {
	at := d.pos - 1
	if b < '0' || b > '9' {
		return 0, invalid(at, "%s: %q does not begin an unsigned integer", what, b)
	}
	v := uint64(b - '0')
	for n := 1; ; n++ {
		b, err := d.peek()
		if err != nil {
			return 0, err
		}
		if b < '0' || b > '9' {
			return v, nil
		}
		if v == 0 {
			return 0, invalid(at, "%s: number with a leading zero", what)
		}
		digit := uint64(b - '0')
		if v > (math.MaxInt64-digit)/10 {
			return 0, invalid(at, "%s: number above 2^63-1", what)
		}
		v = v*10 + digit
		if _, err := d.next(); err != nil {
			return 0, err
		}
	}
}

// str reads a string after its opening quote.
func (d *decoder) str(limit int) (string, error) {
	if err := d.decodeString(limit); err != nil {
		return "", err
	}
	return string(d.text), nil
}

func (d *decoder) decodeString(limit int) error {
	at := d.pos - 1
	d.text = d.text[:0]
	for {
		b, err := d.next()
		switch {
		case err != nil:
			return err
		case b == '"':
			if !utf8.Valid(d.text) {
				return invalid(at, "string is not valid UTF-8")
			}
			return nil
		case b < ' ':
			return invalid(d.pos-1, "control character %#02x in a string", b)
		case b == '\\':
			if err := d.escape(); err != nil {
				return err
			}
		default:
			d.text = append(d.text, b)
		}
		if len(d.text) > limit {
			return invalid(at, "string longer than %d bytes", max(limit, 0))
		}
	}
}

var escapes = map[byte]byte{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

func (d *decoder) escape() error {
	at := d.pos - 1
	b, err := d.next()
	if err != nil {
		return err
	}
	if c, ok := escapes[b]; ok {
		d.text = append(d.text, c)
		return nil
	}
	if b != 'u' {
		return invalid(at, "unknown escape \\%c", b)
	}
	r, err := d.hex4(at)
	if err != nil {
		return err
	}
	if utf16.IsSurrogate(r) {
		if r, err = d.lowSurrogate(r, at); err != nil {
			return err
		}
	}
	d.text = utf8.AppendRune(d.text, r)
	return nil
}

// lowSurrogate completes the pair that high began. A lone surrogate has no
// UTF-8 form; readers that replace it turn different keys into equal ones.
func (d *decoder) lowSurrogate(high rune, at int64) (rune, error) {
	for _, want := range []byte(`\u`) {
		if b, err := d.next(); err != nil {
			return 0, err
		} else if b != want {
			return 0, invalid(at, "lone surrogate")
		}
	}
	low, err := d.hex4(at)
	if err != nil {
		return 0, err
	}
	r := utf16.DecodeRune(high, low)
	if r == utf8.RuneError {
		return 0, invalid(at, "lone surrogate")
	}
	return r, nil
}

func (d *decoder) hex4(at int64) (rune, error) {
	var r rune
	for range 4 {
		b, err := d.next()
		if err != nil {
			return 0, err
		}
		switch {
		case '0' <= b && b <= '9':
			b -= '0'
		case 'a' <= b && b <= 'f':
			b -= 'a' - 10
		case 'A' <= b && b <= 'F':
			b -= 'A' - 10
		default:
			return 0, invalid(at, "\\u without four hex digits")
		}
		r = r<<4 | rune(b)
	}
	return r, nil
}

// expect reads the next byte that is not white space and requires it to be
// want.
func (d *decoder) expect(want byte, breach string) error {
	b, err := d.token()
	if err == nil && b != want {
		return invalid(d.pos-1, "%s", breach)
	}
	return err
}

// token reads the next byte that is not JSON white space.
func (d *decoder) token() (byte, error) {
	for {
		b, err := d.next()
		if err != nil || b != ' ' && b != '\t' && b != '\n' && b != '\r' {
			return b, err
		}
	}
}

func (d *decoder) next() (byte, error) {
	b, err := d.r.ReadByte()
	if err != nil {
		return 0, d.ended(err)
	}
	d.pos++
	return b, nil
}

func (d *decoder) peek() (byte, error) {
	b, err := d.r.Peek(1)
	if err != nil {
		return 0, d.ended(err)
	}
	return b[0], nil
}

// ended tells a header that stops in the middle of its JSON, a breach, from a
// reader that stops before the header does.
func (d *decoder) ended(err error) error {
	if errors.Is(err, io.EOF) && d.pos == d.end {
		return invalid(d.pos, "header ends inside its object")
	}
	return readError(d.pos, err)
}
