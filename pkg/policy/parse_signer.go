package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/modseal/modseal/pkg/internal/limits"
)

func (d *document) signers(m mapping, to *[]Signer) error {
	n := m.values["signers"]
	if n == nil {
		return nil
	}
	items, err := d.list(n, m.field("signers"))
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for _, item := range items {
		s, err := d.signer(item)
		if err != nil {
			return err
		}
		if names[s.Name] {
			return d.errorf(line(item), "signer %q stands there twice; once is enough", s.Name)
		}
		names[s.Name] = true
		*to = append(*to, s)
	}
	return nil
}

func (d *document) signer(n ast.Node) (Signer, error) {
	var s Signer
	m, err := d.mapping(n, &signerSection)
	if err != nil {
		return s, err
	}
	err = first(
		func() error { return d.readText(m, "name", &s.Name) },
		func() error { return d.signerKey(m, &s) },
		func() error { return d.certificate(m, &s) },
		func() error { return d.keyless(m, &s) },
		func() error { return d.readTime(m, "notBefore", &s.NotBefore) },
		func() error { return d.readTime(m, "notAfter", &s.NotAfter) },
	)
	if err != nil {
		return s, err
	}
	if !s.NotAfter.IsZero() && s.NotAfter.Before(s.NotBefore) {
		return s, d.errorf(m.lines["notAfter"], "signer %q can never count: notAfter is before notBefore; exchange them", s.Name)
	}
	other, known := d.known[s.Name]
	switch {
	case !known:
		d.known[s.Name] = knownSigner{Signer: s, line: line(n)}
	case s.Key != other.Key && s.Key != "" && other.Key != "":
		return s, d.errorf(m.lines["key"], "signer %q has another key in line %d; give each key its own name", s.Name, other.line)
	case !s.equal(other.Signer):
		return s, d.errorf(line(n), "signer %q is somebody else in line %d, or at other times; give each its own name", s.Name, other.line)
	}
	return s, nil
}

func (d *document) signerKey(m mapping, s *Signer) error {
	if err := d.readText(m, "key", &s.Key); err != nil {
		return err
	}
	return d.fileOrPEM(m, "key", s.Key, true)
}

// fileOrPEM refuses what is neither a path nor PEM. References to keys are taken
// when they have one of the schemes that are known, because any other would be
// the name of a program, or of a server that says whose key it is.
func (d *document) fileOrPEM(m mapping, name, value string, references bool) error {
	switch {
	case value == "" || Inline(value) || references && KeyReference(value):
		return nil
	case strings.Contains(value, "://") || strings.HasPrefix(value, "pkcs11:"):
		if references {
			return d.errorf(m.lines[name], "%s %q is neither a file nor a PEM block nor a reference that begins with %s", name, value, alternatives(KeySchemes()))
		}
		return d.errorf(m.lines[name], "%s %q is neither a file nor a PEM block; fetch it, and name the file", name, value)
	case strings.ContainsAny(value, "\x00\r\n"):
		return d.errorf(m.lines[name], "%s is several lines, and no PEM block, which begins with -----BEGIN", name)
	}
	return nil
}

func (d *document) certificate(m mapping, s *Signer) error {
	n := m.values["certificate"]
	if n == nil {
		return nil
	}
	c, err := d.mapping(n, &certificateSection)
	if err != nil {
		return err
	}
	s.Certificate = &Certificate{}
	return first(
		func() error { return d.readText(c, "roots", &s.Certificate.Roots) },
		func() error { return d.fileOrPEM(c, "roots", s.Certificate.Roots, false) },
		func() error { return d.readText(c, "intermediates", &s.Certificate.Intermediates) },
		func() error { return d.fileOrPEM(c, "intermediates", s.Certificate.Intermediates, false) },
		func() error { return d.match(c, "identity", &s.Certificate.Identity) },
	)
}

func (d *document) keyless(m mapping, s *Signer) error {
	n := m.values["keyless"]
	if n == nil {
		return nil
	}
	k, err := d.mapping(n, &keylessSection)
	if err != nil {
		return err
	}
	s.Keyless = &Keyless{SCTs: -1}
	err = first(
		func() error { return d.readText(k, "trustedRoot", &s.Keyless.TrustedRoot) },
		func() error { return d.match(k, "issuer", &s.Keyless.Issuer) },
		func() error { return d.match(k, "identity", &s.Keyless.Identity) },
		func() error { return d.extensions(k, s.Keyless) },
		func() error { return d.readInteger(k, "sct", &s.Keyless.SCTs) },
		func() error { return d.readBoolean(k, "unlogged", &s.Keyless.Unlogged) },
	)
	if err != nil {
		return err
	}
	at := k.line
	if k.lines["trustedRoot"] != 0 {
		at = k.lines["trustedRoot"]
	}
	s.Keyless.TrustedRoot, err = d.root(s.Keyless.TrustedRoot, at, "a keyless signer")
	return err
}

