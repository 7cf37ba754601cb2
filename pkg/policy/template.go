package policy

import (
	"fmt"
	"strconv"
	"strings"
)

// TemplateOptions fill in a [Template].
type TemplateOptions struct {
	Prefix      string // empty: registry.example.com/team
	SignerName  string // empty: release
	Key         string // empty: release.pub
	OMSRequired bool
}

// Template returns a policy document to begin with, with comments. It is a
// policy that [Parse] reads, provided that the options are what it would read.
func Template(o TemplateOptions) []byte {
	or := func(s, fallback string) string {
		if s == "" {
			s = fallback
		}
		return strconv.Quote(s)
	}
	return fmt.Appendf(nil, `# Which models may be used here. modseal policy check reads this file strictly.
version: 1

# What happens to a model that no scope matches.
default: reject

# The scope with the longest matching prefix applies, and no other. A prefix is
# a registry, a repository or a part of its path; oci: and dir: match layouts and
# directories on disk, * everything.
scopes:
  - prefix: %s
    mode: enforce # or warn: warn of what is missing, and use the model all the same
    requirements: # all must hold
      - signature:
          signers: # keys are files beside this one, or PEM blocks
            - name: %s
              key: %s
          threshold: 1 # how many different keys must have signed
      - oms:
          # An OMS statement that does not match the model is always refused;
          # true demands that there is one.
          required: %t
`, or(o.Prefix, "registry.example.com/team"), or(o.SignerName, "release"), or(o.Key, "release.pub"), o.OMSRequired)
}

// Warning is something in a policy that is allowed and perhaps not meant.
type Warning struct {
	Line    int    `json:"line"`
	Scope   string `json:"scope"`
	Message string `json:"message"`
}

// Check returns what is allowed in the policy and perhaps not meant.
func (p *Policy) Check() []Warning {
	var out []Warning
	warn := func(s Scope, format string, args ...any) {
		out = append(out, Warning{Line: s.Line, Scope: s.Prefix, Message: fmt.Sprintf(format, args...)})
	}
	if len(p.Scopes) == 0 {
		out = append(out, Warning{Line: 1, Message: "there are no scopes: every model is refused"})
	}
	for _, s := range p.Scopes {
		if s.Mode == ModeWarn {
			warn(s, "mode %s uses models that do not meet the requirements: every unmet one is only a warning", ModeWarn)
		}
		signature := false
		for _, req := range s.Requirements {
			signature = signature || req.Signature != nil
		}
		if !signature {
			warn(s, "no signature on the manifest is required: only the files are bound, not the model's config and annotations")
		}
	}
	return out
}

// CheckKeys returns what [Policy.Check] cannot see without the keys: names that
// stand for the same key. fingerprints has the fingerprint of every signer's key
// by the signer's name; a signer that is not there is taken for another key.
func (p *Policy) CheckKeys(fingerprints map[string]string) []Warning {
	var out []Warning
	for _, s := range p.Scopes {
		for _, req := range s.Requirements {
			for _, message := range req.checkKeys(fingerprints) {
				out = append(out, Warning{Line: s.Line, Scope: s.Prefix, Message: message})
			}
		}
	}
	return out
}

func (req Requirement) checkKeys(fingerprints map[string]string) []string {
	var out, keys []string // keys in the order of their first names
	names := map[string][]string{}
	for _, signer := range req.Signers() {
		key := fingerprints[signer.Name]
		if key == "" {
			key = "signer " + signer.Name
		}
		if names[key] == nil {
			keys = append(keys, key)
		}
		names[key] = append(names[key], strconv.Quote(signer.Name))
	}
	for _, key := range keys {
		if same := names[key]; len(same) > 1 {
			last := len(same) - 1
			out = append(out, fmt.Sprintf("signers %s and %s are the same key, %s, which counts once", strings.Join(same[:last], ", "), same[last], key))
		}
	}
	if s := req.Signature; s != nil && s.Threshold > len(keys) {
		have := fmt.Sprintf("%d different keys", len(keys))
		if len(keys) == 1 {
			have = "1 key"
		}
		out = append(out, fmt.Sprintf("no model can meet this signature requirement: its threshold is %d, and its %d signers have only %s", s.Threshold, len(s.Signers), have))
	}
	return out
}
