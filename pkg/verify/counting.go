package verify

import (
	"context"
	"fmt"
	"slices"

	"github.com/modseal/modseal/pkg/policy"
)

// signature decides a signature requirement: enough different signers of the
// manifest.
func (d *decision) signature(ctx context.Context, req policy.SignatureRequirement) (RequirementResult, error) {
	g := group{req.Signers, req.Threshold, req.Witness}
	name := "signature by " + d.names(g.signers)
	if g.threshold > 1 {
		name = fmt.Sprintf("signatures by %d of %s", g.threshold, d.names(g.signers))
	}
	r := d.begin(KindSignature, name,
		fmt.Sprintf("a signature of %s by %s", shortDigest(d.subject.Descriptor.Digest), d.describe(g.signers)))
	var all []judged
	for _, p := range d.pieces {
		j, err := d.judgeSignature(ctx, p, g, req.LegacyTags)
		if err != nil {
			return r, err
		}
		// Of several requirements, one for which it counts knows best what it is.
		if before, known := d.judged[p]; j.kind == kindSignature && (!known || before.match == nil) {
			d.judged[p] = j
		}
		all = append(all, j)
	}
	d.count(&r, all, g)
	return r, nil
}

func (d *decision) judgeSignature(ctx context.Context, p *piece, g group, legacyTags bool) (judged, error) {
	switch p.kind {
	case kindUnknown:
		return p.judge(p.cause, "%s", p.problem), nil
	case kindOMS:
		return d.judged[p], nil
	case kindAttestation:
		return p.judge(causeAttestation, "is %s, not a signature", attestation(p.s.header.PredicateType)), nil
	}
	return d.judgeSigned(ctx, p, g, legacyTags, "a signature")
}

// judgeSigned decides whether p is a statement about the subject by one of the
// signers. what says what it then is.
func (d *decision) judgeSigned(ctx context.Context, p *piece, g group, legacyTags bool, what string) (judged, error) {
	switch {
	case p.s.legacy && !legacyTags:
		return p.judge(causeLegacy, "is %s of a tag of before bundles, which the rules do not count (legacyTags)", what), nil
	case !p.s.header.Names(d.subject.Descriptor.Digest):
		return p.judge(causeElsewhere, "is %s of something else (%s)", what, subjects(p.s.header)), nil
	}
	m, no, err := d.x.signedBy(ctx, p.s, g.signers, g.witness)
	if err != nil {
		return judged{}, err
	}
	if no != nil {
		return p.judge(no.cause, "is %s", no.why), nil
	}
	j := p.judge(causeNone, "is %s by %s", what, m.by())
	j.match = &m
	return j, nil
}

// persons tells which signatures are by one signer: two that have a name of
// [signerMatch.same] in common, and those that others connect, in whatever order
// they were seen.
type persons map[string]string // from a name to another of the same signer

// add notes that m is somebody, and returns who.
func (p persons) add(m *signerMatch) string {
	same := m.same()
	for _, name := range same[1:] {
		if a, b := p.who(same[0]), p.who(name); a != b {
			p[b] = a
		}
	}
	return p.who(same[0])
}

func (p persons) who(name string) string {
	for p[name] != "" {
		name = p[name]
	}
	return name
}

// counts reports whether j may count for a requirement of signers.
func (j judged) counts() bool {
	return j.match != nil && j.cause == causeNone && j.kind != kindOMS
}

// count decides whether enough different signers are among all. A signer counts
// once, however many bundles it has made and however many names it has.
func (d *decision) count(r *RequirementResult, all []judged, g group) {
	people := persons{}
	for _, j := range all {
		if j.counts() {
			people.add(j.match)
		}
	}
	counted := map[string]bool{}
	var by []string
	for _, j := range all {
		if !j.counts() {
			r.Evidence = append(r.Evidence, j.result(false))
			continue
		}
		who := people.add(j.match)
		if counted[who] {
			j.phrase = "is by " + j.match.by() + ", which counts once"
			r.Evidence = append(r.Evidence, j.result(false))
			continue
		}
		counted[who] = true
		by = append(by, j.match.by())
		r.Evidence = append(r.Evidence, j.result(true))
	}
	if len(by) >= g.threshold {
		r.Found = "by " + listing(by)
		return
	}
	found, each := foundInstead(all)
	if len(by) > 0 {
		found = fmt.Sprintf("only %d of %d, by %s", len(by), g.threshold, listing(by))
		if len(each) > 1 {
			found += "; " + plural(len(each), "bundle") + " are attached"
		}
	}
	r.fail(found, each, d.next(r.Kind, all, missing(g.signers, r.Evidence)))
}

// missing returns the signers by whom nothing was counted; all of them when
// others are no help.
func missing(signers []policy.Signer, evidence []EvidenceResult) []policy.Signer {
	out := slices.DeleteFunc(slices.Clone(signers), func(s policy.Signer) bool {
		return slices.ContainsFunc(evidence, func(e EvidenceResult) bool { return e.Outcome == Counted && e.Signer == s.Name })
	})
	if len(out) == 0 {
		return signers
	}
	return out
}

// foundInstead says what is attached, in a sentence and bundle by bundle.
func foundInstead(all []judged) (sentence string, each []string) {
	for _, j := range all {
		each = append(each, j.line())
	}
	switch len(all) {
	case 0:
		return "nothing attached", nil
	case 1:
		return "1 bundle, which " + all[0].phrase, each
	}
	return plural(len(all), "bundle") + ", none of which counts", each
}

// by names whom a bundle is by.
func (m signerMatch) by() string {
	switch {
	case m.signer.Keyless != nil:
		return fmt.Sprintf("%s (%s of issuer %s)", m.signer.Name, quoted(m.identity), quoted(m.issuer))
	case m.signer.Certificate != nil:
		return fmt.Sprintf("%s (%s)", m.signer.Name, quoted(m.identity))
	}
	return m.signer.Name
}

// distinct returns signers without those whose key another of them has.
func (d *decision) distinct(signers []policy.Signer) []policy.Signer {
	var out []policy.Signer
	for _, s := range signers {
		key, isKey := d.x.trust.Keys[s.Name]
		if isKey && s.Key != "" && slices.ContainsFunc(out, func(o policy.Signer) bool {
			return o.Key != "" && d.x.trust.Keys[o.Name].Equal(key)
		}) {
			continue
		}
		out = append(out, s)
	}
	return out
}

func (d *decision) names(signers []policy.Signer) string {
	var out []string
	for _, s := range d.distinct(signers) {
		out = append(out, s.Name)
	}
	return listing(out)
}

// describe tells whom signers stand for.
func (d *decision) describe(signers []policy.Signer) string {
	var out []string
	for _, s := range d.distinct(signers) {
		switch {
		case s.Keyless != nil:
			out = append(out, fmt.Sprintf("%s (%s of issuer %s)", s.Name, s.Keyless.Identity, s.Keyless.Issuer))
		case s.Certificate != nil && s.Certificate.AnyIdentity:
			out = append(out, s.Name) // says it already
		case s.Certificate != nil:
			out = append(out, fmt.Sprintf("%s (a certificate of %s)", s.Name, s.Certificate.Identity))
		default:
			key := d.x.trust.Keys[s.Name]
			out = append(out, fmt.Sprintf("%s (%s, %s)", s.Name, key.Describe(), key.Short()))
		}
	}
	return listing(out)
}
