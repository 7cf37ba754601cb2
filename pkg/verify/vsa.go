package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/statement"
)

// summaries decides one vsa requirement. The steps of each summary are those of
// SLSA: signature, subject, predicate type, the verifier that the signer may speak
// as, resource, result, levels
// (https://slsa.dev/spec/v1.1/verification_summary#how-to-verify).
type summaries struct {
	*decision
	req policy.VSARequirement
	all []*summarized
}

// summarized is what a piece of evidence is as a verification summary.
type summarized struct {
	judged
	vsa *statement.VSA // nil when it is none, or none that a signer may make
}

// aSummary is what judgements call one.
const aSummary = "a verification summary"

// emptyVSA says why a requirement would hold for everything.
func emptyVSA(req policy.VSARequirement) string {
	nobody := func(v policy.Verifier) bool { return v.ID == "" || len(v.Signers) == 0 }
	switch r := req.Resource; {
	case req.Threshold < 1 || len(req.Verifiers) == 0 || slices.ContainsFunc(req.Verifiers, nobody):
		return "a vsa requirement names no verifiers, no signers of one, or no threshold"
	case !r.Here && !r.Any && len(r.Places) == 0:
		return "a vsa requirement names no resource"
	}
	return ""
}

// vsa decides a vsa requirement: enough different signers of verification
// summaries, each as a verifier that it may speak as.
func (d *decision) vsa(ctx context.Context, req policy.VSARequirement) (RequirementResult, error) {
	s := &summaries{decision: d, req: req}
	g := group{req.Signers(), req.Threshold, req.Witness}
	r := d.begin(KindVSA, s.name(g), s.lookedFor())
	for _, p := range d.pieces {
		j, err := s.judge(ctx, p)
		if err != nil {
			return r, err
		}
		s.all = append(s.all, j)
	}
	s.supersede()
	var all []judged
	for _, j := range s.all {
		all = append(all, j.judged)
	}
	d.count(&r, all, g)
	s.tell(&r, g)
	return r, nil
}

func (s *summaries) judge(ctx context.Context, p *piece) (*summarized, error) {
	switch p.kind {
	case kindUnknown:
		return &summarized{judged: p.judge(p.cause, "%s", p.problem)}, nil
	case kindOMS:
		return &summarized{judged: s.judged[p]}, nil
	case kindSignature:
		return &summarized{judged: p.judge(causeAttestation, "is a signature, not a verification summary")}, nil
	}
	if t := p.s.header.PredicateType; t != artifacttypes.PredicateVSA {
		return &summarized{judged: p.judge(causeAttestation, "is %s, which is another type", attestation(t))}, nil
	}
	v, err := statement.ParseVSA(p.s.payload)
	if err != nil {
		return &summarized{judged: p.judge(causeUnusable, "is %s that is not usable (%s)", aSummary, errorText(err))}, nil
	}
	j, err := s.spoken(ctx, p, v)
	if err != nil || j.match == nil || j.cause != causeNone {
		return &summarized{judged: j}, err
	}
	j.summary = NewSummary(v)
	out := &summarized{judged: j, vsa: v}
	c, why := s.misses(v, j.match)
	if c == causeNone && len(s.req.Conditions) > 0 {
		unmet, err := s.unmetBy(ctx, j, s.req.Conditions)
		if err != nil {
			return out, err
		}
		if unmet != "" {
			c, why = causeCondition, "of which "+unmet
		}
	}
	if c != causeNone {
		out.cause, out.phrase = c, j.phrase+", "+why
	}
	return out, nil
}

// spoken decides who has signed the summary v, and whether that signer may speak
// as the verifier that it names. Whoever may is asked first: a key can have
// several names.
func (s *summaries) spoken(ctx context.Context, p *piece, v *statement.VSA) (judged, error) {
	var may []policy.Signer
	for _, verifier := range s.req.Verifiers {
		if verifier.ID == v.Verifier {
			may = append(may, verifier.Signers...)
		}
	}
	var closest judged
	if len(may) > 0 {
		j, err := s.judgeSigned(ctx, p, group{signers: may, witness: s.req.Witness}, s.req.LegacyTags, aSummary)
		if err != nil || j.match != nil {
			return j, err
		}
		closest = j
	}
	j, err := s.judgeSigned(ctx, p, group{signers: s.req.Signers(), witness: s.req.Witness}, s.req.LegacyTags, aSummary)
	switch {
	case err != nil:
		return j, err
	case j.match != nil:
		j.cause = causeVerifier
		j.phrase += fmt.Sprintf(", as verifier %s, as which it does not count: the rules let it speak as %s", quoted(v.Verifier), listing(s.speaksAs(j.match)))
	case closest.piece != nil:
		return closest, nil
	}
	return j, nil
}

// speaksAs are the verifiers that a signer may speak as.
func (s *summaries) speaksAs(m *signerMatch) []string {
	var out []string
	for _, v := range s.req.Verifiers {
		if slices.ContainsFunc(v.Signers, func(o policy.Signer) bool { return o.Name == m.signer.Name }) {
			out = append(out, quoted(v.ID))
		}
	}
	return out
}

