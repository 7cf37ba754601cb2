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
    mode: enforce # or warn: report what is missing, and accept
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
			warn(s, "mode %s accepts models that do not meet the requirements", ModeWarn)
		}
		if s.Prefix != Any && !isLocal(s.Prefix) && !looksLikeHost(s.Prefix) {
			warn(s, "%q does not begin with the name of a registry (a dot, a port or localhost): no reference may ever match it", s.Prefix)
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

func isLocal(prefix string) bool {
	for _, scheme := range localSchemes {
		if strings.HasPrefix(prefix, scheme) {
			return true
		}
	}
	return false
}

func looksLikeHost(prefix string) bool {
	host, _, _ := strings.Cut(prefix, "/")
	return host == "localhost" || strings.ContainsAny(host, ".:")
}
