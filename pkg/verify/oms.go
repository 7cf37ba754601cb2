package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/statement"
)

// signatureFile is the usual name of an OMS signature, which signers record
// among the paths that they leave out.
const signatureFile = "model.sig"

// omsRule returns what the rules say of OMS statements, and whether they say it:
// without a requirement, a statement of a trusted signer must still match.
func (d *decision) omsRule() (policy.OMSRequirement, bool) {
	for _, req := range d.rules.Requirements {
		if req.OMS != nil {
			rule := *req.OMS
			rule.Signers = d.rules.OMS().Signers
			return rule, true
		}
	}
	return d.rules.OMS(), false
}

// judgeOMS finds the OMS statements of signers among the evidence.
func (d *decision) judgeOMS(ctx context.Context, signers []policy.Signer, w policy.Witness) error {
	for _, p := range d.pieces {
		if p.kind != kindOMS {
			continue
		}
		if len(signers) == 0 {
			d.judged[p] = p.judge(causeAttestation, "is an OMS statement, and the rules name nobody whose statements count")
			continue
		}
		// Such a tag may have been read for other rules, and these cannot want it.
		if p.s.legacy {
			d.judged[p] = p.judge(causeLegacy, "is an OMS statement of a tag of before bundles, where none counts")
			continue
		}
		m, no, err := d.x.signedBy(ctx, p.s, signers, w)
		if err != nil {
			return err
		}
		if no != nil {
			d.judged[p] = p.judge(no.cause, "is an OMS statement %s", no.why)
			continue
		}
		j := p.judge(causeNone, "is an OMS statement by %s", m.by())
		j.match = &m
		d.judged[p] = j
	}
	return nil
}

// oms decides what the rules say of OMS statements, and finds the files that the
// grouping tars must hold. The result is nil when there is nothing to say.
//
// A statement of a trusted signer that is there must match: whoever attaches one
// that does not, or takes the right one away and leaves a wrong one, gets a
// refusal and never a model with other files.
func (d *decision) oms(rule policy.OMSRequirement, explicit bool) *RequirementResult {
	r := d.begin(KindOMS, "OMS statement by "+d.names(rule.Signers),
		fmt.Sprintf("an OMS statement by %s that lists the files of %s", d.describe(rule.Signers), shortDigest(d.subject.Descriptor.Digest)))
	o := omsOutcome{rule: rule, explicit: explicit}
	var all []judged
	for _, p := range d.pieces {
		j := d.asOMS(p)
		if !d.matchOMS(&o, &j) {
			// Both fit the layers, so only the content of the tars could tell
			// which is right, and that is fetched after the decision.
			r.fail("two by trusted signers that disagree about the files in grouping layers", nil,
				"ask the signers which is right, and remove the other: modseal tree "+d.subject.reference())
			return &r
		}
		all = append(all, j)
		r.Evidence = append(r.Evidence, j.result(j.kind == kindOMS && j.match != nil && j.cause == causeNone))
	}
	switch {
	case len(o.by) > 0:
		d.members = o.members
		r.Found = "by " + listing(o.by)
		r.Details = bounded(o.relaxed)
	case len(o.mismatches) > 0:
		found, each := describeMismatches(o.mismatches)
		r.fail(found, each, "the signed files are not these: ask the signer which files belong to the model, or have this one signed: "+d.sign(rule.Signers))
	case rule.Required:
		found, each := foundInstead(all)
		r.fail(found, each, d.next(KindOMS, all, rule.Signers))
	case explicit:
		r.Found = "none, and none is required"
	default:
		return nil
	}
	return &r
}

// asOMS is what a piece is for a requirement of OMS statements.
func (d *decision) asOMS(p *piece) judged {
	if j, known := d.judged[p]; known {
		return j
	}
	switch p.kind {
	case kindUnknown:
		return p.judge(p.cause, "%s", p.problem)
	case kindSignature:
		return p.judge(causeAttestation, "is a signature, not an OMS statement")
	}
	return p.judge(causeAttestation, "is %s, not an OMS statement", attestation(p.s.header.PredicateType))
}

// omsOutcome is what the statements of trusted signers say together.
type omsOutcome struct {
	rule       policy.OMSRequirement
	explicit   bool
	by         []string
	members    map[string]digest.Digest
	mismatches []mismatch
	relaxed    []string
}

// matchOMS compares the statement of j with the layers, when it is one of a
// trusted signer. It reports false when another one says something else.
func (d *decision) matchOMS(o *omsOutcome, j *judged) bool {
	if j.kind != kindOMS || j.match == nil {
		return true
	}
	parsed, err := statement.ParseOMS(j.s.payload)
	var members map[string]digest.Digest
	var wrong []string
	if err != nil {
		wrong = []string{errorText(err)}
	} else if members, wrong = match(d.model, parsed); o.explicit {
		wrong = append(wrong, forbidden(o.rule, parsed, signatureFile)...)
	}
	if len(wrong) > 0 {
		j.cause = causeCondition
		j.phrase = fmt.Sprintf("is an OMS statement by %s that does not match: %s", j.match.by(), firstOf(wrong))
		o.mismatches = append(o.mismatches, mismatch{*j, wrong})
		return true
	}
	if len(o.by) > 0 && !maps.Equal(o.members, members) {
		return false
	}
	o.members = members
	o.by = append(o.by, j.match.by())
	for _, relaxation := range slices.Concat(j.s.relaxed, parsed.Relaxations) {
		o.relaxed = append(o.relaxed, fmt.Sprintf("%s is accepted although %s", shortDigest(j.evidence), relaxation))
	}
	return true
}

