package policy

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
)

// Parse reads a policy document. name is its file, for messages. Every error is
// a [*Error].
func Parse(name string, data []byte) (*Policy, error) {
	body, err := parseYAML(name, data)
	if err != nil {
		return nil, err
	}
	d := &document{name: name, known: map[string]knownSigner{}}
	p := &Policy{Name: name}
	if err := d.policy(body, p); err != nil {
		return nil, err
	}
	return p, nil
}

// document is a policy while it is read.
type document struct {
	name  string
	roots []string               // names of the trusted roots
	known map[string]knownSigner // by name, over the whole document
}

type knownSigner struct {
	Signer
	line int
}

func (d *document) errorf(line int, format string, args ...any) error {
	return &Error{Name: d.name, Line: line, Message: fmt.Sprintf(format, args...)}
}

func (d *document) policy(n ast.Node, p *Policy) error {
	m, err := d.keys(n, &policySection)
	if err != nil {
		return err
	}
	// The version comes first: of a document of another one, nothing else can
	// be judged.
	if version := m.values["version"]; version != nil {
		if p.Version, err = d.integer(version, "version"); err != nil {
			return err
		}
		if p.Version != Version {
			return d.errorf(line(version), "version %d is unknown; this modseal reads version %d", p.Version, Version)
		}
	}
	if err := d.complete(m); err != nil {
		return err
	}
	// Trusted roots come before the scopes that name them.
	return first(
		func() error { return d.readText(m, "name", &p.Title) },
		func() error { return d.readText(m, "default", &p.Default) },
		func() error { return d.trustedRoots(m, p) },
		func() error { return d.remaps(m, p) },
		func() error { return d.limits(m, p) },
		func() error { return d.scopes(m, p) },
	)
}

// first calls the functions until one fails.
func first(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (d *document) scopes(m mapping, p *Policy) error {
	items, err := d.list(m.values["scopes"], m.field("scopes"))
	if err != nil {
		return err
	}
	seen := map[string]int{}
	for _, item := range items {
		s, err := d.scope(item)
		if err != nil {
			return err
		}
		if first, twice := seen[s.Prefix]; twice {
			return d.errorf(s.Line, "the scope in line %d has the same prefix %q; write one scope with the requirements of both", first, s.Prefix)
		}
		seen[s.Prefix] = s.Line
		p.Scopes = append(p.Scopes, s)
	}
	return nil
}

func (d *document) scope(n ast.Node) (Scope, error) {
	s := Scope{Mode: ModeEnforce, Line: line(n)}
	m, err := d.mapping(n, &scopeSection)
	if err != nil {
		return s, err
	}
	prefix := m.values["prefix"]
	if s.Prefix, err = d.text(prefix, "prefix"); err != nil {
		return s, err
	}
	if err := checkPrefix(s.Prefix); err != nil {
		return s, d.errorf(line(prefix), "%s", err)
	}
	if s.Prefix != Any {
		s.Prefix = normalize(s.Prefix)
	}
	if err := d.readText(m, "mode", &s.Mode); err != nil {
		return s, err
	}
	s.Requirements, err = d.requirements(m)
	return s, err
}
