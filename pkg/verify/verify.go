package verify

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/trust"
)

// Evidence is a bundle that is attached to the subject.
type Evidence struct {
	Digest digest.Digest // of the referrer manifest
	Bundle []byte
	Err    error // it could not be read
	// Legacy is set instead of Bundle for what cosign attached before it had
	// bundles, under a tag.
	Legacy *Legacy
}

// Legacy is a signature or attestation in a layer of an image with the tag
// sha256-<digest>.sig or .att
// (https://github.com/sigstore/cosign/blob/v2.6.5/specs/SIGNATURE_SPEC.md).
type Legacy struct {
	Payload     []byte            // the layer
	Annotations map[string]string // of the layer's descriptor
	Attestation bool              // the layer is an envelope
}

// Trust is what the names in the rules stand for.
type Trust struct {
	Keys        map[string]trust.Key       // by name of the signer
	Authorities map[string]trust.Authority // by name of the signer
	Roots       map[string]*trust.Root     // by name in the rules
	// Remembered is the newest version that was accepted before, for rules that
	// ask for it; nil when there is none.
	Remembered *Memory
	// Now is the time of the decision; zero means the clock of the machine.
	Now time.Time
}

// Memory is a version of a model that was accepted, and when. It is what a
// freshness requirement remembers.
type Memory struct {
	Digest  digest.Digest `json:"digest"`
	Version string        `json:"version,omitempty"`
	Created time.Time     `json:"created,omitzero"`
	At      time.Time     `json:"at"` // latest time at which anything was accepted
}

// Ruling is one set of rules and what its names stand for.
type Ruling struct {
	Rules policy.Rules
	Trust Trust
}

// Verify decides whether s meets the rules of every ruling, by the evidence that
// is attached to it and the trust that comes with the rules.
//
// Errors: [*Refusal] when a requirement is not met and its rules enforce it;
// [*Undecided] when there are no rules or nothing for a signer to be known by;
// artifacttypes.ErrInvalidManifest, ErrNotAModel or ErrUnsafePath when the
// manifest is not one to act on; an *integrity.Error when it is not the one that
// its descriptor says.
func Verify(ctx context.Context, s Subject, evidence []Evidence, rulings ...Ruling) (Verified, error) {
	if len(rulings) == 0 {
		rulings = []Ruling{{}}
	}
	rules, t := rulings[0].Rules, rulings[0].Trust
	model, err := s.model()
	if err != nil {
		return Verified{}, err
	}
	d := &decision{subject: s, model: model, rules: rules, keys: t.Keys}
	if err := d.check(); err != nil {
		return Verified{}, err
	}
	if err := d.examine(ctx, evidence); err != nil {
		return Verified{}, err
	}
	for _, req := range rules.Requirements {
		if req.Signature != nil {
			d.signature(*req.Signature)
		}
	}
	members := d.oms(rules.OMS())
	for _, f := range d.findings {
		if f.problem != "" {
			d.checks = append(d.checks, Check{Outcome: Ignored, Evidence: f.evidence, Detail: f.problem})
		}
	}
	report := Report{Subject: s.Name, Digest: s.Descriptor.Digest, Decision: Accepted, Policy: rules.Name, Checks: d.checks}
	if len(d.reasons) > 0 {
		if rules.Mode != policy.ModeWarn {
			return Verified{}, &Refusal{Subject: s.Name, Digest: s.Descriptor.Digest, Policy: rules.Name, Reasons: d.reasons, Checks: d.checks}
		}
		report.Decision = Warned
		for _, r := range d.reasons {
			report.Warnings = append(report.Warnings, r.String())
		}
	}
	return Verified{&state{subject: s.clone(), model: model, report: report, members: members}}, nil
}

// decision is a verification under way.
type decision struct {
	subject  Subject
	model    *artifacttypes.Model
	rules    policy.Rules
	keys     map[string]trust.Key
	findings []finding
	checks   []Check
	reasons  []Reason
}

// check makes sure that the rules can be decided at all: rules that require
// nothing would accept everything.
func (d *decision) check() error {
	undecided := func(format string, args ...any) error {
		return &Undecided{
			Subject: d.subject.Name,
			Why:     fmt.Sprintf(format, args...),
			Next:    "name a key with --key FILE, or write a policy with modseal policy init",
		}
	}
	if len(d.rules.Requirements) == 0 {
		return undecided("there are no rules to verify it by")
	}
	if m := d.rules.Mode; m != policy.ModeEnforce && m != policy.ModeWarn {
		return undecided("mode %q of the rules is unknown", m)
	}
	for _, req := range d.rules.Requirements {
		switch {
		case req.Signature != nil && (req.Signature.Threshold < 1 || len(req.Signature.Signers) == 0):
			return undecided("a signature requirement names no signers or no threshold")
		case req.Signature == nil && req.OMS == nil:
			return undecided("a requirement is empty")
		}
	}
	signers := append(d.rules.Signers(), d.rules.OMS().Signers...)
	if len(signers) == 0 {
		return undecided("the rules name no signers")
	}
	for _, s := range signers {
		if key, ok := d.keys[s.Name]; !ok || key.Fingerprint() == "" {
			return undecided("there is no key for signer %q", s.Name)
		}
	}
	return nil
}

// keysOf returns the different keys of signers, under the signers' names.
func (d *decision) keysOf(signers []policy.Signer) []trust.Key {
	var keys []trust.Key
	for _, s := range signers {
		key := d.keys[s.Name]
		key.Name = s.Name
		if !slices.ContainsFunc(keys, key.Equal) {
			keys = append(keys, key)
		}
	}
	return keys
}

