package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Warning is something in a policy that is allowed and perhaps not meant.
type Warning struct {
	Line    int    `json:"line"`
	Scope   string `json:"scope"` // its prefix; empty when it is about the document
	Message string `json:"message"`
}

// checker collects warnings.
type checker struct {
	now   time.Time
	scope Scope
	out   []Warning
}

func (c *checker) warn(line int, format string, args ...any) {
	w := Warning{Line: line, Scope: c.scope.Prefix, Message: fmt.Sprintf(format, args...)}
	if w.Line == 0 {
		w.Line = max(c.scope.Line, 1)
	}
	if !slices.Contains(c.out, w) {
		c.out = append(c.out, w)
	}
}

// Check returns what is allowed in the policy and perhaps not meant at the time
// now.
func (p *Policy) Check(now time.Time) []Warning {
	c := &checker{now: now}
	if len(p.Scopes) == 0 {
		c.warn(0, "there are no scopes: every model is refused")
	}
	c.roots(p)
	for _, s := range p.Scopes {
		c.scope = s
		c.oneScope(p)
	}
	return c.out
}

// roots warns of trusted roots that nobody uses, or that may be of any age, and
// of remaps that lead nowhere.
func (c *checker) roots(p *Policy) {
	var used []TrustedRoot
	for _, s := range p.Scopes {
		used = append(used, p.rootsOf(s.Requirements)...)
	}
	for _, r := range p.TrustedRoots {
		if !slices.Contains(used, r) {
			c.warn(0, "nothing uses the trusted root %q", r.Name)
		}
		if r.TUF != "" && r.MaxAge == 0 {
			c.warn(0, "the trusted root %q is never too old: with maxAge, such as 90d, keys that were withdrawn are not trusted for ever", r.Name)
		}
	}
	for _, r := range p.Remaps {
		if !slices.ContainsFunc(p.Scopes, func(s Scope) bool { return s.matches(r.To) || covers(r.To, s.Prefix) }) {
			c.warn(0, "what %s is remapped to, %s, is in no scope", r.From, r.To)
		}
	}
}

func (c *checker) oneScope(p *Policy) {
	s := c.scope
	if s.Mode == ModeWarn {
		c.warn(0, "mode %s uses models that do not meet the requirements: every unmet one is only a warning", ModeWarn)
	}
	if s.Prefix != Any && p.remapped(s.Prefix) != s.Prefix {
		c.warn(0, "the scope never applies: what is below %s is remapped to %s first", s.Prefix, p.remapped(s.Prefix))
	}
	signature, attestation, vsa, required := false, false, false, false
	for _, req := range s.Requirements {
		signature = signature || req.Signature != nil
		attestation = attestation || req.Attestation != nil
		vsa = vsa || req.VSA != nil
		required = required || req.OMS == nil || req.OMS.Required
		c.requirement(req)
	}
	switch {
	case !required:
		c.warn(0, "nothing is required: a model that nobody signed is accepted; write required: true, or a signature requirement")
	case vsa: // which says that somebody has accepted the model
	case !signature && attestation:
		c.warn(0, "no signature on the manifest is required: whoever attests something is taken to vouch for the model")
	case !signature:
		c.warn(0, "no signature on the manifest is required: only the files are bound, not the model's config and annotations")
	}
}

func (c *checker) requirement(req Requirement) {
	for _, message := range sameSigners(req.Signers()) {
		c.warn(req.Line, "%s", message)
	}
	for _, s := range req.Signers() {
		c.signer(req, s)
	}
	c.witness(req)
	switch {
	case req.Signature != nil && req.Signature.LegacyTags:
		c.warn(req.Line, "legacyTags accepts signatures that stand under a tag, which anyone with access to the registry can move or delete")
	case req.Attestation != nil:
		c.attestation(req)
	case req.VSA != nil:
		c.vsa(req)
	case req.OMS != nil:
		c.oms(req)
	case req.Freshness != nil && !req.Freshness.Remember:
		c.warn(req.Line, "freshness without remember: true accepts an older version after a newer one, down to the bound that stands here")
	}
}

func (c *checker) attestation(req Requirement) {
	a := req.Attestation
	if a.LegacyTags {
		c.warn(req.Line, "legacyTags accepts attestations that stand under a tag, which anyone with access to the registry can move or delete")
	}
	for _, t := range a.PredicateTypes {
		if strings.HasPrefix(t, "https://slsa.dev/verification_summary/") && len(a.Conditions) == 0 {
			c.warn(req.Line, `a verification summary that says FAILED counts, too, and one by any verifier and for any place: write a vsa requirement`)
		}
	}
}

func (c *checker) vsa(req Requirement) {
	if req.VSA.LegacyTags {
		c.warn(req.Line, "legacyTags accepts attestations that stand under a tag, which anyone with access to the registry can move or delete")
	}
	if req.VSA.Resource.Any {
		c.warn(req.Line, "resource: any accepts what was verified for another place, such as a registry for tests: name the places")
	}
}

func (c *checker) oms(req Requirement) {
	o := req.OMS
	for _, relaxed := range []struct {
		is   bool
		what string
	}{
		{o.AnyIgnorePaths, "ignorePaths: any lets the signer leave out any file, which then nobody vouches for"},
		{o.Symlinks, "symlinks: true accepts files that a symbolic link brought in from elsewhere"},
		{o.UnsignedFiles, "unsignedFiles: true accepts files that nobody signed beside those that somebody did"},
		{o.LegacyPredicate, "legacyPredicate: true accepts the statements of model_signing 0.2, whose signed form is not that of DSSE"},
	} {
		if relaxed.is {
			c.warn(req.Line, "%s", relaxed.what)
		}
	}
}

