package modelfile

import (
	"fmt"
	"hash/maphash"
	"path"
	"slices"
	"strings"
)

// maxNames bounds the tensors of a model whose names are compared with those of
// others: models of today stay below 250,000.
const maxNames = 400_000

// namesSeed is of this process, so that nobody can make two names that have one
// number.
var namesSeed = maphash.MakeSeed()

// nameKey makes a number of a name, which takes less memory than it does.
func nameKey(dir, name string) uint64 {
	var h maphash.Hash
	h.SetSeed(namesSeed)
	_, _ = h.WriteString(dir)
	_ = h.WriteByte(0)
	_, _ = h.WriteString(name)
	return h.Sum64()
}

// tensorNames remembers which file of a directory was first to hold a tensor.
// Two files with tensors of one name are two forms of the same weights.
type tensorNames struct {
	files []string
	first map[uint64]int32 // number of the file
}

// add reports whether the tensor is new, else it returns the file that has it.
// Beyond maxNames every tensor is.
func (t *tensorNames) add(file, tensor string) (other string, ok bool) {
	if t.first == nil {
		t.first = map[uint64]int32{}
	}
	key := nameKey(path.Dir(file), tensor)
	if n, dup := t.first[key]; dup {
		return t.files[n], false
	}
	if len(t.first) == maxNames {
		return "", true
	}
	if len(t.files) == 0 || t.files[len(t.files)-1] != file {
		t.files = append(t.files, file)
	}
	t.first[key] = int32(len(t.files) - 1)
	return "", true
}

// duplicates counts tensors that another file has too.
type duplicates struct {
	n     int
	other string
}

func (d *duplicates) add(other string) { d.n, d.other = d.n+1, other }

func (d *duplicates) warn(x *inspector, file string) {
	if d.n > 0 {
		x.warn("%q: %d tensors are also in %q: counted once", file, d.n, d.other)
	}
}

// some keeps the first few of many names, in their order, and how many there are.
type some struct {
	n     int
	names []string
}

func (s *some) add(name string) {
	const few = 3
	s.n++
	at, _ := slices.BinarySearch(s.names, name)
	if at == few {
		return
	}
	if len(s.names) == few {
		s.names = s.names[:few-1]
	}
	s.names = slices.Insert(s.names, at, name)
}

func (s *some) String() string {
	var b strings.Builder
	for i, name := range s.names {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%.100q", name)
	}
	if s.n > len(s.names) {
		fmt.Fprintf(&b, " and %d more", s.n-len(s.names))
	}
	return b.String()
}
