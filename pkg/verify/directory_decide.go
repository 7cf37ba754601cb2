package verify

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/policy"
)

// Directory decides whether a model on disk is the one that signatures sign, by
// every ruling. Of a directory there is nothing but OMS statements, so that those
// count for requirements of signatures too; requirements that a directory cannot
// meet, such as attestations, refuse it.
//
// A statement by a signer whom the rules name must match, whatever others sign.
// Files are read once such a signature was found good.
//
// Errors: [*Refusal] when a requirement is not met and its rules enforce it, with
// every path that differs in its details; [*Undecided] when there are no rules, no
// signature, or nothing for a signer to be known by.
func Directory(ctx context.Context, subject DirectorySubject, signatures []*DirectorySignature, o DirectoryOptions, rulings ...Ruling) (*Report, error) {
	if len(rulings) == 0 {
		rulings = []Ruling{{}}
	}
	all := &directoryDecision{subject: subject, signatures: signatures, options: o, rulings: rulings, compared: map[*DirectorySignature]comparison{}}
	out := &outcome{subject: Subject{Name: subject.Name}}
	for _, r := range rulings {
		d := &directoryRuling{
			decision:          &decision{subject: out.subject, rules: r.Rules, x: newMatcher(r)},
			directoryDecision: all,
			demands:           directoryDemands(r.Rules), oms: directoryOMS(r.Rules, o),
		}
		if err := d.ready(); err != nil {
			return nil, err
		}
		if err := d.decide(ctx); err != nil {
			return nil, err
		}
		out.decisions = append(out.decisions, d.decision)
	}
	report := out.report()
	all.detail(report.Checks)
	if report.Decision == Refused {
		return nil, out.refusal(report)
	}
	report.Warnings = append(report.Warnings, all.warnings()...)
	return &report, nil
}

// directoryDecision is what all rulings share.
type directoryDecision struct {
	subject    DirectorySubject
	signatures []*DirectorySignature
	options    DirectoryOptions
	rulings    []Ruling
	compared   map[*DirectorySignature]comparison // those of trusted signers
}

// detail says of the statements that count what they are.
func (d *directoryDecision) detail(checks []Check) {
	for i := range checks {
		for _, s := range d.signatures {
			if checks[i].Passed() && checks[i].Evidence == s.digest {
				root := digest.NewDigestFromEncoded(digest.SHA256, s.oms.Root)
				checks[i].Detail = fmt.Sprintf("%s, root digest %s", plural(s.Files, "resource"), shortDigest(root))
			}
		}
	}
}

// directoryRuling is the decision by one ruling.
type directoryRuling struct {
	*decision
	*directoryDecision
	demands []directoryDemand
	oms     []policy.OMSRequirement // what holds of every statement that counts
}

// ready makes sure that there is something to decide with.
func (d *directoryRuling) ready() error {
	name := d.directoryDecision.subject.Name
	undecided := func(next, format string, args ...any) error {
		return &Undecided{Subject: name, Why: fmt.Sprintf(format, args...), Next: next}
	}
	const nameSigner = "name the signer's public key with --key FILE, or write a policy with modseal policy init"
	switch m := d.rules.Mode; {
	case len(d.demands) == 0:
		return undecided(nameSigner, "there is no key to verify it with, and no rules that name a signer of directories")
	case m != policy.ModeEnforce && m != policy.ModeWarn:
		return undecided(nameSigner, "mode %q of the rules is unknown", m)
	case len(d.signatures) == 0:
		return undecided("name the signature with --signature FILE", "there is no signature to verify it by")
	}
	for _, demand := range d.demands {
		if len(demand.signers) == 0 {
			return undecided(nameSigner, "a requirement names nobody whose signature counts")
		}
		if no := d.x.ready(demand.signers, demand.witness); no != nil {
			no.Subject = name
			return no
		}
	}
	return nil
}

func (d *directoryRuling) decide(ctx context.Context) error {
	for _, req := range d.rules.Requirements {
		if r, cannot := d.notOfDirectories(req); cannot {
			d.results = append(d.results, r)
		}
	}
	for _, demand := range d.demands {
		r, err := d.meet(ctx, demand)
		if err != nil {
			return err
		}
		d.results = append(d.results, r)
	}
	return nil
}

// meet decides one demand by all signatures.
func (d *directoryRuling) meet(ctx context.Context, demand directoryDemand) (RequirementResult, error) {
	t := tally{demand: demand, people: persons{}}
	t.result = d.begin(demand.kind, demand.name(d.decision), demand.lookedFor(d.decision, d.directoryDecision.subject.Name))
	for _, s := range d.signatures {
		by, miss, err := d.x.directorySignedBy(ctx, s, demand)
		switch {
		case err != nil:
			return t.result, err
		case miss != nil:
			t.missed(s, miss)
			continue
		}
		// A form that the rules do not have is refused before anything is read.
		if wrong := d.form(s); len(wrong) > 0 {
			t.mismatch(s, by, wrong, "ask the signer for a signature in a form that the rules have, or let the rules have this one (oms)")
			continue
		}
		c, err := d.compare(ctx, s)
		if err != nil {
			return t.result, err
		}
		if wrong, next := c.differences(d.unsignedAllowed()); len(wrong) > 0 {
			t.mismatch(s, by, wrong, next)
			continue
		}
		t.count(s, by)
	}
	t.decide()
	return t.result, nil
}
