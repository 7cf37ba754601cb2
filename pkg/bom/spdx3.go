package bom

// SPDX 3.0.1 has a writer of its own here. The library for it (spdx/tools-golang,
// v0.6.0-rc4) is no release yet, and it collects the elements of a document from a
// Go map, so that the same model would give other bytes each time.

const (
	spdx3Context = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
	spdx3Version = "3.0.1"
	// noAssertionLicense is the licence of which nothing is said
	// (spdx-3-model 3.0.1, ExpandedLicensing/Individuals/NoAssertionLicense).
	noAssertionLicense = "https://spdx.org/rdf/3.0.1/terms/Licensing/NoAssertion"
	creationInfo       = "_:creationinfo"
)

// spdx3Document is a document in the JSON-LD serialisation
// (https://spdx.github.io/spdx-spec/v3.0.1/serializations/).
type spdx3Document struct {
	Context string         `json:"@context"`
	Graph   []spdx3Element `json:"@graph"`
}

// spdx3Element is an element of any class: of all properties, those that are written
// here. The names are those of the published context.
type spdx3Element struct {
	Type         string `json:"type"`
	BlankID      string `json:"@id,omitempty"`
	ID           string `json:"spdxId,omitempty"`
	CreationInfo string `json:"creationInfo,omitempty"`
	Name         string `json:"name,omitempty"`
	Comment      string `json:"comment,omitempty"`
	Description  string `json:"description,omitempty"`

	// CreationInfo
	SpecVersion  string   `json:"specVersion,omitempty"`
	Created      string   `json:"created,omitempty"`
	CreatedBy    []string `json:"createdBy,omitempty"`
	CreatedUsing []string `json:"createdUsing,omitempty"`

	// SpdxDocument, software_Sbom
	ProfileConformance []string `json:"profileConformance,omitempty"`
	DataLicense        string   `json:"dataLicense,omitempty"`
	RootElement        []string `json:"rootElement,omitempty"`
	Element            []string `json:"element,omitempty"`
	SBOMType           []string `json:"software_sbomType,omitempty"`

	// packages and files
	VerifiedUsing    []spdx3Hash      `json:"verifiedUsing,omitempty"`
	SuppliedBy       string           `json:"suppliedBy,omitempty"`
	OriginatedBy     []string         `json:"originatedBy,omitempty"`
	ReleaseTime      string           `json:"releaseTime,omitempty"`
	PrimaryPurpose   string           `json:"software_primaryPurpose,omitempty"`
	PackageVersion   string           `json:"software_packageVersion,omitempty"`
	DownloadLocation string           `json:"software_downloadLocation,omitempty"`
	HomePage         string           `json:"software_homePage,omitempty"`
	PackageURL       string           `json:"software_packageUrl,omitempty"`
	FileKind         string           `json:"software_fileKind,omitempty"`
	TypeOfModel      []string         `json:"ai_typeOfModel,omitempty"`
	Domain           []string         `json:"ai_domain,omitempty"`
	Metric           []spdx3Entry     `json:"ai_metric,omitempty"`
	DatasetType      []string         `json:"dataset_datasetType,omitempty"`
	Extension        []spdx3Extension `json:"extension,omitempty"`

	// simplelicensing_LicenseExpression, simplelicensing_SimpleLicensingText
	LicenseExpression string       `json:"simplelicensing_licenseExpression,omitempty"`
	CustomIDs         []spdx3Entry `json:"simplelicensing_customIdToUri,omitempty"`
	LicenseText       string       `json:"simplelicensing_licenseText,omitempty"`

	// Relationship
	RelationshipType string   `json:"relationshipType,omitempty"`
	From             string   `json:"from,omitempty"`
	To               []string `json:"to,omitempty"`
	Completeness     string   `json:"completeness,omitempty"`
}

type spdx3Hash struct {
	Type      string `json:"type"`
	Algorithm string `json:"algorithm"`
	Value     string `json:"hashValue"`
}

type spdx3Entry struct {
	Type  string `json:"type"`
	Key   string `json:"key"`
	Value string `json:"value"`
}

// spdx3Extension holds properties as CycloneDX has them, which is what SPDX 3 has it
// for.
type spdx3Extension struct {
	Type       string          `json:"type"`
	Properties []spdx3Property `json:"extension_cdxProperty"`
}

type spdx3Property struct {
	Type  string `json:"type"`
	Name  string `json:"extension_cdxPropName"`
	Value string `json:"extension_cdxPropValue"`
}

func writeSPDX3(d *description) ([]byte, error) {
	raw, err := encodeJSON(d.spdx3(spdxNamespace))
	if err != nil {
		return nil, err
	}
	return encodeJSON(d.spdx3(spdxNamespace + contentUUID(raw).String()))
}

// spdx3 describes the model with names of elements that begin with namespace.
func (d *description) spdx3(namespace string) spdx3Document {
	g := &spdx3Graph{description: d, namespace: namespace + "#"}
	tool := g.add("SoftwareAgent", "Tool", spdx3Element{Name: d.tool.text()})
	model := g.model()
	g.licenses(model, d.declared())
	g.files(model)
	g.origins(model)
	// What was added up to here is what the bill of materials is about.
	ids := make([]string, len(g.elements))
	for i, e := range g.elements {
		ids[i] = e.ID
	}
	sbom := g.add("software_Sbom", "SBOM", spdx3Element{RootElement: []string{model}, Element: ids, SBOMType: []string{"analyzed"}})
	g.add("SpdxDocument", "Document", spdx3Element{
		Name: d.name, ProfileConformance: d.profiles(), DataLicense: "https://spdx.org/licenses/CC0-1.0",
		RootElement: []string{sbom}, Element: append(ids, sbom),
	})
	info := spdx3Element{Type: "CreationInfo", BlankID: creationInfo, SpecVersion: spdx3Version, Created: d.createdText(), CreatedBy: []string{tool}}
	return spdx3Document{Context: spdx3Context, Graph: append([]spdx3Element{info}, g.elements...)}
}

// profiles are those that the document conforms to (spdx-3-model 3.0.1, "Profile
// conformance" of AI and Dataset): each of their packages has its two licences.
func (d *description) profiles() []string {
	out := []string{"core", "software", "simpleLicensing", "extension", "ai"}
	if len(d.datasets) > 0 {
		out = append(out, "dataset")
	}
	return out
}
