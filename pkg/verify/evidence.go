package verify

import (
	"context"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/trust"
)

type kind int

const (
	kindOther     kind = iota // counts for nothing; problem says why
	kindSignature             // a signature of the subject by key
	kindOMS                   // an OMS statement signed by key
)

// finding is what one piece of evidence turned out to be.
type finding struct {
	evidence      digest.Digest
	kind          kind
	key           trust.Key
	payload       []byte // with kindOMS: the signed statement, of type predicateType
	predicateType string
	problem       string // why it does not count; a phrase that continues "one bundle is …"
}

func (f finding) String() string {
	switch {
	case f.problem != "":
		return f.problem
	case f.kind == kindOMS:
		return "is an OMS statement by " + f.key.Name
	}
	return "is a signature by " + f.key.Name
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
		f.problem = fmt.Sprintf("could not be read (%v)", e.Err)
		return f, nil //nolint:nilerr // a bundle that does not count is a finding, not an error
	}
	s, err := parseBundle(e.Bundle)
	if err != nil {
		f.problem = fmt.Sprintf("is not usable (%v)", err)
		return f, nil
	}
	// What the header says is not yet true. Reading it first saves verifying
	// what could not count anyway; what may count is verified next.
	header, err := statement.ParseHeader(s.payload)
	if err != nil {
		f.problem = fmt.Sprintf("is not usable (%v)", err)
		return f, nil
	}
	switch {
	case header.PredicateType == artifacttypes.PredicateCosignSign:
		return x.signature(ctx, f, s, header)
	case statement.IsOMS(header.PredicateType):
		return x.oms(ctx, f, s, header)
	}
	f.problem = "is " + attestation(header.PredicateType)
	return f, nil
}

func (x *examiner) signature(ctx context.Context, f finding, s *signedStatement, header *statement.Header) (finding, error) {
	if !header.Names(x.digest) {
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
		f.problem = s.signer(x.signatureKeys)
		return f, nil
	}
	f.kind, f.key = kindSignature, key
	return f, nil
}

func (x *examiner) oms(ctx context.Context, f finding, s *signedStatement, header *statement.Header) (finding, error) {
	key, ok, err := s.signedBy(ctx, x.omsKeys, ofFiles())
	if err != nil {
		return f, err
	}
	if !ok {
		f.problem = "is an OMS statement " + s.signer(x.omsKeys)
		return f, nil
	}
	f.kind, f.key, f.payload, f.predicateType = kindOMS, key, s.payload, header.PredicateType
	return f, nil
}

func subjects(h *statement.Header) string {
	var out []string
	for _, s := range h.Subjects {
		for algorithm, encoded := range s.Digest {
			out = append(out, shortDigest(digest.Digest(shorten(algorithm+":"+encoded))))
			break // one is enough to recognise it
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
	return fmt.Sprintf("%s (predicateType %s), not a signature", what, shorten(predicateType))
}
