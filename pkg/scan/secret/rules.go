package secret

import (
	"cmp"
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/BurntSushi/toml"
)

//go:embed gitleaks.toml
var rulesText string

// Text returns the text of the rules, so that a report can name them by their digest.
func Text() string { return rulesText }

// document is a configuration of gitleaks, as far as its default one goes.
type document struct {
	Allowlist allowance
	Rules     []*rule
}

type rule struct {
	ID, Description string
	Regex, Path     string
	Entropy         float64
	SecretGroup     int
	Keywords        []string // in lower case; one of them must be near
	Allowlists      []*allowance

	regex, path func() *regexp.Regexp
}

type allowance struct {
	Condition   string // AND: all of them must hold
	RegexTarget string // match, line; empty: the secret
	Paths       []string
	Regexes     []string
	Stopwords   []string

	paths, regexes func() *regexp.Regexp
}

// rules are parsed once.
var rules = sync.OnceValues(load)

// load reads the rules. Their expressions are compiled when one is needed, after its
// keyword was found: ordinary models need two or three of the 222, and all of them take
// longer than a small model to scan.
func load() (*document, error) {
	var d document
	if _, err := toml.Decode(rulesText, &d); err != nil {
		return nil, fmt.Errorf("gitleaks.toml: %w", err)
	}
	// The guess comes last, when it is known what is none.
	slices.SortStableFunc(d.Rules, func(a, b *rule) int { return cmp.Compare(guess(a), guess(b)) })
	d.Allowlist.prepare()
	for _, r := range d.Rules {
		r.regex, r.path = lazily(r.Regex), lazily(r.Path)
		for _, a := range r.Allowlists {
			a.prepare()
		}
	}
	return &d, nil
}

func guess(r *rule) int {
	if r.ID == Generic {
		return 1
	}
	return 0
}

func (a *allowance) prepare() {
	a.paths, a.regexes = lazily(a.Paths...), lazily(a.Regexes...)
	for i, w := range a.Stopwords {
		a.Stopwords[i] = strings.ToLower(w)
	}
}

// lazily joins expressions to one that matches what any of them does; nil when there
// is none.
func lazily(expressions ...string) func() *regexp.Regexp {
	var all []string
	for _, e := range expressions {
		if e != "" {
			all = append(all, "(?:"+e+")")
		}
	}
	if len(all) == 0 {
		return func() *regexp.Regexp { return nil }
	}
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(strings.Join(all, "|")) })
}

func matches(get func() *regexp.Regexp, text string) bool {
	re := get()
	return re != nil && text != "" && re.MatchString(text)
}

// allowsPath reports whether nothing in the file at path counts.
func (a *allowance) allowsPath(path string) bool {
	if a.Condition == "AND" && len(a.Regexes)+len(a.Stopwords) > 0 {
		return false
	}
	return matches(a.paths, path)
}

// allows reports whether a match is none that counts.
func (a *allowance) allows(secret, match, line, path string) bool {
	target := secret
	switch a.RegexTarget {
	case "match":
		target = match
	case "line":
		target = line
	}
	regex := matches(a.regexes, target)
	word := a.hasStopword(secret)
	if a.Condition != "AND" {
		return regex || word
	}
	return (len(a.Paths) == 0 || matches(a.paths, path)) && (len(a.Regexes) == 0 || regex) && (len(a.Stopwords) == 0 || word)
}

func (a *allowance) hasStopword(secret string) bool {
	lower := strings.ToLower(secret)
	for _, w := range a.Stopwords {
		if strings.Contains(lower, w) {
			return true
		}
	}
	return false
}
