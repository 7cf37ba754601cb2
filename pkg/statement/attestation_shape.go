package statement

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/lazyregexp"
)

// checkShape demands of a predicate what the specification of its type requires.
// predicate is a JSON object without duplicate keys. Other types pass.
func checkShape(predicateType string, predicate []byte) error {
	check := shapes[predicateType]
	if check == nil {
		return nil
	}
	return check(predicate)
}

// shapes are the types of which it is known what they must have.
var shapes = map[string]func(predicate []byte) error{
	artifacttypes.PredicateSLSAProvenanceV1:  of(provenanceV1),
	artifacttypes.PredicateSLSAProvenanceV02: of(provenanceV02),
	artifacttypes.PredicateVSA:               checkVSA,
	artifacttypes.PredicateCycloneDX:         checkCycloneDX,
	artifacttypes.PredicateSPDX:              checkSPDX,
	artifacttypes.PredicateSPDX3:             checkSPDX3,
	artifacttypes.PredicateOpenVEX:           of(openVEX),
	artifacttypes.PredicateVuln:              of(vuln),
	artifacttypes.PredicateLink:              of(link),
	artifacttypes.PredicateModelCard:         of(modelCard),
	artifacttypes.PredicateScan:              of(scan),
}

// of decodes a predicate and demands the shape of it.
func of(s shape) func(predicate []byte) error {
	return func(predicate []byte) error {
		doc, err := decodeAny(predicate)
		if err != nil {
			return err
		}
		return s(doc, "")
	}
}

func decodeAny(predicate []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(predicate))
	dec.UseNumber() // what is an integer must be seen
	var doc any
	if err := dec.Decode(&doc); err != nil {
		return nil, invalid("%w", err)
	}
	return doc, nil
}

// A shape says what is wrong with a value that was decoded from JSON. path is where
// it stands; empty for the predicate itself.
type shape func(v any, path string) error

// member is a member of an object that a shape knows.
type member struct {
	key  string
	need bool
	is   shape
}

// need demands a member, may allows it: what is absent or null is right then.
func need(key string, is shape) member { return member{key, true, is} }
func may(key string, is shape) member  { return member{key, false, is} }

// object demands an object with these members. Others may be there: whoever reads
// a predicate passes over what it does not know
// (https://github.com/in-toto/attestation/blob/v1.2.0/spec/v1/README.md#parsing-rules).
func object(members ...member) shape {
	return func(v any, path string) error {
		o, ok := v.(map[string]any)
		if !ok {
			return invalid("%s is no object", place(path))
		}
		for _, m := range members {
			value, there := o[m.key]
			at := join(path, m.key)
			if !there || value == nil && !m.need {
				if m.need {
					return invalid("%s is missing%s", at, otherCase(o, m.key))
				}
				continue
			}
			if err := m.is(value, at); err != nil {
				return err
			}
		}
		return nil
	}
}

// list demands a list of such elements.
func list(of shape) shape {
	return func(v any, path string) error {
		elements, ok := v.([]any)
		if !ok {
			return invalid("%s is no list", place(path))
		}
		for i, e := range elements {
			if err := of(e, path+"["+strconv.Itoa(i)+"]"); err != nil {
				return err
			}
		}
		return nil
	}
}

// some demands a list that has elements.
func some(of shape) shape {
	return all(list(of), func(v any, path string) error {
		if elements, _ := v.([]any); len(elements) == 0 {
			return invalid("%s is empty", place(path))
		}
		return nil
	})
}

// entries demands an object each of whose values is such a one.
func entries(of shape) shape {
	return func(v any, path string) error {
		o, ok := v.(map[string]any)
		if !ok {
			return invalid("%s is no object", place(path))
		}
		for key, value := range o {
			if err := of(value, join(path, shorten(key))); err != nil {
				return err
			}
		}
		return nil
	}
}

// all demands every one of the shapes, in this order.
func all(shapes ...shape) shape {
	return func(v any, path string) error {
		for _, s := range shapes {
			if err := s(v, path); err != nil {
				return err
			}
		}
		return nil
	}
}

// either demands one of the members.
func either(keys ...string) shape {
	return func(v any, path string) error {
		o, _ := v.(map[string]any)
		for _, key := range keys {
			if o[key] != nil {
				return nil
			}
		}
		return invalid("%s has none of %s", place(path), strings.Join(keys, ", "))
	}
}

func anything(any, string) error { return nil }

// text demands a text that is not empty.
func text(v any, path string) error {
	if s, ok := v.(string); !ok || s == "" {
		return invalid("%s is empty, or no text", place(path))
	}
	return nil
}

func oneOf(values ...string) shape {
	return func(v any, path string) error {
		s, ok := v.(string)
		if !ok || !slices.Contains(values, s) {
			return invalid("%s %s is none of %s", place(path), shown(v), strings.Join(values, ", "))
		}
		return nil
	}
}

// form demands a text that matches, which is described as what.
func form(r *lazyregexp.Regexp, what string) shape {
	return func(v any, path string) error {
		if s, ok := v.(string); !ok || !r.MatchString(s) {
			return invalid("%s %s is not %s", place(path), shown(v), what)
		}
		return nil
	}
}

// uri demands an absolute URI.
func uri(v any, path string) error {
	if err := text(v, path); err != nil {
		return err
	}
	if s, _ := v.(string); notURI(s) || !absoluteURI.MatchString(s) {
		return invalid("%s %s is no absolute URI", place(path), shown(v))
	}
	return nil
}

func timestamp(v any, path string) error {
	s, ok := v.(string)
	if _, err := time.Parse(time.RFC3339, s); !ok || err != nil {
		return invalid("%s %s is no time such as 2026-01-02T15:04:05Z", place(path), shown(v))
	}
	return nil
}

// count demands a whole number from 1.
func count(v any, path string) error {
	number, _ := v.(json.Number)
	if n, ok := new(big.Int).SetString(number.String(), 10); !ok || n.Sign() < 1 {
		return invalid("%s %s is no whole number from 1", place(path), shown(v))
	}
	return nil
}

func place(path string) string {
	if path == "" {
		return "it"
	}
	return path
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// shown is a value as an error shows it.
func shown(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(shorten(v))
	case json.Number:
		return shorten(v.String())
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case []any:
		return "(a list)"
	}
	return "(an object)"
}

// otherCase helps who wrote a key in another case, which makes it another key.
func otherCase[V any](object map[string]V, key string) string {
	for k := range object {
		if strings.EqualFold(k, key) {
			return fmt.Sprintf(" (there is %q)", shorten(k))
		}
	}
	return ""
}
