package verify

import (
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/statement"
)

// oms decides what the rules say of OMS statements, and returns the files that
// the grouping tars must hold, nil when nobody has said it.
//
// A statement of a trusted signer that is there must match: whoever attaches one
// that does not, or takes the right one away and leaves a wrong one, gets a
// refusal and never a model with other files.
func (d *decision) oms(req policy.OMSRequirement) map[string]digest.Digest {
	keys := d.keysOf(req.Signers)
	name := "OMS statement by " + names(keys)
	fail := func(found string, each []string, next string) map[string]digest.Digest {
		d.fail(Reason{
			Requirement: name,
			LookedFor:   fmt.Sprintf("an OMS statement by %s that lists the files of %s", describe(keys), shortDigest(d.subject.Descriptor.Digest)),
			Found:       found,
			Details:     details(each),
			Next:        next,
		})
		return nil
	}
	var members map[string]digest.Digest
	var matched int
	var mismatches []mismatch
	for i, f := range d.findings {
		if f.kind != kindOMS {
			continue
		}
		got, wrong := match(d.model, f.payload)
		switch {
		case len(wrong) > 0:
			d.findings[i].problem = fmt.Sprintf("is an OMS statement by %s that does not match: %s", f.key.Name, firstOf(wrong))
			mismatches = append(mismatches, mismatch{f, wrong})
		case matched > 0 && !maps.Equal(members, got):
			// Both fit the layers, so only the content of the tars could tell
			// which is right, and that is fetched after the decision.
			return fail("two by trusted signers that disagree about the files in grouping layers", nil,
				"ask the signers which is right, and remove the other: modseal tree "+d.subject.reference())
		default:
			matched++
			members = got
			d.checks = append(d.checks, Check{
				Requirement: name, Outcome: Passed, PredicateType: f.predicateType,
				Signer: f.key.Name, Fingerprint: f.key.Fingerprint().String(), Evidence: f.evidence,
			})
		}
	}
	switch {
	case matched > 0:
		return members
	case len(mismatches) > 0:
		found, each := describeMismatches(mismatches)
		return fail(found, each, "the signed files are not these: ask the signer which files belong to the model, or have this one signed: "+d.sign())
	case req.Required:
		found, each := d.found(keys)
		return fail(found, each, d.next(kindOMS, keys))
	}
	return nil
}

// mismatch is a trusted OMS statement of other files.
type mismatch struct {
	finding
	wrong []string
}

func describeMismatches(all []mismatch) (found string, each []string) {
	first := all[0]
	if len(all) == 1 {
		return fmt.Sprintf("one by %s that does not match: %s", first.key.Name, firstOf(first.wrong)), first.wrong
	}
	for _, m := range all {
		for _, w := range m.wrong {
			each = append(each, fmt.Sprintf("%s by %s does not match: %s", shortDigest(m.evidence), m.key.Name, w))
		}
	}
	return fmt.Sprintf("%d by trusted signers, none of which matches", len(all)), each
}

// match compares a signed OMS statement with the layers of a model: the two must
// name the same files with the same digests. What the statement names and no raw
// layer is must be in the grouping tars, when there are any. wrong has every
// difference, and is empty when they match.
func match(m *artifacttypes.Model, payload []byte) (members map[string]digest.Digest, wrong []string) {
	o, err := statement.ParseOMS(payload)
	if err != nil {
		return nil, []string{errorText(err)}
	}
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
