package bom

import "strings"

// spdx3Graph collects the elements of a document.
type spdx3Graph struct {
	*description
	namespace string
	elements  []spdx3Element
}

// add adds an element of the class and returns its name.
func (g *spdx3Graph) add(class, id string, e spdx3Element) string {
	e.Type, e.ID, e.CreationInfo = class, g.namespace+id, creationInfo
	g.elements = append(g.elements, e)
	return e.ID
}

func (g *spdx3Graph) relate(from, kind string, to ...string) {
	if len(to) == 0 {
		return
	}
	id := "Relationship-" + kind + "-" + strings.TrimPrefix(from, g.namespace)
	g.add("Relationship", id, spdx3Element{RelationshipType: kind, From: from, To: to})
}

func (g *spdx3Graph) organization(name string) string {
	id := string(spdxID("Organization", name))
	for _, e := range g.elements {
		if e.ID == g.namespace+id {
			return e.ID
		}
	}
	return g.add("Organization", id, spdx3Element{Name: name})
}

func (g *spdx3Graph) model() string {
	d := g.description
	e := spdx3Element{
		Name: d.name, Description: d.text, VerifiedUsing: d.digest.spdx3(),
		Comment:        "The hash is that of the OCI manifest.",
		PrimaryPurpose: "model", PackageVersion: d.version, DownloadLocation: d.sourceURL, HomePage: d.docURL, PackageURL: d.purl,
	}
	if !d.created.IsZero() {
		e.ReleaseTime = d.createdText()
	}
	if d.vendor != "" {
		e.SuppliedBy = g.organization(d.vendor)
	}
	for _, a := range d.authors {
		e.OriginatedBy = append(e.OriginatedBy, g.add("Person", string(spdxID("Person", a)), spdx3Element{Name: a}))
	}
	e.TypeOfModel = firstList([]string{d.family, d.class})
	e.Domain = firstList([]string{d.task})
	for _, m := range d.metrics {
		// A dictionary has each key once (spdx-3-model 3.0.1, Core/Classes/DictionaryEntry),
		// so that what was measured on is in the key.
		e.Metric = append(e.Metric, spdx3Entry{"DictionaryEntry", m.key(), m.value})
	}
	if properties := d.spdx3Properties(); len(properties) > 0 {
		e.Extension = []spdx3Extension{{Type: "extension_CdxPropertiesExtension", Properties: properties}}
	}
	return g.add("ai_AIPackage", spdxModel, e)
}

func (d *description) spdx3Properties() []spdx3Property {
	var out []spdx3Property
	for _, p := range d.annotated() {
		out = append(out, spdx3Property{"extension_CdxPropertyEntry", p.name, p.value})
	}
	return out
}

// licenses relates a package to what is declared of it. Both relationships are
// demanded of AI and data set packages, once each.
func (g *spdx3Graph) licenses(of, expression string) {
	declared := noAssertionLicense
	if expression != "" {
		e := spdx3Element{LicenseExpression: expression}
		for _, ref := range g.licenseRefs() {
			text := g.add("simplelicensing_SimpleLicensingText", ref, spdx3Element{
				Name: strings.TrimPrefix(ref, licenseRef), Comment: unlisted, LicenseText: noAssertion,
			})
			e.CustomIDs = append(e.CustomIDs, spdx3Entry{"DictionaryEntry", ref, text})
		}
		declared = g.add("simplelicensing_LicenseExpression", "License", e)
	}
	g.relate(of, "hasDeclaredLicense", declared)
	g.relate(of, "hasConcludedLicense", noAssertionLicense)
}

// filePurposes are what SPDX calls the roles of files.
var filePurposes = map[string]string{
	"weight": "model", "weight.config": "configuration", "doc": "documentation", "code": "source", "dataset": "data",
}

func (g *spdx3Graph) files(model string) {
	var ids []string
	for _, f := range g.description.files {
		ids = append(ids, g.add("software_File", string(spdxID("File", f.Path)), spdx3Element{
			Name: f.Path, VerifiedUsing: hashOf(f).spdx3(), PrimaryPurpose: filePurposes[string(f.Role)], FileKind: "file",
		}))
	}
	g.relate(model, "contains", ids...)
}

func (g *spdx3Graph) origins(model string) {
	var bases, datasets []string
	for _, b := range g.bases {
		e := b.spdx3(g, "model")
		bases = append(bases, g.add("ai_AIPackage", string(spdxID("BaseModel", b.id)), e))
	}
	for _, s := range g.datasets {
		e := s.spdx3(g, "data")
		e.DatasetType = []string{"noAssertion"}
		datasets = append(datasets, g.add("dataset_DatasetPackage", string(spdxID("Dataset", s.id)), e))
	}
	for _, id := range append(bases, datasets...) {
		g.licenses(id, "")
	}
	g.relate(model, "descendantOf", bases...)
	if g.relation == relationAdapter {
		g.relate(model, "dependsOn", bases...)
	}
	g.relate(model, "trainedOn", datasets...)
}

func (o origin) spdx3(g *spdx3Graph, purpose string) spdx3Element {
	e := spdx3Element{Name: o.id, PrimaryPurpose: purpose, DownloadLocation: o.url, PackageURL: o.purl}
	if o.group != "" {
		e.SuppliedBy = g.organization(o.group)
	}
	return e
}

func (h hashDigest) spdx3() []spdx3Hash { return []spdx3Hash{{"Hash", h.algorithm, h.hex}} }
