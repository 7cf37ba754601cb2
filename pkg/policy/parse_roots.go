package policy

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
)

func (d *document) trustedRoots(m mapping, p *Policy) error {
	n := m.values["trustedRoots"]
	if n == nil {
		return nil
	}
	items, err := d.list(n, m.field("trustedRoots"))
	if err != nil {
		return err
	}
	lines := map[string]int{}
	for _, item := range items {
		r, err := d.trustedRoot(item)
		if err != nil {
			return err
		}
		if first, twice := lines[r.Name]; twice {
			return d.errorf(line(item), "the trusted root in line %d is called %q, too; give each its own name", first, r.Name)
		}
		lines[r.Name] = line(item)
		d.roots = append(d.roots, r.Name)
		p.TrustedRoots = append(p.TrustedRoots, r)
	}
	return nil
}

func (d *document) trustedRoot(n ast.Node) (TrustedRoot, error) {
	var r TrustedRoot
	m, err := d.mapping(n, &trustedRootSection)
	if err != nil {
		return r, err
	}
	err = first(
		func() error { return d.readText(m, "name", &r.Name) },
		func() error { return d.readText(m, "file", &r.File) },
		func() error { return d.readText(m, "tuf", &r.TUF) },
		func() error { return d.readText(m, "root", &r.TUFRoot) },
		func() error { return d.readDuration(m, "maxAge", &r.MaxAge) },
	)
	if err != nil {
		return r, err
	}
	url := strings.HasPrefix(r.TUF, "https://") || strings.HasPrefix(r.TUF, "http://")
	switch {
	case r.TUF != "" && r.TUF != PublicGood && !url:
		return r, d.errorf(m.lines["tuf"], "tuf %q is neither %s nor the URL of a TUF repository, which begins with https://", r.TUF, PublicGood)
	case url && strings.ContainsAny(r.TUF, " \t\r\n"):
		return r, d.errorf(m.lines["tuf"], "tuf %q has a blank in it; a URL has none", r.TUF)
	case url && r.TUFRoot == "":
		return r, d.errorf(m.line, "trusted root %q has no root: the TUF repository at %s is trusted by its first root metadata; write root: root.json", r.Name, r.TUF)
	case !url && r.TUFRoot != "":
		return r, d.errorf(m.lines["root"], "root belongs to the URL of a TUF repository; leave it out, because modseal has that of %s", PublicGood)
	}
	if strings.Contains(r.File, "://") {
		return r, d.errorf(m.lines["file"], "file %q is a URL, and nothing is fetched to decide; fetch it, and name the file", r.File)
	}
	return r, nil
}

// root resolves the name of a trusted root that is needed: the only one when none
// is named.
func (d *document) root(name string, at int, who string) (string, error) {
	if name != "" {
		for _, known := range d.roots {
			if known == name {
				return name, nil
			}
		}
		return "", d.errorf(at, "there is no trusted root %q; %s", name, d.knownRoots())
	}
	if len(d.roots) != 1 {
		return "", d.errorf(at, "%s needs a trusted root, and it is not said which; %s, and name it with trustedRoot: NAME", who, d.knownRoots())
	}
	return d.roots[0], nil
}

func (d *document) knownRoots() string {
	if len(d.roots) == 0 {
		return "the policy has none: add one at its top, such as trustedRoots: [{name: public-good, tuf: public-good}]"
	}
	return "the policy has " + strings.Join(d.roots, ", ")
}

func (d *document) remaps(m mapping, p *Policy) error {
	n := m.values["remap"]
	if n == nil {
		return nil
	}
	items, err := d.list(n, m.field("remap"))
	if err != nil {
		return err
	}
	lines := map[string]int{}
	for _, item := range items {
		r, err := d.remap(item)
		if err != nil {
			return err
		}
		if first, twice := lines[r.From]; twice {
			return d.errorf(line(item), "the remap in line %d is from %q, too; only one of the two can apply", first, r.From)
		}
		lines[r.From] = line(item)
		p.Remaps = append(p.Remaps, r)
	}
	return nil
}

func (d *document) remap(n ast.Node) (Remap, error) {
	var r Remap
	m, err := d.mapping(n, &remapSection)
	if err != nil {
		return r, err
	}
	if err := d.remapPrefix(m, "from", &r.From); err != nil {
		return r, err
	}
	if err := d.remapPrefix(m, "to", &r.To); err != nil {
		return r, err
	}
	if isLocal(r.To) {
		return r, d.errorf(m.lines["to"], "to is %q; what is mirrored is in a registry: name that, such as to: registry.example.com", r.To)
	}
	return r, nil
}

func (d *document) remapPrefix(m mapping, name string, to *string) error {
	if err := d.readText(m, name, to); err != nil {
		return err
	}
	if *to == Any {
		return d.errorf(m.lines[name], "%s is %s; name a registry, or the beginning of a repository", name, Any)
	}
	if err := checkPrefix(*to); err != nil {
		return d.errorf(m.lines[name], "%s: %s", name, err)
	}
	*to = normalize(*to)
	return nil
}

func (d *document) limits(m mapping, p *Policy) error {
	n := m.values["limits"]
	if n == nil {
		return nil
	}
	l, err := d.mapping(n, &limitsSection)
	if err != nil {
		return err
	}
	return first(
		func() error { return d.readInteger(l, "referrers", &p.Limits.Referrers) },
		func() error { return d.readInteger(l, "pages", &p.Limits.Pages) },
		func() error { return d.readSize(l, "bytes", &p.Limits.Bytes) },
	)
}
