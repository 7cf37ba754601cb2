package artifacttypes

import "strings"

// Artifact and config types of a model (ModelPack v0.0.7, spec.md).
const (
	ArtifactTypeModel    = "application/vnd.cncf.model.manifest.v1+json"
	MediaTypeModelConfig = "application/vnd.cncf.model.config.v1+json"
)

// Types of the ModelPack family before it moved to the CNCF name space in
// 2026. They are read, never written.
const (
	artifactTypeModelOld    = "application/vnd.cnai.model.manifest.v1+json"
	mediaTypeModelConfigOld = "application/vnd.cnai.model.config.v1+json"
	layerPrefix             = "application/vnd.cncf.model."
	layerPrefixOld          = "application/vnd.cnai.model."
)

// IsModelConfig reports whether the media type is that of a ModelPack config, now or
// before 2026.
func IsModelConfig(mediaType string) bool {
	return mediaType == MediaTypeModelConfig || mediaType == mediaTypeModelConfigOld
}

// Layer annotation keys (ModelPack v0.0.7, annotations.md).
const (
	AnnotationFilePath     = "org.cncf.model.filepath"
	AnnotationFileMetadata = "org.cncf.model.file.metadata+json"
	AnnotationUntested     = "org.cncf.model.file.mediatype.untested"

	annotationFilePathOld     = "org.cnai.model.filepath"
	annotationFileMetadataOld = "org.cnai.model.file.metadata+json"
)

// Manifest annotation keys of modseal's own, beside the predefined
// org.opencontainers.image.* ones. The base model keys are those of the OCI
// image specification with a model in the place of the base image.
const (
	AnnotationBaseModel         = "dev.modseal.base-model"
	AnnotationBaseModelRelation = "dev.modseal.base-model.relation"
)

// Types of an archive that carries artifacts to a site without network: what the
// manifest in its index.json is that says what is inside, and its layers.
const (
	ArtifactTypeArchive      = "application/vnd.modseal.archive.v1"
	MediaTypeArchiveContents = "application/vnd.modseal.archive.contents.v1+json"
	MediaTypeTrust           = "application/vnd.modseal.trust.v1+json"
	MediaTypePolicy          = "application/vnd.modseal.policy.v1+yaml"
	MediaTypeArchiveParts    = "application/vnd.modseal.archive.parts.v1+json"
	MediaTypeInventory       = "application/vnd.modseal.inventory.v1+json"
	// AnnotationImageName is the full name of an artifact in an index, which
	// containerd and others write beside org.opencontainers.image.ref.name.
	AnnotationImageName = "io.containerd.image.name"
)

// Types of signatures and attestations as referrers: the shape that cosign v3
// writes (https://github.com/sigstore/cosign/blob/v3.0.0/specs/BUNDLE_SPEC.md).
const (
	MediaTypeBundle               = "application/vnd.dev.sigstore.bundle.v0.3+json"
	MediaTypeBundlePrefix         = "application/vnd.dev.sigstore.bundle"
	AnnotationBundleContent       = "dev.sigstore.bundle.content"
	AnnotationBundlePredicateType = "dev.sigstore.bundle.predicateType"
	BundleContentDSSE             = "dsse-envelope"
)

// Statement and predicate types. They are compared exactly, and only as read
// from a verified payload.
const (
	PayloadTypeInToto      = "application/vnd.in-toto+json"
	StatementTypeV1        = "https://in-toto.io/Statement/v1"
	StatementTypeV01       = "https://in-toto.io/Statement/v0.1"
	PredicateCosignSign    = "https://sigstore.dev/cosign/sign/v1"
	PredicateOMS           = "https://model_signing/signature/v1.0"
	PredicateOMSNamePrefix = "https://model_signing/signature/v1."
	PredicateOMSFamily     = "https://model_signing/" // every version there was
)

