package policy

import (
	"errors"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/lazyregexp"
)

func (d *document) attestation(n ast.Node) (*AttestationRequirement, error) {
	m, err := d.mapping(n, &attestationSection)
	if err != nil {
		return nil, err
	}
	a := &AttestationRequirement{}
	return a, first(
		func() error { return d.readText(m, "name", &a.Name) },
		func() error { return d.predicateTypes(m, a) },
		func() error { return d.signers(m, &a.Signers) },
		func() error { return d.threshold(m, a.Signers, &a.Threshold) },
		func() error {
			return d.conditions(m, &a.Conditions, func(name, expression string) (Condition, error) {
				return AttestationCondition(name, expression, a.PredicateTypes...)
			})
		},
		func() error { return d.readBoolean(m, "legacyTags", &a.LegacyTags) },
		func() error { return d.witness(m, a.Signers, &a.Witness) },
	)
}

var uriPattern = lazyregexp.New(patternURI)

// wellKnown are predicate types by the names that modseal attest and cosign have
// for them (https://github.com/sigstore/cosign/blob/v2.6.5/cmd/cosign/cli/options/predicate.go).
var wellKnown = map[string]string{
	"slsaprovenance":   "https://slsa.dev/provenance/v0.2",
	"slsaprovenance02": "https://slsa.dev/provenance/v0.2",
	"slsaprovenance1":  "https://slsa.dev/provenance/v1",
	"cyclonedx":        "https://cyclonedx.org/bom",
	"spdx":             "https://spdx.dev/Document",
	"spdxjson":         "https://spdx.dev/Document",
	"vuln":             "https://cosign.sigstore.dev/attestation/vuln/v1",
	"openvex":          "https://openvex.dev/ns",
	"custom":           "https://cosign.sigstore.dev/attestation/v1",
	"link":             "https://in-toto.io/Link/v1",
	"vsa":              artifacttypes.PredicateVSA,
	"scan":             artifacttypes.PredicateScan,
}

func (d *document) predicateTypes(m mapping, a *AttestationRequirement) error {
	at := m.lines["predicateTypes"]
	if m.values["predicateType"] != nil {
		var one string
		if err := d.readText(m, "predicateType", &one); err != nil {
			return err
		}
		a.PredicateTypes, at = []string{one}, m.lines["predicateType"]
	} else if err := d.readTexts(m, "predicateTypes", &a.PredicateTypes); err != nil {
		return err
	}
	for _, t := range a.PredicateTypes {
		switch {
		case wellKnown[t] != "":
			return d.errorf(at, "predicate type %q is written in full: %s", t, wellKnown[t])
		case !uriPattern.MatchString(t):
			return d.errorf(at, "predicate type %q is no URI, such as https://slsa.dev/provenance/v1", t)
		case t == artifacttypes.PredicateCosignSign:
			return d.errorf(at, "predicate type %s is that of signatures; write a signature requirement", t)
		case t == artifacttypes.PredicateOMS:
			return d.errorf(at, "predicate type %s is that of OMS statements; write an oms requirement", t)
		}
	}
	return nil
}

// conditions reads and compiles a list of conditions.
func (d *document) conditions(m mapping, to *[]Condition, compile func(name, expression string) (Condition, error)) error {
	n := m.values["conditions"]
	if n == nil {
		return nil
	}
	items, err := d.list(n, m.field("conditions"))
	if err != nil {
		return err
	}
	for _, item := range items {
		c, err := d.condition(item, compile)
		if err != nil {
			return err
		}
		*to = append(*to, c)
	}
	return nil
}

func (d *document) condition(n ast.Node, compile func(name, expression string) (Condition, error)) (Condition, error) {
	var name, expression string
	source := n
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		m, err := d.mapping(n, &conditionSection)
		if err == nil {
			err = d.readText(m, "name", &name)
		}
		if err == nil {
			err = d.readText(m, "expression", &expression)
		}
		if err != nil {
			return Condition{}, err
		}
		source = m.values["expression"]
	default:
		var err error
		if expression, err = d.text(n, "a condition"); err != nil {
			return Condition{}, err
		}
		if strings.TrimSpace(expression) == "" {
			return Condition{}, d.errorf(line(n), "a condition is empty; write an expression, such as files.size() > 0")
		}
	}
	c, err := compile(name, strings.TrimSpace(expression))
	var e *ExpressionError
	switch {
	case errors.As(err, &e):
		return c, d.errorf(line(source)+e.lines(source), "%s: column %d: %s", Condition{Name: name, Expression: expression}, e.Column, e.Message)
	case err != nil:
		return c, d.errorf(line(source), "%s: %s", Condition{Name: name, Expression: expression}, err)
	}
	return c, nil
}

// lines is how far below its beginning an expression of several lines is wrong.
// Only those that are written as they are, after |, have the lines of the
// document.
func (e *ExpressionError) lines(n ast.Node) int {
	literal, ok := n.(*ast.LiteralNode)
	if !ok || literal.Start == nil || !strings.HasPrefix(literal.Start.Value, "|") {
		return 0
	}
	return e.Line
}
