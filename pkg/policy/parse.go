package policy

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// Parse reads a policy document. name is its file, for messages. Every error is
// a [*Error].
func Parse(name string, data []byte) (*Policy, error) {
	body, err := parseYAML(name, data)
	if err != nil {
		return nil, err
	}
	d := &document{name: name, keys: map[string]string{}}
	p := &Policy{Name: name}
	if err := d.policy(body, p); err != nil {
		return nil, err
	}
	return p, nil
}

// document is a policy while it is read.
type document struct {
	name string
	keys map[string]string // signer → key, over the whole document
}

func (d *document) errorf(line int, format string, args ...any) error {
	return &Error{Name: d.name, Line: line, Message: fmt.Sprintf(format, args...)}
}

func (d *document) policy(n ast.Node, p *Policy) error {
	m, err := d.mapping(n, "the policy", "version", "default", "scopes")
	if err != nil {
		return err
	}
	// The version comes first: of a document of another one, nothing else can
	// be judged.
	version, err := d.required(m, "version")
	if err != nil {
		return err
	}
	if p.Version, err = d.integer(version, "version"); err != nil {
		return err
	}
	if p.Version != Version {
		return d.errorf(line(version), "version %d is unknown; this modseal reads version %d", p.Version, Version)
	}
	verdict, err := d.required(m, "default")
	if err != nil {
		return err
	}
	if p.Default, err = d.text(verdict, "default"); err != nil {
		return err
	}
	if p.Default != DefaultReject {
		return d.errorf(line(verdict), "default %q is unknown; it must be %s", p.Default, DefaultReject)
	}
	list, err := d.required(m, "scopes")
	if err != nil {
		return err
	}
	scopes, err := d.list(list, "scopes")
	if err != nil {
		return err
	}
	seen := map[string]int{}
	for _, item := range scopes {
		s, err := d.scope(item)
		if err != nil {
			return err
		}
		if first, twice := seen[s.Prefix]; twice {
			return d.errorf(s.Line, "the scope in line %d has the same prefix %q", first, s.Prefix)
		}
		seen[s.Prefix] = s.Line
		p.Scopes = append(p.Scopes, s)
	}
	return nil
}

func (d *document) scope(n ast.Node) (Scope, error) {
	s := Scope{Mode: ModeEnforce, Line: line(n)}
	m, err := d.mapping(n, "a scope", "prefix", "mode", "requirements")
	if err != nil {
		return s, err
	}
	prefix, err := d.required(m, "prefix")
	if err != nil {
		return s, err
	}
	if s.Prefix, err = d.text(prefix, "prefix"); err != nil {
		return s, err
	}
	if err := checkPrefix(s.Prefix); err != nil {
		return s, d.errorf(line(prefix), "%s", err)
	}
	if s.Prefix != Any {
		s.Prefix = normalize(s.Prefix)
	}
	if mode := m.values["mode"]; mode != nil {
		if s.Mode, err = d.text(mode, "mode"); err != nil {
			return s, err
		}
		if s.Mode != ModeEnforce && s.Mode != ModeWarn {
			return s, d.errorf(line(mode), "mode %q is unknown; it must be %s or %s", s.Mode, ModeEnforce, ModeWarn)
		}
	}
	s.Requirements, err = d.requirements(m)
	return s, err
}

func (d *document) requirements(m mapping) ([]Requirement, error) {
	n, err := d.required(m, "requirements")
	if err != nil {
		return nil, err
	}
	items, err := d.list(n, "requirements")
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, d.errorf(line(n), "requirements is empty, so that the scope would accept everything; mode %s reports without refusing", ModeWarn)
	}
	var reqs []Requirement
	var oms ast.Node
	var signature bool
	for _, item := range items {
		req, err := d.requirement(item)
		if err != nil {
			return nil, err
		}
		if req.OMS != nil && oms != nil {
			return nil, d.errorf(line(item), "the requirement in line %d is about oms, too", line(oms))
		}
		if req.OMS != nil {
			oms = item
		}
		signature = signature || req.Signature != nil
		reqs = append(reqs, req)
	}
	if oms != nil && !signature && len(Rules{Requirements: reqs}.OMS().Signers) == 0 {
		return nil, d.errorf(line(oms), "oms has no signers, and there is no signature requirement whose signers it could use")
	}
	return reqs, nil
}

