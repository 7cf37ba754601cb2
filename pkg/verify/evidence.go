package verify

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/statement"
)

// kind is what a piece of evidence says that it is.
type kind int

const (
	kindUnknown     kind = iota // it could not be read
	kindSignature               // a signature of the manifest
	kindOMS                     // an OMS statement
	kindAttestation             // any other statement
)

// cause is why a bundle counts for nothing, as far as what to do about it
// differs. Of two, the greater one came closer to counting.
type cause int

const (
	causeNone           cause = iota // it counts, or its problem has no remedy of its own
	causeDamaged                     // its bytes are not what its digest says
	causeUnusable                    // it could not be read
	causeAttestation                 // it is no statement of the kind that is asked for
	causeLegacy                      // it is of a tag that the rules do not want looked at
	causeElsewhere                   // it is about something else
	causeCertificate                 // it is signed with a certificate, and the signer is a key
	causeNoCertificate               // it is signed with a key, and the signer has none
	causeOtherKey                    // another key signed it
	causeOtherAuthority              // its certificate is of no trusted authority, or not for signing
	causeWrong                       // it names a trusted signer, whose signature it is not
	causeNoEntry                     // too few entries of transparency logs
	causeOtherLog                    // of a log that is not in the root
	causeOtherEntry                  // its log entry is of another artifact
	causeNoTime                      // too few timestamps
	causeOtherTSA                    // of an authority that is not in the root
	causeExpired                     // its certificate was not valid at the trusted time
	causeNoSCT                       // too few signed certificate timestamps
	causeOtherIssuer                 // another issuer vouched for the signer
	causeOtherIdentity               // another identity signed it
	causeExtension                   // the certificate has another extension than asked for
	causeWindow                      // the signer does not count for signatures of that time
	causeAge                         // it is too old
	causeClock                       // it was signed in the future
	causeCondition                   // a condition about it does not hold
	causeVerifier                    // its signer may not speak as the verifier that it names
	causeResource                    // it is about the artifact in another place
	causePolicy                      // another policy was asked
	causeFailed                      // it says that verification failed, or another one says so later
	causeLevel                       // a level was not reached
	causeContradiction               // it says what cannot be
)

// piece is one piece of evidence, read and not yet believed.
type piece struct {
	evidence digest.Digest
	kind     kind
	s        *signedStatement // nil with kindUnknown
	cause    cause            // with kindUnknown
	damaged  digest.Digest    // with causeDamaged: of the bytes that are wrong
	problem  string           // with kindUnknown; a phrase that continues "a bundle …"
}

// read parses one piece of evidence. What its header says is not yet true:
// reading it first saves verifying what could not count anyway.
func read(e Evidence) *piece {
	p := &piece{evidence: e.Digest}
	var wrong *integrity.Error
	switch {
	case errors.As(e.Err, &wrong):
		p.cause, p.damaged = causeDamaged, wrong.Want
		p.problem = "is damaged: its bytes are not what its digest says"
		return p
	case e.Err != nil:
		p.cause, p.problem = causeUnusable, fmt.Sprintf("could not be read (%s)", errorText(e.Err))
		return p
	}
	var err error
	if e.Legacy != nil {
		p.s, err = e.Legacy.statement()
	} else {
		p.s, err = parseBundle(e.Bundle)
	}
	if err != nil {
		p.s, p.cause, p.problem = nil, causeUnusable, fmt.Sprintf("is not usable (%s)", errorText(err))
		return p
	}
	switch t := p.s.header.PredicateType; {
	case t == artifacttypes.PredicateCosignSign:
		p.kind = kindSignature
	case statement.IsOMS(t):
		p.kind = kindOMS
	default:
		p.kind = kindAttestation
	}
	return p
}

// judged is what a piece of evidence is for one requirement.
type judged struct {
	*piece
	match  *signerMatch // who signed it, when it counts or would
	cause  cause
	phrase string // what it is, continuing "a bundle …"
	// summary is what a verification summary says whose signature counts.
	summary *Summary
}

func (p *piece) judge(c cause, format string, args ...any) judged {
	return judged{piece: p, cause: c, phrase: fmt.Sprintf(format, args...)}
}

// line tells a judgement by itself.
func (j judged) line() string { return shortDigest(j.evidence) + " " + j.phrase }

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
	return fmt.Sprintf("%s (predicateType %q)", what, shorten(predicateType))
}
