package bom

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
)

const (
	noAssertion = "NOASSERTION"
	// spdxNamespace is where names of documents begin that lead nowhere
	// (SPDX 2.3, section 6.5).
	spdxNamespace = "https://spdx.org/spdxdocs/modseal-"
)

// writeSPDX writes SPDX 2.3 (https://spdx.github.io/spdx-spec/v2.3/).
//
// Files are packages whose purpose is FILE. What SPDX 2.3 calls a file needs a SHA-1
// (section 8.4), for which every byte of the weights would have to be read anew.
func writeSPDX(d *description) ([]byte, error) {
	doc := d.spdxDocument()
	raw, err := encodeJSON(doc)
	if err != nil {
		return nil, err
	}
	doc.DocumentNamespace = spdxNamespace + contentUUID(raw).String()
	return encodeJSON(doc)
}

// encodeJSON writes indented JSON without the escapes of HTML.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}

// createdText is the time of a document, which SPDX demands: the epoch when nobody
// asked for one.
func (d *description) createdText() string {
	if d.created.IsZero() {
		return time.Unix(0, 0).UTC().Format(time.RFC3339)
	}
	return d.created.Truncate(time.Second).Format(time.RFC3339)
}

// text is how SPDX names a tool: name-version.
func (t Tool) text() string {
	if t.Version == "" {
		return t.Name
	}
	return t.Name + "-" + t.Version
}

const spdxModel = "Model"

func (d *description) spdxDocument() *v2_3.Document {
	doc := &v2_3.Document{
		SPDXVersion: v2_3.Version, DataLicense: v2_3.DataLicense, SPDXIdentifier: "DOCUMENT", DocumentName: d.name,
		CreationInfo: &v2_3.CreationInfo{
			Creators: []common.Creator{{CreatorType: "Tool", Creator: d.tool.text()}}, Created: d.createdText(),
		},
		Packages: []*v2_3.Package{d.spdxModel()},
	}
	relate := func(a, b common.ElementID, kind, comment string) {
		doc.Relationships = append(doc.Relationships, &v2_3.Relationship{
			RefA: common.DocElementID{ElementRefID: a}, RefB: common.DocElementID{ElementRefID: b},
			Relationship: kind, RelationshipComment: comment,
		})
	}
	relate("DOCUMENT", spdxModel, common.TypeRelationshipDescribe, "")
	for _, b := range d.bases {
		id := spdxID("BaseModel", b.id)
		doc.Packages = append(doc.Packages, b.spdx(id))
		relate(spdxModel, id, common.TypeRelationshipDescendantOf, d.relation)
		if d.relation == relationAdapter {
			relate(spdxModel, id, common.TypeRelationshipDependsOn, "an adapter is loaded into its base model")
		}
	}
	for _, s := range d.datasets {
		id := spdxID("Dataset", s.id)
		doc.Packages = append(doc.Packages, s.spdx(id))
		relate(spdxModel, id, common.TypeRelationshipGeneratedFrom, "trained or evaluated on this data set")
	}
	for _, f := range d.files {
		id := spdxID("File", f.Path)
		doc.Packages = append(doc.Packages, f.spdx(id))
		relate(spdxModel, id, common.TypeRelationshipContains, "")
	}
	for _, ref := range d.licenseRefs() {
		doc.OtherLicenses = append(doc.OtherLicenses, &v2_3.OtherLicense{
			LicenseIdentifier: ref, ExtractedText: noAssertion, LicenseName: strings.TrimPrefix(ref, licenseRef), LicenseComment: unlisted,
		})
	}
	return doc
}

const (
	relationAdapter = "adapter"
	unlisted        = "The files of the model name this licence; the SPDX licence list has no such id."
)

// spdxID returns an identifier of an element that is the same for the same thing
// (SPDX 2.3, section 7.2: letters, digits, '.' and '-').
func spdxID(kind, name string) common.ElementID {
	return common.ElementID(kind + "-" + digest.FromString(name).Encoded()[:16])
}