// Predicate types of attestations that have a name of their own, beside the two
// that are signatures.
const (
	PredicateSLSAProvenanceV1  = "https://slsa.dev/provenance/v1"
	PredicateSLSAProvenanceV02 = "https://slsa.dev/provenance/v0.2"
	PredicateVSA               = "https://slsa.dev/verification_summary/v1"
	PredicateCycloneDX         = "https://cyclonedx.org/bom"
	PredicateSPDX              = "https://spdx.dev/Document"
	// PredicateSPDX3 is that of SPDX 3 alone
	// (https://github.com/in-toto/attestation/blob/v1.2.0/spec/predicates/spdx3.md).
	PredicateSPDX3   = "https://spdx.dev/Document/v3"
	PredicateVuln    = "https://cosign.sigstore.dev/attestation/vuln/v1"
	PredicateOpenVEX = "https://openvex.dev/ns"
	PredicateLink    = "https://in-toto.io/Link/v1"
	PredicateCustom  = "https://cosign.sigstore.dev/attestation/v1"
	// PredicateScan is that of the findings of a scan: see docs/scan.md.
	PredicateScan = "https://modseal.dev/scan/v1"
	// PredicateModelCard is that of a model card, the modelCard of CycloneDX as a
	// claim of its own: see docs/attest.md.
	PredicateModelCard = "https://modseal.dev/model-card/v1"
)

// Media types of bills of materials, which are attached as they are when nobody signs
// them (https://www.iana.org/assignments/media-types).
const (
	MediaTypeCycloneDX = "application/vnd.cyclonedx+json"
	MediaTypeSPDX      = "application/spdx+json"
)

// What cosign attached before it had bundles: images under the tags
// sha256-<digest>.sig and sha256-<digest>.att
// (https://github.com/sigstore/cosign/blob/v2.6.5/specs/SIGNATURE_SPEC.md).
const (
	LegacySignatureSuffix   = ".sig"
	LegacyAttestationSuffix = ".att"
	MediaTypeSimpleSigning  = "application/vnd.dev.cosign.simplesigning.v1+json"
	MediaTypeDSSE           = "application/vnd.dsse.envelope.v1+json"

	AnnotationLegacySignature   = "dev.cosignproject.cosign/signature"
	AnnotationLegacyCertificate = "dev.sigstore.cosign/certificate"
	AnnotationLegacyChain       = "dev.sigstore.cosign/chain"
	AnnotationLegacyBundle      = "dev.sigstore.cosign/bundle"
	AnnotationLegacyTimestamp   = "dev.sigstore.cosign/rfc3161timestamp"
)

// Role says what a file of a model is (ModelPack v0.0.7, spec.md, "layers").
type Role string

// The five roles of ModelPack.
const (
	RoleWeight       Role = "weight"
	RoleWeightConfig Role = "weight.config"
	RoleDoc          Role = "doc"
	RoleCode         Role = "code"
	RoleDataset      Role = "dataset"
)

// Roles lists every role in the order in which people expect them.
func Roles() []Role {
	return []Role{RoleWeight, RoleWeightConfig, RoleDoc, RoleCode, RoleDataset}
}

// Valid reports whether r is one of the five roles.
func (r Role) Valid() bool {
	switch r {
	case RoleWeight, RoleWeightConfig, RoleDoc, RoleCode, RoleDataset:
		return true
	}
	return false
}

// Encoding says how the bytes of a layer hold files.
type Encoding string

// The encodings of ModelPack layers. raw+gzip and raw+zstd do not exist.
const (
	EncodingRaw     Encoding = "raw"
	EncodingTar     Encoding = "tar"
	EncodingTarGzip Encoding = "tar+gzip"
	EncodingTarZstd Encoding = "tar+zstd"
)

// LayerType returns the media type of a layer of role r encoded as e.
func LayerType(r Role, e Encoding) string {
	return layerPrefix + string(r) + ".v1." + string(e)
}

// ParseLayerType splits a ModelPack layer media type. It compares whole roles,
// since "…model.weight." is also a prefix of "…model.weight.config.".
func ParseLayerType(mediaType string) (r Role, e Encoding, ok bool) {
	rest, found := strings.CutPrefix(mediaType, layerPrefix)
	if !found {
		rest, found = strings.CutPrefix(mediaType, layerPrefixOld)
	}
	if !found {
		return "", "", false
	}
	role, encoding, found := strings.Cut(rest, ".v1.")
	if !found || !Role(role).Valid() {
		return "", "", false
	}
	switch Encoding(encoding) {
	case EncodingRaw, EncodingTar, EncodingTarGzip, EncodingTarZstd:
		return Role(role), Encoding(encoding), true
	}
	return "", "", false
}
