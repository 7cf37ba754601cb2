package safetensors

import (
	"cmp"
	"hash/maphash"
	"io"
	"math"
	"math/bits"
	"sort"
)

// checker finds what is wrong with the tensors together: two of one name, and data
// that they do not cover exactly. It takes 24 bytes for each.
type checker struct {
	r     io.ReaderAt
	n     int64
	seed  maphash.Seed
	names list[uint64] // hashes
	spans list[span]
}

type span struct{ begin, end uint64 }

func newChecker(r io.ReaderAt, n int64) *checker {
	return &checker{
		r: r, n: n, seed: maphash.MakeSeed(),
		names: list[uint64]{less: func(a, b uint64) bool { return a < b }},
		spans: list[span]{less: func(a, b span) bool {
			return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end)) < 0
		}},
	}
}

func (c *checker) add(d *decoder, _ int64) error {
	c.names.add(maphash.Bytes(c.seed, d.name))
	c.spans.add(span{d.tensor.Begin, d.tensor.End})
	return nil
}

// unique finds two tensors of one name. The format forbids them, its reference
// parser keeps the last one. Names that share a hash are compared as they are.
func (c *checker) unique() error {
	sort.Sort(&c.names)
	for i := 1; i < c.names.n; i++ {
		h := c.names.at(i)
		if h != c.names.at(i-1) {
			continue
		}
		seen := map[string]bool{}
		err := c.again(func(d *decoder, at int64) error {
			if maphash.Bytes(c.seed, d.name) != h {
				return nil
			}
			if seen[string(d.name)] {
				return invalid(at, "duplicate key %q", d.name)
			}
			seen[string(d.name)] = true
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// covers puts the tensors in the order of their data and requires that they cover
// it exactly: "the byte buffer needs to be entirely indexed, and cannot contain
// holes".
func (c *checker) covers(data uint64) error {
	sort.Sort(&c.spans)
	var next uint64
	for i := range c.spans.n {
		switch s := c.spans.at(i); {
		case s.begin > next:
			return c.blame(s, "begins at %d, a hole of %d bytes after the tensor before it", s.begin, s.begin-next)
		case s.begin < next:
			return c.blame(s, "begins at %d, inside the tensor before it, which ends at %d", s.begin, next)
		default:
			next = s.end
		}
	}
	if next != data {
		return invalid(-1, "tensors end at %d, but the file holds %d bytes of data", next, data)
	}
	return nil
}

// blame finds the tensor with a span, and returns the error about it.
func (c *checker) blame(s span, format string, args ...any) error {
	err := c.again(func(d *decoder, at int64) error {
		if (span{d.tensor.Begin, d.tensor.End}) != s {
			return nil
		}
		return invalid(at, "tensor %q: "+format, append([]any{d.name}, args...)...)
	})
	if err == nil {
		return invalid(-1, "a tensor "+format, args...) // the file changed meanwhile
	}
	return err
}

// again reads the header once more.
func (c *checker) again(tell func(d *decoder, at int64) error) error {
	return newDecoder(c.r, c.n, tell).header()
}

// list grows without being copied: a slice of so many tensors would be there twice
// each time it grows.
type list[T any] struct {
	chunks [][]T
	n      int
	less   func(a, b T) bool
}

const chunk = 4 << 10 // items

func (l *list[T]) add(x T) {
	if l.n%chunk == 0 {
		l.chunks = append(l.chunks, make([]T, 0, min(max(2*l.n, 64), chunk)))
	}
	last := &l.chunks[len(l.chunks)-1]
	*last = append(*last, x)
	l.n++
}

func (l *list[T]) at(i int) T         { return l.chunks[i/chunk][i%chunk] }
func (l *list[T]) Len() int           { return l.n }
func (l *list[T]) Less(i, j int) bool { return l.less(l.at(i), l.at(j)) }

func (l *list[T]) Swap(i, j int) {
	a, b := &l.chunks[i/chunk][i%chunk], &l.chunks[j/chunk][j%chunk]
	*a, *b = *b, *a
}

// check compares the span of t with its type and shape.
func (t *Tensor) check(name []byte, at int64) error {
	elements, overflow := uint64(1), false
	for _, d := range t.Shape {
		hi, lo := bits.Mul64(elements, d)
		elements, overflow = lo, overflow || hi != 0
	}
	hi, width := bits.Mul64(elements, t.DType.Bits())
	if overflow || hi != 0 || elements > math.MaxInt64 {
		return invalid(at, "tensor %q: shape overflows", name)
	}
	if width%8 != 0 {
		return invalid(at, "tensor %q: %d bits are not whole bytes", name, width)
	}
	if t.End < t.Begin {
		return invalid(at, "tensor %q: ends at %d before it begins at %d", name, t.End, t.Begin)
	}
	if got := t.End - t.Begin; got != width/8 {
		return invalid(at, "tensor %q: spans %d bytes, shape and type need %d", name, got, width/8)
	}
	return nil
}
