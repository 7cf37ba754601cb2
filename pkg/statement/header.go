package statement

import (
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// Header is what every in-toto statement says: its type, what kind of claim it
// makes, and about what.
type Header struct {
	Type          string
	PredicateType string
	Subjects      []Subject
}

// Subject is one thing that a statement is about.
type Subject struct {
	Name   string            // informative, often empty
	Digest map[string]string // algorithm → hexadecimal digest
}

// Names reports whether d is the digest of one of the subjects.
func (h *Header) Names(d digest.Digest) bool {
	if d.Validate() != nil {
		return false
	}
	for _, s := range h.Subjects {
		if s.Digest[d.Algorithm().String()] == d.Encoded() {
			return true
		}
	}
	return false
}

// ParseHeader reads the header of an in-toto statement of type v1 or v0.1 and
// passes over its predicate. Duplicate keys are refused wherever they are.
func ParseHeader(payload []byte) (*Header, error) {
	r, err := newReader(payload)
	if err != nil {
		return nil, err
	}
	h := &Header{}
	if err := r.object("the statement", func(key string) error { return h.readMember(r, key) }); err != nil {
		return nil, err
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	return h, nil
}

func (h *Header) readMember(r *reader, key string) error {
	var err error
	switch key {
	case "_type":
		h.Type, err = r.string(key)
	case "predicateType":
		h.PredicateType, err = r.string(key)
	case "subject":
		h.Subjects, err = readSubjects(r)
	default:
		err = r.skip()
	}
	return err
}

func (h *Header) check() error {
	switch {
	case h.Type != artifacttypes.StatementTypeV1 && h.Type != artifacttypes.StatementTypeV01:
		return invalid("its _type is %q", h.Type)
	case h.PredicateType == "":
		return invalid("it has no predicateType")
	case len(h.Subjects) == 0:
		return invalid("it has no subject")
	}
	return nil
}

func readSubjects(r *reader) ([]Subject, error) {
	var subjects []Subject
	err := r.array("subject", func(i int) error {
		if i >= limits.StatementSubjects {
			return invalid("more than %d subjects", limits.StatementSubjects)
		}
		s, err := readSubject(r, fmt.Sprintf("subject %d", i))
		subjects = append(subjects, s)
		return err
	})
	return subjects, err
}

func readSubject(r *reader, what string) (Subject, error) {
	s := Subject{Digest: map[string]string{}}
	err := r.object(what, func(key string) error {
		var err error
		switch key {
		case "name":
			s.Name, err = r.string(what + ": name")
		case "digest":
			err = r.object(what+": digest", func(algorithm string) error {
				if len(s.Digest) >= limits.SubjectDigests {
					return invalid("%s has more than %d digests", what, limits.SubjectDigests)
				}
				var err error
				s.Digest[algorithm], err = r.string(what + ": digest")
				return err
			})
		default:
			err = r.skip()
		}
		return err
	})
	return s, err
}
