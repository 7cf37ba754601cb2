package jsonscan

import (
	"hash/maphash"
	"slices"
)

// manyKeys is from how many keys on an object has a set of its own.
const manyKeys = 16

// object remembers the keys of an object by a hash that nobody outside can aim at:
// two keys that differ have the same one with a chance of 2^-64.
type object struct {
	s      *Scanner
	begin  int // of its hashes in those of the scanner
	before int // members that were open before it
	set    map[uint64]struct{}
}

func (o *object) add(key []byte, at int64) error {
	s := o.s
	if s.members++; s.members > MaxMembers {
		return invalid(at, "more than %d members", MaxMembers)
	}
	h := maphash.Bytes(s.seed, key)
	if o.set == nil {
		if slices.Contains(s.hashes[o.begin:], h) {
			return duplicate(key, at)
		}
		if len(s.hashes)-o.begin < manyKeys {
			s.hashes = append(s.hashes, h)
			return nil
		}
		o.set = make(map[uint64]struct{}, 2*manyKeys)
		for _, h := range s.hashes[o.begin:] {
			o.set[h] = struct{}{}
		}
		s.hashes = s.hashes[:o.begin]
	}
	if _, dup := o.set[h]; dup {
		return duplicate(key, at)
	}
	o.set[h] = struct{}{}
	return nil
}

func duplicate(key []byte, at int64) error { return invalid(at, "duplicate key %q", key) }

func (o *object) done() {
	o.s.hashes, o.s.members = o.s.hashes[:o.begin], o.before
}
