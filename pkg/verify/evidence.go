package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/trust"
)

type kind int

const (
	kindOther     kind = iota // counts for nothing; problem says why
	kindSignature             // a signature of the subject by key
	kindOMS                   // an OMS statement signed by key
)

// cause is why a bundle counts for nothing, as far as what to do about it
// differs.
type cause int

const (
	causeNone        cause = iota // it counts, or its problem has no remedy of its own
	causeDamaged                  // its bytes are not what its digest says
	causeUnusable                 // it could not be read
	causeWrong                    // it names a trusted key, which does not verify it
	causeOtherKey                 // another key signed it
	causeCertificate              // no key signed it
	causeElsewhere                // it signs something else
	causeAttestation              // it is no signature, whoever signed it
)

// finding is what one piece of evidence turned out to be.
type finding struct {
	evidence      digest.Digest
	claim         kind // what it would be, if the right key had signed it
	kind          kind
	key           trust.Key
	payload       []byte // with kindOMS: the signed statement, of type predicateType
	predicateType string
	cause         cause
	damaged       digest.Digest // with causeDamaged: of the bytes that are wrong
	problem       string        // why it does not count; a phrase that continues "a bundle …"
}

// phrase says what the bundle is, continuing "a bundle …". Its signer has the
// name that it has among keys, if it is one of them.
func (f finding) phrase(keys []trust.Key) string {
	if f.problem != "" {
		return f.problem
	}
	name := f.key.Name
	if i := slices.IndexFunc(keys, f.key.Equal); i >= 0 {
		name = keys[i].Name
	}
	if f.kind == kindOMS {
		return "is an OMS statement by " + name
	}
	return "is a signature by " + name
}

// examiner sorts evidence by what it can count for.
type examiner struct {
	digest        digest.Digest
	signatureKeys []trust.Key
	omsKeys       []trust.Key
}

func (x *examiner) examine(ctx context.Context, e Evidence) (finding, error) {
	f := finding{evidence: e.Digest}
	if e.Err != nil {
		var wrong *integrity.Error
		if errors.As(e.Err, &wrong) {
			f.cause, f.damaged = causeDamaged, wrong.Want
			f.problem = "is damaged: its bytes are not what its digest says"
		} else {
			f.cause, f.problem = causeUnusable, fmt.Sprintf("could not be read (%s)", errorText(e.Err))
		}
		return f, nil
	}
	s, err := parseBundle(e.Bundle)
	if err != nil {
		f.cause, f.problem = causeUnusable, fmt.Sprintf("is not usable (%s)", errorText(err))
		return f, nil
	}
	// What the header says is not yet true. Reading it first saves verifying
	// what could not count anyway; what may count is verified next.
	header, err := statement.ParseHeader(s.payload)
	if err != nil {
		f.cause, f.problem = causeUnusable, fmt.Sprintf("is not usable (%s)", errorText(err))
		return f, nil
	}
	switch {
	case header.PredicateType == artifacttypes.PredicateCosignSign:
		return x.signature(ctx, f, s, header)
	case statement.IsOMS(header.PredicateType):
		return x.oms(ctx, f, s, header)
	}
	f.cause, f.problem = causeAttestation, "is "+attestation(header.PredicateType)
	return f, nil
}

func (x *examiner) signature(ctx context.Context, f finding, s *signedStatement, header *statement.Header) (finding, error) {
	f.claim = kindSignature
	if !header.Names(x.digest) {
		f.cause = causeElsewhere
		f.problem = "is a signature of something else (" + subjects(header) + ")"
		return f, nil
	}
	artifact, err := ofArtifact(x.digest)
	if err != nil {
		return f, err
	}
	key, ok, err := s.signedBy(ctx, x.signatureKeys, artifact)
	if err != nil {
		return f, err
	}
	if !ok {
		var who string
		f.cause, who = s.signer(x.signatureKeys, x.omsKeys)
		f.problem = "is " + who
		return f, nil
	}
	f.kind, f.key = kindSignature, key
	return f, nil
}

func (x *examiner) oms(ctx context.Context, f finding, s *signedStatement, header *statement.Header) (finding, error) {
	f.claim = kindOMS
	key, ok, err := s.signedBy(ctx, x.omsKeys, ofFiles())
	if err != nil {
		return f, err
	}
	if !ok {
		var who string
		f.cause, who = s.signer(x.omsKeys, x.signatureKeys)
		f.problem = "is an OMS statement " + who
		return f, nil
	}
	f.kind, f.key, f.payload, f.predicateType = kindOMS, key, s.payload, header.PredicateType
	return f, nil
}

func subjects(h *statement.Header) string {
	var out []string
	for _, s := range h.Subjects {
		// One is enough to recognise it, always the same one.
		algorithms := slices.Sorted(maps.Keys(s.Digest))
		if len(algorithms) == 0 {
			continue
		}
		d := digest.Digest(algorithms[0] + ":" + s.Digest[algorithms[0]])
		if d.Validate() == nil {
			out = append(out, shortDigest(d))
		} else {
			out = append(out, fmt.Sprintf("%q", shorten(d.String())))
		}
	}
	return listing(out)
}

// attestation names what a statement says it is.
func attestation(predicateType string) string {
	what := "an attestation"
	switch {
	case strings.HasPrefix(predicateType, "https://cyclonedx.org/"), strings.HasPrefix(predicateType, "https://spdx.dev/"):
		what = "an SBOM attestation"
	case strings.HasPrefix(predicateType, "https://slsa.dev/provenance/"):
		what = "a provenance attestation"
	case strings.HasPrefix(predicateType, "https://slsa.dev/verification_summary/"):
		what = "a verification summary"
	}
	return fmt.Sprintf("%s (predicateType %q), not a signature", what, shorten(predicateType))
}
