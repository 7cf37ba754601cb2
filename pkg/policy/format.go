package policy

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Format returns the document of p, which [Parse] reads as p again. The error
// says what in p is none: something that Parse would refuse.
func Format(p *Policy) ([]byte, error) {
	text := render(p, comments{})
	if _, err := Parse(p.Name, text); err != nil {
		return nil, err
	}
	return text, nil
}

// comments are written into a document that somebody is to go on from.
type comments struct {
	head                                               string // lines, above everything
	fallback, roots, scopes, mode, all, signers, count string
	oms                                                string
}

func render(p *Policy, c comments) []byte {
	var top entries
	top.always("version", Version)
	top.put("name", p.Title)
	top.always("default", DefaultReject, c.fallback)
	top.put("trustedRoots", formatRoots(p.TrustedRoots), c.roots)
	top.put("remap", formatRemaps(p.Remaps))
	top.put("limits", formatLimits(p.Limits))
	var scopes []entries
	for _, s := range p.Scopes {
		scopes = append(scopes, formatScope(s, c))
	}
	if len(scopes) > 0 {
		top.always("scopes", scopes, c.scopes)
	}
	var b bytes.Buffer
	b.WriteString(c.head)
	top.write(&b, "")
	if len(scopes) == 0 {
		b.WriteString("scopes: []\n")
	}
	return b.Bytes()
}

func formatRoots(roots []TrustedRoot) []entries {
	var out []entries
	for _, r := range roots {
		var e entries
		e.always("name", r.Name)
		e.put("file", r.File)
		e.put("tuf", r.TUF)
		e.put("root", r.TUFRoot)
		e.put("maxAge", formatDuration(r.MaxAge))
		out = append(out, e)
	}
	return out
}

func formatRemaps(remaps []Remap) []entries {
	var out []entries
	for _, r := range remaps {
		out = append(out, entries{{key: "from", value: r.From}, {key: "to", value: r.To}})
	}
	return out
}

func formatLimits(l Limits) entries {
	var e entries
	e.put("referrers", l.Referrers)
	e.put("pages", l.Pages)
	if l.Bytes != 0 {
		e.always("bytes", fmt.Sprint(l.Bytes))
	}
	return e
}

func formatScope(s Scope, c comments) entries {
	var reqs []entries
	for _, req := range s.Requirements {
		reqs = append(reqs, formatRequirement(req, c))
	}
	var e entries
	e.always("prefix", s.Prefix)
	e.always("mode", s.Mode, c.mode)
	e.always("requirements", reqs, c.all)
	return e
}

func formatRequirement(req Requirement, c comments) entries {
	var e, inner entries
	switch {
	case req.Signature != nil:
		s := req.Signature
		inner.always("signers", formatSigners(s.Signers), c.signers)
		inner.always("threshold", s.Threshold, c.count)
		inner.put("legacyTags", s.LegacyTags)
		inner.witness(s.Witness)
		e.always("signature", inner)
	case req.OMS != nil:
		e.always("oms", formatOMS(req.OMS, c))
	case req.Attestation != nil:
		e.always("attestation", formatAttestation(req.Attestation))
	case req.VSA != nil:
		e.always("vsa", formatVSA(req.VSA))
	case req.Conditions != nil:
		e.always("conditions", formatConditions(req.Conditions.Conditions))
	case req.Freshness != nil:
		f := req.Freshness
		inner.put("minimumVersion", f.MinimumVersion)
		inner.put("createdAfter", formatTime(f.CreatedAfter))
		inner.put("remember", f.Remember)
		e.always("freshness", inner)
	}
	return e
}