// misses says in what the summary of a signer is not what is asked for. What it
// is about comes first: only then does it matter what it says.
func (s *summaries) misses(v *statement.VSA, m *signerMatch) (cause, string) {
	place, known := statement.ParseResourceURI(v.Resource)
	about := s.subject.Descriptor.Digest
	switch {
	case !s.req.Resource.Takes(v.Resource, place.Name, s.here()):
		return causeResource, fmt.Sprintf("for %s, and not for %s", quotedResource(v.Resource), s.resources())
	case known && !s.req.Resource.Any && place.Digest != "" && place.Digest != about:
		return causeResource, fmt.Sprintf("for %s, which is another artifact than %s", quotedResource(v.Resource), shortDigest(about))
	case !s.byPolicy(v):
		return causePolicy, "by " + policyOf(v) + ", and not by " + s.policies()
	case !v.Passed():
		return causeFailed, "which says that verification FAILED" + atTime(v.TimeVerified)
	}
	if c, why := s.inTime(v, m); c != causeNone {
		return c, why
	}
	for _, level := range s.req.Levels {
		if !v.Meets(level) {
			return causeLevel, fmt.Sprintf("which has not reached %s: it says %s", quoted(level), orNothing(quotedAll(v.Levels)))
		}
	}
	return causeNone, ""
}

// inTime compares the time of the summary with the clock, with the age that it may
// have, and with the trusted times of its signature: nobody signs how something
// came out before it did. What it says itself cannot be made newer afterwards, as
// the time of a signature can.
func (s *summaries) inTime(v *statement.VSA, m *signerMatch) (cause, string) {
	at, now := v.TimeVerified, s.x.now
	switch {
	case at.IsZero() && s.req.MaxAge > 0:
		return causeNoTime, "which does not say when it was verified, and that must not be longer ago than " + age(s.req.MaxAge)
	case at.IsZero():
		return causeNone, ""
	case at.After(now.Add(clockTolerance)):
		return causeClock, fmt.Sprintf("which was verified at %s, and the clock of this machine says %s", stamp(at), stamp(now))
	case m.when.source != sourceClock && at.After(m.when.at.Add(clockTolerance)):
		return causeContradiction, fmt.Sprintf("which was verified at %s, and signed before that, at %s", stamp(at), stamp(m.when.at))
	case s.req.MaxAge > 0 && now.Sub(at) > s.req.MaxAge:
		return causeAge, fmt.Sprintf("which was verified at %s, %s ago, and must not be older than %s", stamp(at), age(now.Sub(at)), age(s.req.MaxAge))
	}
	return causeNone, ""
}

// supersede takes summaries away that the same verifier has taken back: one that
// says FAILED about the same resource, unless it is known to be older. SLSA does
// not say what several summaries mean together; the last word of a verifier is
// taken for its word. Whoever can hide the last word from the reader makes the one
// before it count: maxAge bounds for how long.
func (s *summaries) supersede() {
	for _, j := range s.all {
		if j.vsa == nil || j.cause != causeNone {
			continue
		}
		i := slices.IndexFunc(s.all, func(f *summarized) bool { return f.takesBack(j) })
		if i < 0 {
			continue
		}
		j.cause = causeFailed
		j.phrase += fmt.Sprintf(", which says PASSED%s, but %s of the same verifier says FAILED%s", atTime(j.vsa.TimeVerified), shortDigest(s.all[i].evidence), atTime(s.all[i].vsa.TimeVerified))
	}
}

// takesBack reports whether f, which says FAILED about what is asked for, is not
// known to be older than passed. The zero time of one that has none is after no
// other.
func (f *summarized) takesBack(passed *summarized) bool {
	if f.vsa == nil || f.cause != causeFailed || f.vsa.Passed() || f.vsa.Verifier != passed.vsa.Verifier {
		return false
	}
	failed := f.vsa.TimeVerified
	return failed.IsZero() || !passed.vsa.TimeVerified.After(failed)
}

// here is the name of the place where the artifact is.
func (d *decision) here() string {
	if d.rules.Subject != "" {
		return d.rules.Subject
	}
	return d.subject.Name
}

// byPolicy reports whether v names one of the policies that are asked for.
func (s *summaries) byPolicy(v *statement.VSA) bool {
	return len(s.req.Policies) == 0 || slices.ContainsFunc(s.req.Policies, func(d digest.Digest) bool {
		return v.Policy.Digest[d.Algorithm().String()] == d.Encoded()
	})
}

func policyOf(v *statement.VSA) string {
	text := "policy " + quoted(v.Policy.URI)
	digests := NewSummary(v).PolicyDigests
	if len(digests) == 0 {
		return text + ", of which it gives no digest"
	}
	return text + " (" + quoted(digests[0].String()) + ")"
}

func atTime(t time.Time) string {
	if t.IsZero() {
		return ", and not when"
	}
	return " at " + stamp(t)
}

func orNothing(texts []string) string {
	if len(texts) == 0 {
		return "nothing"
	}
	return listing(texts)
}

// policies names those that are asked for.
func (s *summaries) policies() string {
	var out []string
	for _, d := range s.req.Policies {
		out = append(out, shortDigest(d))
	}
	return strings.Join(out[:min(len(out), 5)], " or ")
}