// forbidden returns what an OMS statement does that the rule does not allow.
// own is the path of the signature itself, which every signer leaves out.
func forbidden(rule policy.OMSRequirement, o *statement.OMS, own string) []string {
	var out []string
	if len(rule.HashTypes) > 0 && !slices.Contains(rule.HashTypes, o.HashType) {
		out = append(out, fmt.Sprintf("its hash type is %s, and the rules allow %s", o.HashType, listing(rule.HashTypes)))
	}
	if len(rule.Methods) > 0 && !slices.Contains(rule.Methods, o.Method) {
		out = append(out, fmt.Sprintf("its method is %s, and the rules allow %s", o.Method, listing(rule.Methods)))
	}
	if o.AllowSymlinks && !rule.Symlinks {
		out = append(out, "its signer followed symbolic links, which the rules do not allow (symlinks)")
	}
	if !rule.AnyIgnorePaths {
		allowed := append(statement.DefaultIgnorePaths(), rule.IgnorePaths...)
		for _, p := range o.IgnorePaths {
			if p != own && !statement.Ignored(p, allowed) {
				out = append(out, fmt.Sprintf("its signer left out %q, which the rules do not allow (ignorePaths)", shorten(p)))
			}
		}
	}
	return out
}

// mismatch is a trusted OMS statement of other files.
type mismatch struct {
	judged
	wrong []string
}

func describeMismatches(all []mismatch) (found string, each []string) {
	first := all[0]
	if len(all) == 1 {
		return fmt.Sprintf("one by %s that does not match: %s", first.match.by(), firstOf(first.wrong)), first.wrong
	}
	for _, m := range all {
		for _, w := range m.wrong {
			each = append(each, fmt.Sprintf("%s by %s does not match: %s", shortDigest(m.evidence), m.match.by(), w))
		}
	}
	return fmt.Sprintf("%d by trusted signers, none of which matches", len(all)), each
}

// match compares a signed OMS statement with the layers of a model: the two must
// name the same files with the same digests. What the statement names and no raw
// layer is must be in the grouping tars, when there are any. wrong has every
// difference, and is empty when they match.
func match(m *artifacttypes.Model, o *statement.OMS) (members map[string]digest.Digest, wrong []string) {
	if o.Method != statement.MethodFiles || o.HashType != statement.HashSHA256 {
		return nil, []string{fmt.Sprintf("it signs %s by %s, which cannot be compared with layers", o.Method, o.HashType)}
	}
	layers, tars := rawLayers(m)
	members = map[string]digest.Digest{}
	for _, r := range o.Resources {
		want := digest.NewDigestFromEncoded(digest.SHA256, r.Digest)
		p := r.Name
		if p == statement.SingleFile {
			p = onlyFile(layers, tars)
		}
		got, there := layers[p]
		delete(layers, p)
		switch {
		case there && got != want:
			wrong = append(wrong, fmt.Sprintf("%q is signed as %s and is %s", p, want, got))
		case !there && tars:
			members[p] = want
		case !there:
			wrong = append(wrong, fmt.Sprintf("%q is signed as %s and is not in the model", r.Name, want))
		}
	}
	for _, p := range slices.Sorted(maps.Keys(layers)) {
		why := "is not signed"
		if statement.Ignored(p, o.IgnorePaths) {
			why = "is left out by the signer (ignore_paths)"
		}
		wrong = append(wrong, fmt.Sprintf("%q (%s) %s", p, layers[p], why))
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	if err := checkMembers(m, members); err != nil {
		return nil, []string{errorText(err)}
	}
	return members, nil
}

func rawLayers(m *artifacttypes.Model) (layers map[string]digest.Digest, tars bool) {
	layers = make(map[string]digest.Digest, len(m.Layers))
	for _, l := range m.Layers {
		if l.Encoding == artifacttypes.EncodingRaw {
			layers[l.Path] = l.Descriptor.Digest
		} else {
			tars = true
		}
	}
	return layers, tars
}

// onlyFile is what "." means: the file, when the model is one file.
func onlyFile(layers map[string]digest.Digest, tars bool) string {
	if len(layers) == 1 && !tars {
		for p := range layers {
			return p
		}
	}
	return statement.SingleFile
}

// checkMembers makes sure that the files of the tars can live beside the others.
func checkMembers(m *artifacttypes.Model, members map[string]digest.Digest) error {
	if len(members) == 0 {
		return nil
	}
	paths := artifacttypes.NewPathSet()
	for _, l := range m.Layers {
		if l.Encoding == artifacttypes.EncodingRaw {
			if err := paths.Add(l.Path); err != nil {
				return err
			}
		}
	}
	for _, p := range slices.Sorted(maps.Keys(members)) {
		if err := paths.Add(p); err != nil {
			return err
		}
	}
	return nil
}