// match reads name or nameRegexp, of which exactly one is there.
func (d *document) match(m mapping, name string, to *Match) error {
	expression := name + "Regexp"
	if m.values[name] != nil {
		return d.readText(m, name, &to.Exact)
	}
	if err := d.readText(m, expression, &to.Regexp); err != nil {
		return err
	}
	made, err := Pattern(to.Regexp)
	if err != nil {
		return d.errorf(m.lines[expression], "%s %q is no regular expression: %s; RE2 describes them (https://github.com/google/re2/wiki/Syntax)", expression, shorten(to.Regexp), err)
	}
	*to = made
	return nil
}

// extensionNames are those of Fulcio's certificate extensions
// (https://github.com/sigstore/fulcio/blob/v1.8.6/docs/oid-info.md), in the
// spelling of sigstore-go. The issuer is a field of its own.
var extensionNames = []string{
	"githubWorkflowTrigger", "githubWorkflowSHA", "githubWorkflowName", "githubWorkflowRepository", "githubWorkflowRef",
	"buildSignerURI", "buildSignerDigest", "runnerEnvironment",
	"sourceRepositoryURI", "sourceRepositoryDigest", "sourceRepositoryRef", "sourceRepositoryIdentifier",
	"sourceRepositoryOwnerURI", "sourceRepositoryOwnerIdentifier",
	"buildConfigURI", "buildConfigDigest", "buildTrigger", "runInvocationURI", "sourceRepositoryVisibilityAtSigning",
}

// ExtensionNames returns the names that [Keyless.Extensions] may have.
func ExtensionNames() []string { return slices.Clone(extensionNames) }

func (d *document) extensions(m mapping, k *Keyless) error {
	n := m.values["extensions"]
	if n == nil {
		return nil
	}
	const what = "extensions"
	entries, err := d.entries(n, what, "a mapping of names to texts, such as {sourceRepositoryURI: https://github.com/team/model}")
	if err != nil {
		return err
	}
	if len(entries) == 0 || len(entries) > limits.PolicyNames {
		return d.errorf(line(n), "%d extensions; there must be between 1 and %d", len(entries), limits.PolicyNames)
	}
	k.Extensions = map[string]string{}
	for _, e := range entries {
		key, err := d.key(e, what)
		if err != nil {
			return err
		}
		if _, twice := k.Extensions[key]; twice {
			return d.errorf(line(e.Key), "extensions has the key %q twice; only one of the two can be meant", key)
		}
		if !slices.Contains(extensionNames, key) {
			return d.errorf(line(e.Key), "extensions has the unknown name %q; known are %s", key, strings.Join(extensionNames, ", "))
		}
		value, err := d.text(e.Value, "extension "+key)
		if err != nil {
			return err
		}
		if err := d.checkText(e.Value, Field{Name: "extension " + key}, value); err != nil {
			return err
		}
		k.Extensions[key] = value
	}
	return nil
}

// equal compares whole signers.
func (s Signer) equal(o Signer) bool {
	return s.Name == o.Name && s.sameAs(o) && s.NotBefore.Equal(o.NotBefore) && s.NotAfter.Equal(o.NotAfter)
}

// sameAs reports whether both are the same key or the same person, as far as the
// document says.
func (s Signer) sameAs(o Signer) bool {
	switch {
	case s.Certificate != nil:
		return o.Certificate != nil && s.Certificate.equal(*o.Certificate)
	case s.Keyless != nil:
		return o.Keyless != nil && s.Keyless.equal(*o.Keyless)
	}
	return o.Certificate == nil && o.Keyless == nil && s.Key == o.Key
}

func (k Keyless) equal(o Keyless) bool {
	return k.TrustedRoot == o.TrustedRoot && k.Issuer.Equal(o.Issuer) && k.Identity.Equal(o.Identity) &&
		maps.Equal(k.Extensions, o.Extensions) && k.SCTs == o.SCTs && k.Unlogged == o.Unlogged
}

func (c Certificate) equal(o Certificate) bool {
	return c.Roots == o.Roots && c.Intermediates == o.Intermediates &&
		c.Identity.Equal(o.Identity) && c.AnyIdentity == o.AnyIdentity
}
