package verify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/statement"
)

// name is what reports call the requirement.
func (s *summaries) name(g group) string {
	who := cmp.Or(s.req.Name, "by "+s.names(g.signers))
	if g.threshold > 1 {
		return fmt.Sprintf("verification summaries %s, %d of them", who, g.threshold)
	}
	return "verification summary " + who
}

// lookedFor says what is asked for, all of it.
func (s *summaries) lookedFor() string {
	var who []string
	for _, v := range s.req.Verifiers {
		who = append(who, fmt.Sprintf("%s as %s", s.describe(v.Signers), quoted(v.ID)))
	}
	text := fmt.Sprintf("a verification summary (VSA) that says PASSED about %s, for %s, by %s", shortDigest(s.subject.Descriptor.Digest), s.resources(), listing(who))
	if len(s.req.Levels) > 0 {
		text += ", with " + listing(s.req.Levels)
	}
	if len(s.req.Policies) > 0 {
		text += ", by policy " + s.policies()
	}
	if s.req.MaxAge > 0 {
		text += ", not older than " + age(s.req.MaxAge)
	}
	if n := len(s.req.Conditions); n > 0 {
		text += ", which meets " + plural(n, "condition")
	}
	return text
}

// resources says as what the artifact must have been verified.
func (s *summaries) resources() string {
	switch r := s.req.Resource; {
	case r.Here:
		return s.here()
	case r.Any:
		return "whatever place"
	default:
		return strings.Join(r.Places[:min(len(r.Places), 5)], " or ")
	}
}

// tell says of the result what is told of summaries: what counts, as whom; and
// when nothing does, what came closest, whatever else is attached.
func (s *summaries) tell(r *RequirementResult, g group) {
	if r.Outcome == Passed {
		var by []string
		for _, e := range r.Evidence {
			if e.Outcome == Counted {
				by = append(by, fmt.Sprintf("%s, %s", e.Signer, e.Summary))
			}
		}
		r.Found = "by " + listing(by)
		return
	}
	closest, n := s.closest(r.Evidence)
	switch {
	case n == 0 && len(s.all) > 1:
		r.Found = fmt.Sprintf("no verification summary; %d other bundles are attached", len(s.all))
	case n == 1 && closest != nil && !anyCounts(s.all):
		r.Found = "1 verification summary" + closest.continued()
		if others := len(s.all) - 1; others > 0 {
			r.Found += fmt.Sprintf("; %s besides", plural(others, "other bundle"))
		}
	case n > 1 && !anyCounts(s.all):
		r.Found = fmt.Sprintf("%d verification summaries, none of which counts", n)
	}
	if closest == nil && anyCounts(s.all) {
		r.Next = s.ask(KindVSA, missing(g.signers, r.Evidence))
	}
	if closest != nil {
		if next := s.nextOf(closest, g); next != "" {
			r.Next = next
		}
	}
}

// continued is the phrase behind the word that it begins with.
func (f *summarized) continued() string {
	if rest, ok := strings.CutPrefix(f.phrase, "is "+aSummary); ok {
		return rest
	}
	return ", which " + f.phrase
}

func anyCounts(all []*summarized) bool {
	for _, j := range all {
		if j.counts() {
			return true
		}
	}
	return false
}

// steps are the causes of the steps behind the signature, in their order.
var steps = []cause{
	causeVerifier, causeResource, causePolicy, causeFailed, causeNoTime, causeClock, causeContradiction, causeAge, causeLevel, causeCondition,
}

// step is how far a summary came; 0 when nobody trusted has signed it.
func (f *summarized) step() int {
	if f.match == nil {
		return 0
	}
	return slices.Index(steps, f.cause) + 1
}

// closest returns the summary that came closest to counting, of those that do not,
// and how many summaries there are at all. Another one of a signer who counts is
// no help.
func (s *summaries) closest(evidence []EvidenceResult) (*summarized, int) {
	var out *summarized
	n := 0
	for _, j := range s.all {
		if j.piece == nil || j.kind != kindAttestation || j.s.header.PredicateType != artifacttypes.PredicateVSA {
			continue
		}
		n++
		counts := func(e EvidenceResult) bool { return e.Outcome == Counted && e.Signer == j.match.signer.Name }
		if j.match != nil && slices.ContainsFunc(evidence, counts) {
			continue
		}
		if j.cause != causeNone && (out == nil || j.step() > out.step() || j.step() == out.step() && j.cause > out.cause) {
			out = j
		}
	}
	return out, n
}

// nextOf is what to do about a summary that does not count; empty where that is
// the same as for every other statement.
func (s *summaries) nextOf(j *summarized, g group) string {
	ask := s.ask(KindVSA, g.signers)
	switch j.cause {
	case causeVerifier:
		return "if the signer may speak as this verifier, name the pair in the policy (verifiers: id and signers); " + ask
	case causeResource:
		return s.otherResource(j)
	case causePolicy:
		return "have it verified by the policy that is asked for, or add the digest of the other to policies; " + ask
	case causeFailed:
		return "ask " + j.match.signer.Name + " why it was refused; when that is mended, have it verified again, later: " + ask
	case causeLevel:
		return "have it built and verified at that level, or ask for less in the policy (levels); " + ask
	case causeContradiction:
		return "the clock of the verifier, or of who timed the signature, is wrong: have it verified again; " + ask
	case causeAge:
		return "have it verified again, or allow more in the policy (maxAge); " + ask
	case causeNoTime:
		if j.vsa != nil {
			return "have it verified by somebody who says when, or leave maxAge out of the policy; " + ask
		}
	}
	return ""
}

// otherResource says what to write where the summary is right and the place is
// meant, too: what lies on a disk has a name that no promoter knows.
func (s *summaries) otherResource(j *summarized) string {
	ask := s.ask(KindVSA, []policy.Signer{j.match.signer})
	at, _ := statement.ParseResourceURI(j.vsa.Resource)
	place := at.Name
	switch {
	case place == "":
		return fmt.Sprintf("if that resource is meant, name it in the policy: resource: [%q]; %s", shorten(j.vsa.Resource), ask)
	case s.subject.local():
		return fmt.Sprintf("if this is a copy of %s, say so in the policy: resource: [%s], or a remap from %s to it; %s", place, place, s.subject.Name, ask)
	}
	return fmt.Sprintf("if what was verified for %s may be used here, too, name it in the policy: resource: [%s]; %s", place, place, ask)
}
