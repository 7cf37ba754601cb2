package secret

import (
	"io"
	"maps"
	"regexp"
	"slices"
)

// Rules are rules of a test's own, of which it is known which were compiled.
type Rules struct {
	d        *document
	compiled map[string]bool
}

func NewRules() (*Rules, error) {
	d, err := load()
	if err != nil {
		return nil, err
	}
	r := &Rules{d, map[string]bool{}}
	r.d.Allowlist.paths = r.noted("paths", r.d.Allowlist.paths)
	for _, rule := range d.Rules {
		rule.regex = r.noted(rule.ID, rule.regex)
	}
	return r, nil
}

func (r *Rules) noted(name string, get func() *regexp.Regexp) func() *regexp.Regexp {
	return func() *regexp.Regexp {
		r.compiled[name] = true
		return get()
	}
}

// Compiled are the ids of the rules that were compiled, and "paths" for the paths in
// which nothing counts.
func (r *Rules) Compiled() []string { return slices.Sorted(maps.Keys(r.compiled)) }

// CompileAll compiles every expression.
func (r *Rules) CompileAll() {
	all := []*allowance{&r.d.Allowlist}
	for _, rule := range r.d.Rules {
		rule.regex()
		rule.path()
		all = append(all, rule.Allowlists...)
	}
	for _, a := range all {
		a.paths()
		a.regexes()
	}
}

func (r *Rules) Find(path string, text io.Reader, f func(Found) error) error {
	return r.d.find(path, text, f)
}

// Sources has the expression of each rule that has one, and a keyword of it.
func (r *Rules) Sources() map[string][2]string {
	out := map[string][2]string{}
	for _, rule := range r.d.Rules {
		if rule.Regex != "" {
			out[rule.ID] = [2]string{rule.Regex, append(rule.Keywords, "")[0]}
		}
	}
	return out
}
