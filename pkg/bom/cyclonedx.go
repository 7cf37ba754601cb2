package bom

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strconv"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"
)

// writeCycloneDX writes CycloneDX 1.7 (https://cyclonedx.org/docs/1.7/json/).
func writeCycloneDX(d *description) ([]byte, error) {
	return writeCycloneDXVersion(d, cdx.SpecVersion1_7)
}

// writeCycloneDXVersion writes what the version has fields for.
func writeCycloneDXVersion(d *description, version cdx.SpecVersion) ([]byte, error) {
	doc := cycloneDX(d)
	if version < cdx.SpecVersion1_7 {
		doc.Metadata.Component.Licenses = oneChoice(doc.Metadata.Component.Licenses, d.declared())
	}
	raw, err := encodeCycloneDX(doc, version)
	if err != nil {
		return nil, err
	}
	// A document is told from others by its content: of the same model in the same
	// words there is one.
	doc.SerialNumber = "urn:uuid:" + contentUUID(raw).String()
	return encodeCycloneDX(doc, version)
}

// oneChoice is what versions before 1.7 allow: licences, or a single expression.
func oneChoice(l *cdx.Licenses, expression string) *cdx.Licenses {
	if l == nil || !slices.ContainsFunc(*l, func(c cdx.LicenseChoice) bool { return c.Expression != "" }) {
		return l
	}
	declared := cdx.LicenseAcknowledgementDeclared
	return &cdx.Licenses{{Expression: expression, Acknowledgement: &declared}}
}

func encodeCycloneDX(doc *cdx.BOM, version cdx.SpecVersion) ([]byte, error) {
	var b bytes.Buffer
	err := cdx.NewBOMEncoder(&b, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false).EncodeVersion(doc, version)
	return b.Bytes(), err
}

// contentUUID is a UUID of version 8 with bits of the SHA-256 of content (RFC 9562,
// section 5.8 and appendix B.2).
func contentUUID(content []byte) uuid.UUID {
	return uuid.NewHash(sha256.New(), uuid.Nil, content, 8)
}

func cycloneDX(d *description) *cdx.BOM {
	doc := cdx.NewBOM()
	doc.Metadata = &cdx.Metadata{
		Tools:     &cdx.ToolsChoice{Components: &[]cdx.Component{toolComponent(d.tool)}},
		Component: d.component(),
	}
	if !d.created.IsZero() {
		doc.Metadata.Timestamp = d.created.Format(time.RFC3339)
	}
	var components []cdx.Component
	var refs []string
	for _, b := range d.bases {
		components, refs = append(components, b.model(b.ref)), append(refs, b.ref)
	}
	for _, s := range d.datasets {
		components, refs = append(components, s.data()), append(refs, s.ref)
	}
	doc.Components = some(components)
	root := doc.Metadata.Component.BOMRef
	dependencies := []cdx.Dependency{{Ref: root, Dependencies: some(refs)}}
	for _, ref := range refs {
		dependencies = append(dependencies, cdx.Dependency{Ref: ref})
	}
	doc.Dependencies = &dependencies
	doc.Formulation = d.formulation(root, refs)
	return doc
}

// some returns the list, nil when it is empty: the forms leave empty lists out.
func some[T any](list []T) *[]T {
	if len(list) == 0 {
		return nil
	}
	return &list
}

func toolComponent(t Tool) cdx.Component {
	return cdx.Component{Type: cdx.ComponentTypeApplication, Name: t.Name, Version: t.Version}
}

