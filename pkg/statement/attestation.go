package statement

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/lazyregexp"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// ErrPredicateType is wrapped when a predicate type is none that an attestation
// can have.
var ErrPredicateType = errors.New("predicate type")

// Statement is an in-toto statement with its predicate.
type Statement struct {
	Header
	// Predicate is the JSON text as it was signed, without the space around it;
	// nil when there is none. It shares memory with the payload.
	Predicate json.RawMessage
}

// Parse reads an in-toto statement of type v1 or v0.1 like [ParseHeader], and
// keeps its predicate. Whoever compares or evaluates the predicate may use
// encoding/json: duplicate keys are refused at any depth.
func Parse(payload []byte) (*Statement, error) {
	r, err := newReader(payload)
	if err != nil {
		return nil, err
	}
	s := &Statement{}
	err = r.object("the statement", func(key string) error {
		if key != "predicate" {
			return s.readMember(r, key)
		}
		start := r.dec.InputOffset()
		if err := r.skip(); err != nil {
			return err
		}
		// The decoder stood behind the key, so that a colon comes first.
		text := bytes.TrimLeft(payload[start:r.dec.InputOffset()], " \t\r\n")
		s.Predicate = bytes.TrimLeft(bytes.TrimPrefix(text, []byte(":")), " \t\r\n")
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, nil
}

// predicateTypes are the names that cosign gives to predicate types
// (https://github.com/sigstore/cosign/blob/v3.0.0/cmd/cosign/cli/options/predicate.go),
// and those for which cosign has none.
var predicateTypes = []struct{ name, uri string }{
	{"slsaprovenance1", artifacttypes.PredicateSLSAProvenanceV1},
	{"slsaprovenance02", artifacttypes.PredicateSLSAProvenanceV02},
	{"slsaprovenance", artifacttypes.PredicateSLSAProvenanceV02},
	{"cyclonedx", artifacttypes.PredicateCycloneDX},
	{"spdxjson", artifacttypes.PredicateSPDX},
	{"spdx", artifacttypes.PredicateSPDX},
	{"vuln", artifacttypes.PredicateVuln},
	{"openvex", artifacttypes.PredicateOpenVEX},
	{"link", artifacttypes.PredicateLink},
	{"custom", artifacttypes.PredicateCustom},
	{"vsa", artifacttypes.PredicateVSA},
	{"spdx3", artifacttypes.PredicateSPDX3},
	{"modelcard", artifacttypes.PredicateModelCard},
	{"scan", artifacttypes.PredicateScan},
}

// PredicateTypeNames returns the names that [PredicateType] knows.
func PredicateTypeNames() []string {
	names := make([]string, len(predicateTypes))
	for i, t := range predicateTypes {
		names[i] = t.name
	}
	return names
}

// PredicateType returns the predicate type that name stands for: the one that
// cosign gives this name, one that has a name here alone, or name itself when it is
// an absolute URI. Types are compared byte by byte everywhere, so that a URI is taken
// as it is.
//
// The types of signatures are refused. An attestation of such a type would be
// one: sign makes those.
func PredicateType(name string) (string, error) {
	for _, t := range predicateTypes {
		if t.name == name {
			return t.uri, nil
		}
	}
	return name, checkPredicateType(name)
}

// absoluteURI is the beginning of a URI that names something without help from
// elsewhere: a scheme, and a host or an opaque name
// (https://www.rfc-editor.org/rfc/rfc3986#section-3).
var absoluteURI = lazyregexp.New(`^[A-Za-z][A-Za-z0-9+.-]*:(//[^/?#]+|[^/?#])`)

func checkPredicateType(uri string) error {
	switch {
	case uri == "":
		return fmt.Errorf("%w is empty: give one of %s, or an absolute URI", ErrPredicateType, strings.Join(PredicateTypeNames(), ", "))
	case len(uri) > limits.PredicateTypeBytes:
		return fmt.Errorf("%w has %d bytes, more than %d", ErrPredicateType, len(uri), limits.PredicateTypeBytes)
	case uri == artifacttypes.PredicateCosignSign, strings.HasPrefix(uri, artifacttypes.PredicateOMSFamily):
		return fmt.Errorf("%w %q is that of a signature: modseal sign makes those", ErrPredicateType, uri)
	case notURI(uri):
		return fmt.Errorf("%w %q has characters that a URI does not have", ErrPredicateType, shorten(uri))
	case !absoluteURI.MatchString(uri):
		return fmt.Errorf("%w %q is neither an absolute URI nor one of %s", ErrPredicateType, shorten(uri), strings.Join(PredicateTypeNames(), ", "))
	}
	return nil
}

// notURI reports characters that no URI has.
func notURI(text string) bool {
	return strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c >= 0x7f })
}

