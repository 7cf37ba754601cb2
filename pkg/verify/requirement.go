package verify

import (
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/policy"
)

// Kinds of requirements.
const (
	KindSignature   = "signature"
	KindOMS         = "oms"
	KindAttestation = "attestation"
	KindVSA         = "vsa"
	KindConditions  = "conditions"
	KindFreshness   = "freshness"
)

// RequirementResult says how one requirement of a policy came out, whether it
// holds or not. Its JSON is stable.
type RequirementResult struct {
	Policy    string  `json:"policy,omitempty"` // where the rules come from
	Scope     string  `json:"scope,omitempty"`  // prefix of the scope; none for rules of the command line
	Mode      string  `json:"mode"`             // policy.ModeEnforce or policy.ModeWarn
	Kind      string  `json:"kind"`
	Name      string  `json:"name"`    // for people
	Outcome   Outcome `json:"outcome"` // Passed or Failed
	LookedFor string  `json:"lookedFor"`
	Found     string  `json:"found"` // in one sentence
	// Details are what Found sums up, a phrase for each: bundles, differences,
	// conditions; and in what an accepted OMS statement differs from the
	// specification of today.
	Details  []string         `json:"details,omitempty"`
	Next     string           `json:"next,omitempty"` // what the user can do; only when it failed
	Evidence []EvidenceResult `json:"evidence,omitempty"`
}

// EvidenceResult says what one piece of evidence is for a requirement. All but
// the digest and why it was ignored is known only of evidence whose signature was
// verified.
type EvidenceResult struct {
	Digest        digest.Digest `json:"digest"`                // of the referrer manifest
	Signer        string        `json:"signer,omitempty"`      // its name in the policy
	Identity      string        `json:"identity,omitempty"`    // in its certificate
	Issuer        string        `json:"issuer,omitempty"`      // that vouched for the identity of a keyless signer
	Fingerprint   string        `json:"fingerprint,omitempty"` // of a key signer's key
	PredicateType string        `json:"predicateType,omitempty"`
	Time          time.Time     `json:"time,omitzero"` // oldest trusted time of the signature
	// TimeSource says whose time it is: "log URL" or "timestamp URL". Both are
	// empty when nobody trusted has seen the signature.
	TimeSource string `json:"timeSource,omitempty"`
	// Legacy: it comes from a tag of cosign's of before bundles. Reference is what
	// its signer called the subject, of a signature that is one of those; nobody
	// compares it.
	Legacy    bool   `json:"legacy,omitempty"`
	Reference string `json:"reference,omitempty"`
	// Summary is what a verification summary says, where one was asked for.
	Summary *Summary `json:"summary,omitempty"`
	Outcome Outcome  `json:"outcome"`       // Counted or Ignored
	Why     string   `json:"why,omitempty"` // it was ignored
}

// reason is what a refusal says of a requirement that failed.
func (r RequirementResult) reason() Reason {
	return Reason{Policy: r.Policy, Requirement: r.Name, LookedFor: r.LookedFor, Found: r.Found, Details: r.Details, Next: r.Next}
}

// begin starts the result of a requirement of the rules.
func (d *decision) begin(kind, name, lookedFor string) RequirementResult {
	return RequirementResult{
		Policy: d.rules.Name, Scope: d.rules.Scope, Mode: d.rules.Mode,
		Kind: kind, Name: name, LookedFor: lookedFor, Outcome: Passed,
	}
}

// fail turns a result into one that failed.
func (r *RequirementResult) fail(found string, each []string, next string) {
	r.Outcome, r.Found, r.Details, r.Next = Failed, found, details(each), next
}

// result is what is told of a judgement.
func (j judged) result(counted bool) EvidenceResult {
	e := EvidenceResult{Digest: j.evidence, Outcome: Ignored, Why: j.phrase}
	if counted {
		e.Outcome, e.Why = Counted, ""
	}
	e.Summary = j.summary
	if m := j.match; m != nil {
		e.Signer, e.Identity, e.Issuer, e.Fingerprint = m.signer.Name, m.identity, m.issuer, m.fingerprint
		if m.when.source != sourceClock {
			e.Time, e.TimeSource = m.when.at, m.when.source
		}
		e.PredicateType = j.s.header.PredicateType
		if e.Legacy = j.s.legacy; e.Legacy {
			e.Reference = j.s.header.Subjects[0].Name
		}
	}
	return e
}

// group are signers that count for a requirement, and how many of them it takes.
type group struct {
	signers   []policy.Signer
	threshold int
	witness   policy.Witness
}