// witness warns of an age that nobody can tell.
func (c *checker) witness(req Requirement) {
	w := req.Witness()
	signers := req.Signers()
	if w.MaxAge > 0 && w.TransparencyLogs == 0 && w.Timestamps == 0 && !(len(signers) > 0 && everyKeyless(signers)) {
		c.warn(req.Line, "maxAge counts only signatures with a time of a log or timestamp authority, and none is required: write transparencyLogs: 1 or timestamps: 1")
	}
	// A certificate bounds it by its own time.
	if i := slices.IndexFunc(signers, func(s Signer) bool { return s.Key != "" }); w.MaxAge > 0 && i >= 0 {
		c.warn(req.Line, "maxAge of signer %q: whoever can ask the log or timestamp authority gives an old signature of a key a new time; compare a time in the predicate with now, or see freshness", signers[i].Name)
	}
}

func (c *checker) signer(req Requirement, s Signer) {
	witnessed := s.Keyless != nil || req.Witness().TransparencyLogs > 0 || req.Witness().Timestamps > 0
	switch {
	case !s.NotAfter.IsZero() && s.NotAfter.Before(c.now) && witnessed:
		c.warn(req.Line, "signer %q counts only for what was signed until %s, which is past", s.Name, s.NotAfter.Format(time.DateOnly))
	case !s.NotAfter.IsZero() && s.NotAfter.Before(c.now):
		c.warn(req.Line, "signer %q ended on %s: it counts only for signatures with an earlier time of a log or timestamp authority, and none is required", s.Name, s.NotAfter.Format(time.DateOnly))
	case s.NotBefore.After(c.now):
		c.warn(req.Line, "signer %q does not count before %s", s.Name, s.NotBefore.Format(time.DateOnly))
	}
	if cert := s.Certificate; cert != nil {
		c.match(req, s, "identityRegexp", cert.Identity)
	}
	k := s.Keyless
	if k == nil {
		return
	}
	c.match(req, s, "issuerRegexp", k.Issuer)
	c.match(req, s, "identityRegexp", k.Identity)
	if k.Issuer.Exact != "" && !strings.HasPrefix(k.Issuer.Exact, "https://") {
		c.warn(req.Line, "signer %q: the issuer %q is no URL that begins with https://, as those of Sigstore do", s.Name, k.Issuer.Exact)
	}
	if k.Unlogged {
		c.warn(req.Line, "signer %q: unlogged: true accepts signatures that no transparency log has, so that a stolen identity leaves no trace", s.Name)
	}
	if k.SCTs == 0 {
		c.warn(req.Line, "signer %q: sct: 0 accepts certificates that no certificate transparency log has", s.Name)
	}
}

func (c *checker) match(req Requirement, s Signer, field string, m Match) {
	if m.Regexp == "" {
		return
	}
	for _, message := range m.suspicions() {
		c.warn(req.Line, "signer %q: %s %s %s", s.Name, field, m, message)
	}
}

// sameSigners names signers that are the same certificate or keyless identity,
// which counts once. Keys are compared by [Policy.CheckKeys].
func sameSigners(signers []Signer) []string {
	var out []string
	for i, s := range signers {
		for _, earlier := range signers[:i] {
			if s.Key == "" && s.sameAs(earlier) {
				out = append(out, fmt.Sprintf("signers %q and %q are the same identity, which counts once", earlier.Name, s.Name))
				break
			}
		}
	}
	return out
}

// CheckKeys returns what [Policy.Check] cannot see without the keys: names that
// stand for the same key. fingerprints has the fingerprint of every signer's key
// by the signer's name; a signer that is not there is taken for another key.
func (p *Policy) CheckKeys(fingerprints map[string]string) []Warning {
	c := &checker{}
	for _, s := range p.Scopes {
		c.scope = s
		for _, req := range s.Requirements {
			for _, message := range req.checkKeys(fingerprints) {
				c.warn(req.Line, "%s", message)
			}
		}
	}
	return c.out
}

func (req Requirement) checkKeys(fingerprints map[string]string) []string {
	var out, keys []string // keys in the order of their first names
	names := map[string][]string{}
	onlyKeys := true
	for _, signer := range req.Signers() {
		key := fingerprints[signer.Name]
		if key == "" {
			key = "signer " + signer.Name
		}
		if names[key] == nil {
			keys = append(keys, key)
		}
		names[key] = append(names[key], strconv.Quote(signer.Name))
		onlyKeys = onlyKeys && signer.Key != ""
	}
	for _, key := range keys {
		if same := names[key]; len(same) > 1 {
			last := len(same) - 1
			out = append(out, fmt.Sprintf("signers %s and %s are the same key, %s, which counts once", strings.Join(same[:last], ", "), same[last], key))
		}
	}
	kind, threshold := req.threshold()
	if threshold <= len(keys) {
		return out
	}
	what := "different key"
	if !onlyKeys {
		what = "different signer"
	}
	have := fmt.Sprintf("%d %ss", len(keys), what)
	if len(keys) == 1 {
		have = "1 " + strings.TrimPrefix(what, "different ")
	}
	return append(out, fmt.Sprintf("no model can meet this %s requirement: its threshold is %d, and its %d signers have only %s", kind, threshold, len(req.Signers()), have))
}

// threshold is 0 for requirements that have none.
func (req Requirement) threshold() (kind string, n int) {
	switch {
	case req.Signature != nil:
		return "signature", req.Signature.Threshold
	case req.Attestation != nil:
		return "attestation", req.Attestation.Threshold
	case req.VSA != nil:
		return "vsa", req.VSA.Threshold
	}
	return "", 0
}
