package policy

import (
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/slsa"
)

func (d *document) vsa(n ast.Node) (*VSARequirement, error) {
	m, err := d.mapping(n, &vsaSection)
	if err != nil {
		return nil, err
	}
	v := &VSARequirement{}
	return v, first(
		func() error { return d.readText(m, "name", &v.Name) },
		func() error { return d.verifiers(m, v) },
		func() error { return d.threshold(m, v.Signers(), &v.Threshold) },
		func() error { return d.resource(m, &v.Resource) },
		func() error { return d.levels(m, v) },
		func() error { return d.policies(m, v) },
		func() error { return d.readDuration(m, "maxAge", &v.MaxAge) },
		func() error {
			return d.conditions(m, &v.Conditions, func(name, expression string) (Condition, error) {
				return AttestationCondition(name, expression, artifacttypes.PredicateVSA)
			})
		},
		func() error { return d.readBoolean(m, "legacyTags", &v.LegacyTags) },
		func() error { return d.observers(m, v.Signers(), &v.Witness) },
	)
}

func (d *document) verifiers(m mapping, v *VSARequirement) error {
	items, err := d.list(m.values["verifiers"], m.field("verifiers"))
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, item := range items {
		m, err := d.mapping(item, &verifierSection)
		if err != nil {
			return err
		}
		var verifier Verifier
		if err := d.readText(m, "id", &verifier.ID); err != nil {
			return err
		}
		switch {
		case !uriPattern.MatchString(verifier.ID):
			return d.errorf(m.lines["id"], "id %q is no URI, such as https://promoter.example.com/prod", verifier.ID)
		case seen[verifier.ID]:
			return d.errorf(m.lines["id"], "verifier %q stands there twice; write one with the signers of both", verifier.ID)
		}
		seen[verifier.ID] = true
		if err := d.signers(m, &verifier.Signers); err != nil {
			return err
		}
		v.Verifiers = append(v.Verifiers, verifier)
	}
	return nil
}

// resource reads here, any, or a list of places.
func (d *document) resource(m mapping, to *Resources) error {
	switch n := m.values["resource"].(type) {
	case nil:
		to.Here = true
		return nil
	case *ast.StringNode:
		to.Here, to.Any = n.Value == resourceHere, n.Value == resourceAny
		if !to.Here && !to.Any {
			return d.errorf(line(n), "resource %q must be %s, %s, or a list of places, such as [registry.example.com/prod]", n.Value, resourceHere, resourceAny)
		}
		return nil
	}
	if err := d.readTexts(m, "resource", &to.Places); err != nil {
		return err
	}
	for i, p := range to.Places {
		if why := checkPlace(p); why != "" {
			return d.errorf(m.lines["resource"], "resource: %s", why)
		}
		if !exactResource(p) {
			to.Places[i] = normalize(p)
		}
	}
	return nil
}

// checkPlace says why nothing could be verified as p, or not what is meant.
func checkPlace(p string) string {
	for _, scheme := range []string{"oci://", "docker://"} {
		if rest, ok := strings.CutPrefix(p, scheme); ok {
			return strconv.Quote(p) + " is written without " + scheme + ": " + strconv.Quote(rest)
		}
	}
	switch {
	case p == Any:
		return strconv.Quote(p) + " is written as resource: " + resourceAny
	case strings.HasPrefix(p, "pkg:oci/"):
		return strconv.Quote(p) + " is written as host/repository"
	case exactResource(p):
		if !uriPattern.MatchString(p) {
			return strconv.Quote(p) + " is no URI"
		}
		return ""
	}
	if err := checkPrefix(p); err != nil {
		return err.Error()
	}
	return ""
}

func (d *document) levels(m mapping, v *VSARequirement) error {
	if err := d.readTexts(m, "levels", &v.Levels); err != nil {
		return err
	}
	for _, l := range v.Levels {
		if err := slsa.Check(l); err != nil {
			return d.errorf(m.lines["levels"], "levels: %s", err)
		}
	}
	return nil
}

func (d *document) policies(m mapping, v *VSARequirement) error {
	var texts []string
	if err := d.readTexts(m, "policies", &texts); err != nil {
		return err
	}
	for _, text := range texts {
		one := digest.Digest(text)
		if err := artifacttypes.ValidateDigest(one); err != nil {
			return d.errorf(m.lines["policies"], "policies: %q is no digest, such as sha256: and 64 hexadecimal digits, which sha256sum prints of the file", text)
		}
		v.Policies = append(v.Policies, one)
	}
	return nil
}