// examine reads every bundle, in an order that does not depend on the registry.
func (d *decision) examine(ctx context.Context, evidence []Evidence) error {
	if len(evidence) > limits.Referrers {
		return &Undecided{
			Subject: d.subject.Name,
			Why:     fmt.Sprintf("%d bundles are attached, more than %d", len(evidence), limits.Referrers),
			Next:    "remove those that do not belong there: modseal tree " + d.subject.reference(),
		}
	}
	evidence = slices.Clone(evidence)
	slices.SortStableFunc(evidence, func(a, b Evidence) int { return cmp.Compare(a.Digest, b.Digest) })
	var signers []policy.Signer
	for _, req := range d.rules.Requirements {
		if req.Signature != nil {
			signers = append(signers, req.Signature.Signers...)
		}
	}
	x := &examiner{
		digest:        d.subject.Descriptor.Digest,
		signatureKeys: d.keysOf(signers),
		omsKeys:       d.keysOf(d.rules.OMS().Signers),
	}
	for _, e := range evidence {
		f, err := x.examine(ctx, e)
		if err != nil {
			return err
		}
		d.findings = append(d.findings, f)
	}
	return nil
}

// signature decides a signature requirement: enough different keys.
func (d *decision) signature(req policy.SignatureRequirement) {
	keys := d.keysOf(req.Signers)
	name := "signature by " + names(keys)
	if req.Threshold > 1 {
		name = fmt.Sprintf("signatures by %d of %s", req.Threshold, names(keys))
	}
	counted := map[digest.Digest]bool{}
	var by []string
	for _, f := range d.findings {
		if f.kind != kindSignature || counted[f.key.Fingerprint()] {
			continue
		}
		// The key is one of the rules; it must be one of this requirement, and
		// bears the name that it has there.
		i := slices.IndexFunc(keys, f.key.Equal)
		if i < 0 {
			continue
		}
		counted[f.key.Fingerprint()] = true
		by = append(by, keys[i].Name)
		d.checks = append(d.checks, Check{
			Requirement: name, Outcome: Passed, PredicateType: artifacttypes.PredicateCosignSign,
			Signer: keys[i].Name, Fingerprint: keys[i].Fingerprint().String(), Evidence: f.evidence,
		})
	}
	if len(counted) >= req.Threshold {
		return
	}
	found, each := d.found(keys)
	if len(by) > 0 {
		found = fmt.Sprintf("only %d of %d, by %s", len(by), req.Threshold, listing(by))
		if len(each) > 1 {
			found += "; " + plural(len(each), "bundle") + " are attached"
		}
	}
	d.fail(Reason{
		Requirement: name,
		LookedFor:   fmt.Sprintf("a signature of %s by %s", shortDigest(d.subject.Descriptor.Digest), describe(keys)),
		Found:       found,
		Details:     details(each),
		Next:        d.next(kindSignature, keys),
	})
}

func (d *decision) fail(r Reason) {
	d.reasons = append(d.reasons, r)
	d.checks = append(d.checks, Check{Requirement: r.Requirement, Outcome: Failed, Detail: r.Found})
}

// found says what is attached, in a sentence and bundle by bundle, for a
// requirement of keys.
func (d *decision) found(keys []trust.Key) (sentence string, each []string) {
	for _, f := range d.findings {
		each = append(each, shortDigest(f.evidence)+" "+f.phrase(keys))
	}
	switch len(d.findings) {
	case 0:
		return "nothing attached", nil
	case 1:
		return "1 bundle, which " + d.findings[0].phrase(keys), each
	}
	return plural(len(d.findings), "bundle") + ", none of which counts", each
}

// next advises what to do when want by one of keys is missing, by what is there
// instead. What says most about why comes first.
func (d *decision) next(want kind, keys []trust.Key) string {
	what := "a signature"
	if want == kindOMS {
		what = "an OMS statement"
	}
	ask := fmt.Sprintf("ask for %s by %s, or sign it yourself: %s", what, names(keys), d.sign())
	tree := "see what is attached: modseal tree " + d.subject.reference()
	first := map[cause]finding{}
	for _, f := range d.findings {
		if _, seen := first[f.cause]; !seen && (f.claim == want || f.claim == kindOther) {
			first[f.cause] = f
		}
	}
	has := func(c cause) bool { _, ok := first[c]; return ok }
	switch {
	case has(causeDamaged):
		where := "the registry, or something before it,"
		if d.subject.local() {
			where = "the disk"
		}
		return fmt.Sprintf("%s gives wrong bytes for %s: pull from another copy, or sign again: %s", where, first[causeDamaged].damaged, d.sign())
	case has(causeWrong):
		return "the signature was changed, or made with another key than it says: have it signed again: " + d.sign()
	case has(causeOtherKey):
		return tree + "; if another key is the right one, name it: modseal verify --key PUBLIC-KEY " + d.subject.reference()
	case has(causeCertificate):
		return "modseal verifies by keys and not by certificates; " + ask
	case has(causeElsewhere):
		return "what was signed is another artifact, as after a model was pushed again: verify that one, or have this one signed: " + d.sign()
	case has(causeUnusable):
		return tree + "; " + ask
	case has(causeAttestation):
		return "an attestation is no signature of the model, whoever made it; " + ask
	}
	return ask
}

// sign is the command that signs the subject.
func (d *decision) sign() string { return "modseal sign --key PRIVATE-KEY " + d.subject.reference() }

func names(keys []trust.Key) string {
	var out []string
	for _, k := range keys {
		out = append(out, k.Name)
	}
	return listing(out)
}

func describe(keys []trust.Key) string {
	var out []string
	for _, k := range keys {
		out = append(out, fmt.Sprintf("%s (%s, %s)", k.Name, k.Describe(), k.Short()))
	}
	return listing(out)
}