// spdxModel is the package of the model itself.
func (d *description) spdxModel() *v2_3.Package {
	p := spdxPackage(spdxModel, d.name)
	p.PackageVersion, p.PackageDescription, p.PackageHomePage = d.version, d.text, d.docURL
	p.PackageChecksums = d.digest.spdx()
	p.PrimaryPackagePurpose = "OTHER"
	p.PackageComment = "A machine learning model. The checksum is that of its OCI manifest."
	if d.sourceURL != "" {
		p.PackageDownloadLocation = d.sourceURL
	}
	if d.vendor != "" {
		p.PackageSupplier = &common.Supplier{SupplierType: "Organization", Supplier: d.vendor}
	}
	switch len(d.authors) {
	case 0:
	case 1:
		p.PackageOriginator = &common.Originator{OriginatorType: "Person", Originator: d.authors[0]}
	default: // there is room for one
		p.PackageComment += " Its authors: " + strings.Join(d.authors, ", ") + "."
	}
	if declared := d.declared(); declared != "" {
		p.PackageLicenseDeclared = declared
	}
	p.PackageExternalReferences = packageURL(d.purl)
	for _, x := range d.annotated() {
		p.Annotations = append(p.Annotations, v2_3.Annotation{
			Annotator:      common.Annotator{AnnotatorType: "Tool", Annotator: d.tool.text()},
			AnnotationDate: d.createdText(), AnnotationType: "OTHER", AnnotationComment: x.name + "=" + x.value,
		})
	}
	return p
}

// annotated are the properties, and what only CycloneDX has fields for.
func (d *description) annotated() []property {
	var out []property
	for _, p := range []property{
		{"modseal:family", d.family},
		{"modseal:class", d.class},
		{"modseal:task", d.task},
		{"modseal:inputs", strings.Join(d.inputs, ",")},
		{"modseal:outputs", strings.Join(d.outputs, ",")},
		{"modseal:baseModelRelation", d.relation},
	} {
		if p.value != "" {
			out = append(out, p)
		}
	}
	return append(out, d.properties...)
}

// spdxPackage is a package of which nothing more is known than its name.
func spdxPackage(id common.ElementID, name string) *v2_3.Package {
	return &v2_3.Package{
		PackageName: name, PackageSPDXIdentifier: id, PackageDownloadLocation: noAssertion, IsFilesAnalyzedTagPresent: true,
		PackageLicenseConcluded: noAssertion, PackageLicenseDeclared: noAssertion, PackageCopyrightText: noAssertion,
	}
}

func (o origin) spdx(id common.ElementID) *v2_3.Package {
	p := spdxPackage(id, o.id)
	if o.url != "" {
		p.PackageDownloadLocation = o.url
	}
	if o.group != "" {
		p.PackageSupplier = &common.Supplier{SupplierType: "Organization", Supplier: o.group}
	}
	p.PrimaryPackagePurpose, p.PackageExternalReferences = "OTHER", packageURL(o.purl)
	return p
}

func (f File) spdx(id common.ElementID) *v2_3.Package {
	p := spdxPackage(id, f.Path)
	p.PackageFileName, p.PackageChecksums, p.PrimaryPackagePurpose = f.Path, hashOf(f).spdx(), "FILE"
	p.PackageComment = fmt.Sprintf("%d bytes", f.Size)
	if f.Role != "" {
		p.PackageComment += ", role " + string(f.Role)
	}
	return p
}

func (h hashDigest) spdx() []common.Checksum {
	return []common.Checksum{{Algorithm: common.ChecksumAlgorithm(hashAlgorithms[h.algorithm].spdx), Value: h.hex}}
}

func packageURL(purl string) []*v2_3.PackageExternalReference {
	if purl == "" {
		return nil
	}
	return []*v2_3.PackageExternalReference{{Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: purl}}
}
