package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/policy"
)

// conditions decides a conditions requirement: what is asked of the artifact
// itself.
func (d *decision) conditions(ctx context.Context, req policy.ConditionsRequirement) (RequirementResult, error) {
	var asked []string
	for _, c := range req.Conditions {
		asked = append(asked, c.String())
	}
	r := d.begin(KindConditions, "conditions", "a model of which these are true: "+strings.Join(asked, ", "))
	if len(req.Conditions) == 1 {
		r.Name = asked[0]
		r.LookedFor = "a model of which this is true: " + req.Conditions[0].Expression
	}
	const next = "ask whoever published the model, or change the condition in the policy if it is wrong"
	facts, err := d.factsAbout()
	if err != nil {
		r.fail("a model of which that cannot be told: "+errorText(err), nil, next)
		return r, nil
	}
	not, err := unmet(ctx, facts, req.Conditions)
	switch {
	case err != nil:
		return r, err
	case len(not) > 0:
		r.fail(firstOf(not), not, next)
	default:
		r.Found = "a model of which " + plural(len(req.Conditions), "condition") + " hold"
		if len(req.Conditions) == 1 {
			r.Found = "a model of which it is true"
		}
	}
	return r, nil
}

// factsAbout returns what conditions can ask about the model. They are made when
// a condition is first evaluated, after the OMS statements, which know what is in
// the grouping tars.
func (d *decision) factsAbout() (*policy.Facts, error) {
	if d.facts == nil && d.factsErr == nil {
		d.facts, d.factsErr = policy.NewFacts(d.artifact())
	}
	return d.facts, d.factsErr
}

func (d *decision) artifact() policy.Artifact {
	a := policy.Artifact{
		Reference: d.subject.Name, Subject: d.rules.Subject, Digest: d.subject.Descriptor.Digest.String(),
		Annotations: d.model.Manifest.Annotations, Config: d.subject.Config, Now: d.x.now,
	}
	if a.Subject == "" {
		a.Subject = d.subject.Name
	}
	tars := 0
	for _, l := range d.model.Layers {
		if l.Encoding != artifacttypes.EncodingRaw {
			tars++
			continue
		}
		a.Files = append(a.Files, policy.File{
			Name: l.Path, Size: l.Descriptor.Size, Digest: l.Descriptor.Digest.String(),
			Role: string(l.Role), MediaType: l.Descriptor.MediaType,
		})
	}
	for _, p := range slices.Sorted(maps.Keys(d.members)) {
		a.Files = append(a.Files, policy.File{Name: p, Size: -1, Digest: d.members[p].String()})
	}
	if tars > 0 && d.members == nil {
		a.Unlisted = fmt.Sprintf("nobody trusted says which files are in %s of the model: an OMS statement would", plural(tars, "grouping layer"))
	}
	return a
}
