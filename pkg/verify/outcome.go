package verify

import (
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/policy"
)

// outcome is what all rulings together say of the subject.
type outcome struct {
	subject   Subject
	model     *artifacttypes.Model
	decisions []*decision
}

// members returns the files of the grouping tars, as the first ruling that knows
// them says it.
func (o *outcome) members() map[string]digest.Digest {
	for _, d := range o.decisions {
		if d.members != nil {
			return d.members
		}
	}
	return nil
}

// agree fails the rulings that want other files in the grouping tars than the
// first that knows them: only one of the two can be what is used.
func (o *outcome) agree() {
	first := o.members()
	for _, d := range o.decisions {
		if d.members == nil || maps.Equal(d.members, first) {
			continue
		}
		for i := range d.results {
			if r := &d.results[i]; r.Kind == KindOMS {
				r.fail("a statement about the files in grouping layers that differs from the one that other rules trust", nil,
					"ask the signers which is right, and remove the other: modseal tree "+o.subject.reference())
			}
		}
	}
}

// report says how everything came out.
func (o *outcome) report() Report {
	report := Report{Subject: o.subject.Name, Digest: o.subject.Descriptor.Digest, Decision: Accepted, Policy: o.policy(), Checks: o.checks()}
	for _, d := range o.decisions {
		report.Requirements = append(report.Requirements, d.results...)
		if d.remembers() {
			report.Memory = d.memory
		}
		for _, r := range d.results {
			switch {
			case r.Outcome != Failed:
			case d.rules.Mode != policy.ModeWarn:
				report.Decision = Refused
			default:
				if report.Decision == Accepted {
					report.Decision = Warned
				}
				report.Warnings = append(report.Warnings, o.told(r).String())
			}
		}
	}
	report.Warnings = append(report.Warnings, o.anybody()...)
	if report.Decision == Refused {
		report.Memory = nil
	}
	return report
}

// remembers reports whether what the rules ask to remember is so: what does not
// meet all of them says nothing about what is the newest, even where the rules
// only warn. Else anybody could have a version remembered that nobody released.
func (d *decision) remembers() bool {
	return d.memory != nil && !slices.ContainsFunc(d.results, func(r RequirementResult) bool { return r.Outcome == Failed })
}

// memories are what to remember, by the subject of the rules that ask for it.
func (o *outcome) memories() map[string]Memory {
	out := map[string]Memory{}
	for _, d := range o.decisions {
		if !d.remembers() {
			continue
		}
		m := *d.memory
		if before, known := out[d.rules.Subject]; known {
			m = m.Newest(before)
		}
		out[d.rules.Subject] = m
	}
	return out
}

// anybody warns of rules that ask for no name in a certificate.
func (o *outcome) anybody() []string {
	var out []string
	for _, d := range o.decisions {
		for _, s := range d.rules.Signers() {
			if s.Certificate != nil && s.Certificate.AnyIdentity {
				out = append(out, s.Name+" is accepted, whoever holds it: say who is meant with --certificate-identity")
			}
		}
	}
	return out
}

// refusal is the error of a report that refuses.
func (o *outcome) refusal(report Report) *Refusal {
	r := &Refusal{
		Subject: report.Subject, Digest: report.Digest, Policy: report.Policy,
		Checks: report.Checks, Requirements: report.Requirements,
	}
	for _, result := range report.Requirements {
		if result.Outcome == Failed && result.Mode != policy.ModeWarn {
			r.Reasons = append(r.Reasons, o.told(result))
		}
	}
	return r
}

// told is the reason of a failed requirement, which names its rules where there
// are several.
func (o *outcome) told(r RequirementResult) Reason {
	reason := r.reason()
	if len(o.decisions) == 1 {
		reason.Policy = ""
	}
	return reason
}

// policy names where the rules come from.
func (o *outcome) policy() string {
	var names []string
	for _, d := range o.decisions {
		if n := d.rules.Name; n != "" && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return strings.Join(names, ", ")
}

// checks tells the requirements piece by piece: what counted, what failed, and
// last what counted for nothing.
func (o *outcome) checks() []Check {
	var out []Check
	known := map[digest.Digest]bool{} // evidence that counts, or would
	why := map[digest.Digest]string{}
	var order []digest.Digest
	for _, d := range o.decisions {
		for _, r := range d.results {
			for _, e := range r.Evidence {
				switch {
				case e.Outcome == Counted:
					out = append(out, e.check(r.Name))
					known[e.Digest] = true
				case e.Signer != "" && r.Kind != KindOMS:
					known[e.Digest] = true
				}
				if _, seen := why[e.Digest]; !seen {
					order = append(order, e.Digest)
				}
				// What an OMS statement is, the requirement about them knows best.
				if e.Outcome == Ignored && (why[e.Digest] == "" || r.Kind == KindOMS && strings.Contains(e.Why, "OMS statement")) {
					why[e.Digest] = e.Why
				}
			}
			if r.Outcome == Failed {
				out = append(out, Check{Requirement: r.Name, Outcome: Failed, Detail: r.Found})
			}
		}
	}
	slices.Sort(order)
	for _, evidence := range order {
		if !known[evidence] {
			out = append(out, Check{Outcome: Ignored, Evidence: evidence, Detail: why[evidence]})
		}
	}
	return out
}

func (e EvidenceResult) check(requirement string) Check {
	c := Check{
		Requirement: requirement, Outcome: Passed, PredicateType: e.PredicateType, Signer: e.Signer,
		Fingerprint: e.Fingerprint, Identity: e.Identity, Issuer: e.Issuer, Evidence: e.Digest,
	}
	if e.Legacy {
		c.Detail = "in the form of before bundles"
		if e.Reference != "" {
			c.Detail += ", for " + quoted(e.Reference)
		}
	}
	if e.Summary != nil {
		c.Detail = e.Summary.String()
	}
	return c
}
