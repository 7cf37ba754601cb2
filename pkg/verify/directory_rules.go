package verify

import (
	"fmt"
	"maps"
	"slices"

	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/statement"
)

// directoryDemand is a requirement as a directory can meet it: OMS statements by
// so many different signers.
type directoryDemand struct {
	kind string
	group
}

func (g directoryDemand) name(d *decision) string {
	if g.threshold > 1 {
		return fmt.Sprintf("OMS signatures by %d of %s", g.threshold, d.names(g.signers))
	}
	return "OMS signature by " + d.names(g.signers)
}

func (g directoryDemand) lookedFor(d *decision, subject string) string {
	if g.threshold > 1 {
		return fmt.Sprintf("signatures by %d of %s over the files of %s, each in a file of its own", g.threshold, d.describe(g.signers), subject)
	}
	return fmt.Sprintf("a signature by %s over the files of %s", d.describe(g.signers), subject)
}

// directoryDemands returns what the rules demand. Without a requirement of
// signatures, an OMS statement is demanded even where the rules let an artifact do
// without: nothing else vouches for a directory.
func directoryDemands(rules policy.Rules) []directoryDemand {
	var out []directoryDemand
	var signers []policy.Signer
	for _, req := range rules.Requirements {
		if s := req.Signature; s != nil {
			out = append(out, directoryDemand{KindSignature, group{s.Signers, max(s.Threshold, 1), s.Witness}})
			signers = append(signers, s.Signers...)
		}
	}
	signatures := len(out)
	for _, req := range rules.Requirements {
		o := req.OMS
		if o == nil {
			continue
		}
		d := directoryDemand{KindOMS, group{o.Signers, 1, o.Witness}}
		switch {
		case len(o.Signers) == 0 && o.Witness == (policy.Witness{}) && signatures > 0:
			continue // the same as the signatures
		case len(o.Signers) == 0:
			d.signers = signers
		}
		if !o.Required && signatures > 0 {
			d.threshold = 0
		}
		out = append(out, d)
	}
	return out
}

// directoryOMS returns what must hold of every statement that counts. A policy
// without a word about OMS allows what the zero requirement allows. Rules from the
// command line allow what their flags say, and whatever the signer left out: the
// report tells it.
func directoryOMS(rules policy.Rules, o DirectoryOptions) []policy.OMSRequirement {
	var out []policy.OMSRequirement
	for _, req := range rules.Requirements {
		if req.OMS != nil {
			out = append(out, *req.OMS)
		}
	}
	switch {
	case len(out) > 0:
	case fromCommandLine(rules):
		out = append(out, policy.OMSRequirement{
			AnyIgnorePaths: true, Symlinks: true, UnsignedFiles: o.IgnoreUnsigned, LegacyPredicate: o.LegacyPredicate,
		})
	default:
		out = append(out, policy.OMSRequirement{})
	}
	return out
}

func fromCommandLine(rules policy.Rules) bool { return rules.Scope == "" }

func (d *directoryRuling) unsignedAllowed() bool {
	return !slices.ContainsFunc(d.oms, func(o policy.OMSRequirement) bool { return !o.UnsignedFiles })
}

// form returns in what the form of a statement is not what the rules, or the
// caller, have.
func (d *directoryRuling) form(s *DirectorySignature) []string {
	var wrong []string
	for _, o := range d.oms {
		wrong = append(wrong, formAgainst(s, o)...)
		if !fromCommandLine(d.rules) {
			wrong = append(wrong, d.ignoredAgainst(o)...)
		}
	}
	if d.options.Strict {
		for _, r := range s.Relaxations {
			if !r.Conforms() {
				wrong = append(wrong, fmt.Sprintf("it is not in the form of today, which --strict demands: %s", r))
			}
		}
	}
	slices.Sort(wrong)
	return slices.Compact(wrong)
}

// ignoredAgainst returns what the caller leaves out that the rule of a policy does
// not: a file in it would be used without being signed.
func (d *directoryRuling) ignoredAgainst(rule policy.OMSRequirement) []string {
	if rule.AnyIgnorePaths || rule.UnsignedFiles {
		return nil
	}
	allowed := append(statement.DefaultIgnorePaths(), rule.IgnorePaths...)
	var wrong []string
	for _, p := range slices.Sorted(maps.Keys(d.options.Ignored)) {
		if !statement.Ignored(p, allowed) {
			wrong = append(wrong, fmt.Sprintf("%q is to be ignored (--ignore-paths), which the rules do not allow (ignorePaths)", shorten(p)))
		}
	}
	return wrong
}

// formAgainst returns what a statement does that the rule does not allow. The
// signature is never part of what it signs, whatever its name is here or was
// when it was made.
func formAgainst(s *DirectorySignature, rule policy.OMSRequirement) []string {
	rule.IgnorePaths = append(slices.Clone(rule.IgnorePaths), signatureFile)
	wrong := forbidden(rule, s.oms, s.own)
	if s.legacy() && !rule.LegacyPredicate {
		wrong = append(wrong, "it is of model_signing 0.2, which the rules do not allow (legacyPredicate, --legacy-predicate)")
	}
	return wrong
}

// followsLinks reports whether links are followed because the signer did: all
// rules are of policies that allow it.
func (d *directoryDecision) followsLinks(s *DirectorySignature) bool {
	if !s.oms.AllowSymlinks {
		return false
	}
	for _, r := range d.rulings {
		for _, o := range directoryOMS(r.Rules, d.options) {
			if fromCommandLine(r.Rules) || !o.Symlinks {
				return false
			}
		}
	}
	return true
}

// notOfDirectories returns the result of a requirement that no directory meets.
func (d *directoryRuling) notOfDirectories(req policy.Requirement) (RequirementResult, bool) {
	fail := func(kind, what, why string) (RequirementResult, bool) {
		r := d.begin(kind, what, what)
		r.fail("a directory, "+why, nil, "give directories a scope of their own in the policy, with prefix dir: and without this requirement")
		return r, true
	}
	switch {
	case req.Attestation != nil:
		return fail(KindAttestation, "attestations", "to which none can be attached")
	case req.VSA != nil:
		return fail(KindVSA, "verification summaries", "to which none can be attached")
	case req.Conditions != nil:
		return fail(KindConditions, "conditions about the artifact", "which is none and has no config")
	case req.Freshness != nil:
		return fail(KindFreshness, "freshness", "which has no version and no time")
	}
	return RequirementResult{}, false
}