func (d *document) requirement(n ast.Node) (Requirement, error) {
	m, err := d.mapping(n, "a requirement", "signature", "oms")
	if err != nil {
		return Requirement{}, err
	}
	signature, oms := m.values["signature"], m.values["oms"]
	switch {
	case signature != nil && oms != nil:
		return Requirement{}, d.errorf(line(oms), "a requirement is about one thing: begin another one with - before oms")
	case signature != nil:
		s, err := d.signature(signature)
		return Requirement{Signature: s}, err
	case oms != nil:
		o, err := d.oms(oms)
		return Requirement{OMS: o}, err
	}
	return Requirement{}, d.errorf(line(n), "a requirement is empty; it must be signature or oms")
}

func (d *document) signature(n ast.Node) (*SignatureRequirement, error) {
	m, err := d.mapping(n, "signature", "signers", "threshold")
	if err != nil {
		return nil, err
	}
	signers, err := d.required(m, "signers")
	if err != nil {
		return nil, err
	}
	s := &SignatureRequirement{Threshold: 1}
	if s.Signers, err = d.signers(signers); err != nil {
		return nil, err
	}
	threshold := m.values["threshold"]
	if threshold == nil {
		return s, nil
	}
	if s.Threshold, err = d.integer(threshold, "threshold"); err != nil {
		return nil, err
	}
	keys := map[string]bool{}
	for _, signer := range s.Signers {
		keys[signer.Key] = true
	}
	if s.Threshold < 1 || s.Threshold > len(keys) {
		return nil, d.errorf(line(threshold), "threshold %d is not between 1 and the number of different keys, %d", s.Threshold, len(keys))
	}
	return s, nil
}

func (d *document) oms(n ast.Node) (*OMSRequirement, error) {
	m, err := d.mapping(n, "oms", "required", "signers")
	if err != nil {
		return nil, err
	}
	required, err := d.required(m, "required")
	if err != nil {
		return nil, err
	}
	o := &OMSRequirement{}
	if o.Required, err = d.boolean(required, "required"); err != nil {
		return nil, err
	}
	if signers := m.values["signers"]; signers != nil {
		o.Signers, err = d.signers(signers)
	}
	return o, err
}

func (d *document) signers(n ast.Node) ([]Signer, error) {
	items, err := d.list(n, "signers")
	if err != nil {
		return nil, err
	}
	if len(items) == 0 || len(items) > limits.Signers {
		return nil, d.errorf(line(n), "%d signers; there must be between 1 and %d", len(items), limits.Signers)
	}
	names := map[string]bool{}
	var signers []Signer
	for _, item := range items {
		s, err := d.signer(item)
		if err != nil {
			return nil, err
		}
		if names[s.Name] {
			return nil, d.errorf(line(item), "signer %q stands there twice", s.Name)
		}
		names[s.Name] = true
		signers = append(signers, s)
	}
	return signers, nil
}

func (d *document) signer(n ast.Node) (Signer, error) {
	m, err := d.mapping(n, "a signer", "name", "key")
	if err != nil {
		return Signer{}, err
	}
	var s Signer
	if s.Name, err = d.requiredText(m, "name"); err != nil {
		return s, err
	}
	if s.Key, err = d.requiredText(m, "key"); err != nil {
		return s, err
	}
	key := m.values["key"]
	if !s.Inline() && (strings.Contains(s.Key, "://") || strings.HasPrefix(s.Key, "pkcs11:")) {
		return s, d.errorf(line(key), "key %q is neither a file nor a PEM block; this modseal knows no other", s.Key)
	}
	if other, known := d.keys[s.Name]; known && other != s.Key {
		return s, d.errorf(line(key), "signer %q has another key elsewhere in the policy; give each key its own name", s.Name)
	}
	d.keys[s.Name] = s.Key
	return s, nil
}

func (d *document) requiredText(m mapping, key string) (string, error) {
	value, err := d.required(m, key)
	if err != nil {
		return "", err
	}
	text, err := d.text(value, key)
	if err == nil && strings.TrimSpace(text) == "" {
		err = d.errorf(line(value), "%s is empty", key)
	}
	return text, err
}