// Attestation returns the payload of an attestation: an in-toto statement v1 that
// claims predicate, a JSON object, about the manifest subject. predicateType is
// a URI as [PredicateType] returns it. The text of the predicate gets into the
// statement byte by byte, without the space around it: no number is rounded and
// no key moves.
//
// Errors wrap [ErrPredicateType], or [ErrInvalid] when the predicate is no JSON
// object, has a key twice, is too large or too deep, or is not what its type
// demands, where that is known: docs/attest.md lists those types.
func Attestation(subject digest.Digest, predicateType string, predicate []byte) ([]byte, error) {
	if err := artifacttypes.ValidateDigest(subject); err != nil {
		return nil, fmt.Errorf("attestation: %w", err)
	}
	predicate = bytes.Trim(predicate, " \t\r\n")
	if err := CheckPredicate(predicateType, predicate); err != nil {
		return nil, err
	}
	type descriptor struct {
		Digest map[string]string `json:"digest"`
	}
	header, err := artifacttypes.Marshal(struct {
		Type          string       `json:"_type"`
		Subject       []descriptor `json:"subject"`
		PredicateType string       `json:"predicateType"`
	}{
		Type:          artifacttypes.StatementTypeV1,
		Subject:       []descriptor{{Digest: map[string]string{subject.Algorithm().String(): subject.Encoded()}}},
		PredicateType: predicateType,
	})
	if err != nil {
		return nil, err
	}
	payload := slices.Concat(bytes.TrimSuffix(header, []byte("}")), []byte(`,"predicate":`), predicate, []byte("}"))
	// What is signed is read by the rules by which it will be verified. This also
	// finds a predicate whose depth fits only alone.
	if _, err := Parse(payload); err != nil {
		return nil, fmt.Errorf("predicate: %w", err)
	}
	return payload, nil
}

// Contradiction says in what a predicate contradicts itself, where the type is one of
// which that is known: a scan whose verdict is better than what it counts. Of what is
// missing it says nothing. Errors wrap [ErrInvalid].
func Contradiction(predicateType string, predicate []byte) error {
	if predicateType != artifacttypes.PredicateScan {
		return nil
	}
	return of(consistentScan)(predicate)
}

// CheckPredicate says why [Attestation] would refuse the predicate, of whatever it
// may be about.
func CheckPredicate(predicateType string, predicate []byte) error {
	if err := checkPredicateType(predicateType); err != nil {
		return err
	}
	predicate = bytes.Trim(predicate, " \t\r\n")
	if len(predicate) > limits.PredicateBytes {
		return invalid("the predicate has more than %d bytes", limits.PredicateBytes)
	}
	if len(predicate) == 0 {
		return invalid("the predicate is empty")
	}
	r, err := newReader(predicate)
	if err != nil {
		return fmt.Errorf("predicate: %w", err)
	}
	err = r.object("it", func(key string) error {
		if err := r.skip(); err != nil {
			return fmt.Errorf("%q: %w", shorten(key), err)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("predicate: %w", err)
	}
	if err := checkShape(predicateType, predicate); err != nil {
		return fmt.Errorf("predicate of type %s: %w", predicateType, err)
	}
	return nil
}