// component is the model itself.
func (d *description) component() *cdx.Component {
	c := &cdx.Component{
		BOMRef: d.digest.algorithm + ":" + d.digest.hex, Type: cdx.ComponentTypeMachineLearningModel,
		Group: d.vendor, Name: d.name, Version: d.version, Description: d.text,
		Hashes: d.digest.cycloneDX(), Licenses: d.cycloneDXLicenses(), PackageURL: d.purl,
		ModelCard: d.modelCard(), Pedigree: d.pedigree(),
	}
	if d.vendor != "" {
		c.Supplier = &cdx.OrganizationalEntity{Name: d.vendor}
	}
	var authors []cdx.OrganizationalContact
	for _, name := range d.authors {
		authors = append(authors, cdx.OrganizationalContact{Name: name})
	}
	c.Authors = some(authors)
	var references []cdx.ExternalReference
	if d.docURL != "" {
		references = append(references, cdx.ExternalReference{Type: cdx.ERTypeDocumentation, URL: d.docURL})
	}
	if d.sourceURL != "" {
		references = append(references, cdx.ExternalReference{Type: cdx.ERTypeDistribution, URL: d.sourceURL})
	}
	c.ExternalReferences = some(references)
	var properties []cdx.Property
	for _, p := range d.properties {
		properties = append(properties, cdx.Property{Name: p.name, Value: p.value})
	}
	c.Properties = some(properties)
	c.Components = d.fileComponents()
	return c
}

func (d *description) fileComponents() *[]cdx.Component {
	files := make([]cdx.Component, len(d.files))
	for i, f := range d.files {
		properties := []cdx.Property{{Name: "modseal:size", Value: strconv.FormatInt(f.Size, 10)}}
		if f.Role != "" {
			properties = append(properties, cdx.Property{Name: "modseal:role", Value: string(f.Role)})
		}
		files[i] = cdx.Component{
			BOMRef: "file:" + f.Path, Type: cdx.ComponentTypeFile, Name: f.Path,
			Hashes: hashOf(f).cycloneDX(), Properties: &properties,
		}
	}
	return some(files)
}

func hashOf(f File) hashDigest { return hashDigest{f.Digest.Algorithm().String(), f.Digest.Encoded()} }

// hashAlgorithms are the names of the algorithms of digests, as each form spells them.
var hashAlgorithms = map[string]struct {
	cycloneDX cdx.HashAlgorithm
	spdx      string
}{
	"sha256": {cdx.HashAlgoSHA256, "SHA256"},
	"sha512": {cdx.HashAlgoSHA512, "SHA512"},
}

func (h hashDigest) cycloneDX() *[]cdx.Hash {
	return &[]cdx.Hash{{Algorithm: hashAlgorithms[h.algorithm].cycloneDX, Value: h.hex}}
}

// laterLicenses are ids of the SPDX licence list that came after the copy of it that
// CycloneDX 1.7 allows as ids; as expressions it allows all.
var laterLicenses = map[string]bool{
	"Advanced-Cryptics-Dictionary":       true,
	"ALGLIB-Documentation":               true,
	"BSD-3-Clause-Tso":                   true,
	"BSD-Mark-Modifications":             true,
	"Buddy":                              true,
	"CAPEC-tou":                          true,
	"ESA-PL-permissive-2.4":              true,
	"ESA-PL-strong-copyleft-2.4":         true,
	"ESA-PL-weak-copyleft-2.4":           true,
	"HPND-sell-variant-critical-systems": true,
	"HPND-SMC":                           true,
	"hyphen-bulgarian":                   true,
	"ISO-permission":                     true,
	"MIT-STK":                            true,
	"MMPL-1.0.1":                         true,
	"NIST-PD-TNT":                        true,
	"OpenMDW-1.0":                        true,
	"OSSP":                               true,
	"ParaType-Free-Font-1.3":             true,
	"SGMLUG-PM":                          true,
	"TekHVC":                             true,
	"UnRAR":                              true,
	"Vixie-Cron":                         true,
	"WordNet":                            true,
	"WTFNMFPL":                           true,
	"X11-no-permit-persons":              true,
}

// cycloneDXLicenses are declared: nobody has concluded that they are right.
func (d *description) cycloneDXLicenses() *cdx.Licenses {
	var out cdx.Licenses
	for _, l := range d.licenses {
		declared := cdx.LicenseAcknowledgementDeclared
		switch {
		case l.id != "" && !laterLicenses[l.id]:
			out = append(out, cdx.LicenseChoice{License: &cdx.License{ID: l.id, Acknowledgement: declared}})
		case l.ref != "":
			out = append(out, cdx.LicenseChoice{License: &cdx.License{Name: l.ref, Acknowledgement: declared}})
		default:
			out = append(out, cdx.LicenseChoice{Expression: l.expression, Acknowledgement: &declared})
		}
	}
	if len(out) == 0 {
		return nil
	}
	return &out
}