func formatOMS(o *OMSRequirement, c comments) entries {
	var e entries
	e.always("required", o.Required, c.oms)
	e.put("signers", formatSigners(o.Signers))
	e.put("hashTypes", o.HashTypes)
	e.put("methods", o.Methods)
	if o.AnyIgnorePaths {
		e.always("ignorePaths", "any")
	} else {
		e.put("ignorePaths", o.IgnorePaths)
	}
	e.put("symlinks", o.Symlinks)
	e.put("unsignedFiles", o.UnsignedFiles)
	e.put("legacyPredicate", o.LegacyPredicate)
	e.witness(o.Witness)
	return e
}

func formatAttestation(a *AttestationRequirement) entries {
	var e entries
	e.put("name", a.Name)
	if len(a.PredicateTypes) == 1 {
		e.always("predicateType", a.PredicateTypes[0])
	} else {
		e.always("predicateTypes", a.PredicateTypes)
	}
	e.always("signers", formatSigners(a.Signers))
	e.always("threshold", a.Threshold)
	e.put("conditions", formatConditions(a.Conditions))
	e.put("legacyTags", a.LegacyTags)
	e.witness(a.Witness)
	return e
}

func formatVSA(v *VSARequirement) entries {
	var e entries
	e.put("name", v.Name)
	var verifiers []entries
	for _, one := range v.Verifiers {
		var inner entries
		inner.always("id", one.ID)
		inner.always("signers", formatSigners(one.Signers))
		verifiers = append(verifiers, inner)
	}
	e.always("verifiers", verifiers)
	e.always("threshold", v.Threshold)
	switch {
	case v.Resource.Here:
		e.always("resource", resourceHere)
	case v.Resource.Any:
		e.always("resource", resourceAny)
	default:
		e.always("resource", v.Resource.Places)
	}
	e.put("levels", v.Levels)
	var policies []string
	for _, d := range v.Policies {
		policies = append(policies, d.String())
	}
	e.put("policies", policies)
	e.put("maxAge", formatDuration(v.MaxAge))
	e.put("conditions", formatConditions(v.Conditions))
	e.put("legacyTags", v.LegacyTags)
	e.witness(v.Witness)
	return e
}

func formatConditions(conditions []Condition) []entries {
	var out []entries
	for _, c := range conditions {
		var e entries
		e.put("name", c.Name)
		e.always("expression", c.Expression)
		out = append(out, e)
	}
	return out
}

func (e *entries) witness(w Witness) {
	e.put("transparencyLogs", w.TransparencyLogs)
	e.put("timestamps", w.Timestamps)
	e.put("trustedRoot", w.TrustedRoot)
	e.put("maxAge", formatDuration(w.MaxAge))
}

func formatSigners(signers []Signer) []entries {
	var out []entries
	for _, s := range signers {
		var e entries
		e.always("name", s.Name)
		e.put("key", s.Key)
		if c := s.Certificate; c != nil {
			var inner entries
			inner.always("roots", c.Roots)
			inner.put("intermediates", c.Intermediates)
			inner.match("identity", c.Identity)
			e.always("certificate", inner)
		}
		if k := s.Keyless; k != nil {
			e.always("keyless", formatKeyless(k))
		}
		e.put("notBefore", formatTime(s.NotBefore))
		e.put("notAfter", formatTime(s.NotAfter))
		out = append(out, e)
	}
	return out
}

func formatKeyless(k *Keyless) entries {
	var e, extensions entries
	e.put("trustedRoot", k.TrustedRoot)
	e.match("issuer", k.Issuer)
	e.match("identity", k.Identity)
	for _, name := range slices.Sorted(maps.Keys(k.Extensions)) {
		extensions.always(name, k.Extensions[name])
	}
	e.put("extensions", extensions)
	if k.SCTs >= 0 {
		e.always("sct", k.SCTs)
	}
	e.put("unlogged", k.Unlogged)
	return e
}

func (e *entries) match(key string, m Match) {
	e.put(key, m.Exact)
	e.put(key+"Regexp", m.Regexp)
}

// formatDuration is empty for 0. What is no whole number of minutes is rounded
// down, to the stricter side.
func formatDuration(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dm", d/time.Minute)
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
