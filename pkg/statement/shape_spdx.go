package statement

import (
	"slices"
	"strings"

	"github.com/modseal/modseal/pkg/internal/lazyregexp"
)

var (
	spdx2Version = lazyregexp.New(`^SPDX-2\.[23]$`)
	spdx2ID      = lazyregexp.New(`^SPDXRef-[A-Za-z0-9.-]+$`)
	spdx2Creator = lazyregexp.New(`^(Person|Organization|Tool): ?\S`)
	spdx3Context = lazyregexp.New(`^https://spdx\.org/rdf/3\.0(\.[0-9]+)?/spdx-context\.jsonld$`)
	spdx2Digest  = lazyregexp.New(`^[a-fA-F0-9]{8,128}$`)
	spdx3Version = lazyregexp.New(`^3\.0\.[0-9]+$`)
	spdx3Class   = lazyregexp.New(`^([a-z]+_)?[A-Z][A-Za-z0-9]+$`)
)

// checkSPDX takes both generations of SPDX: those that sign with the name that
// both had before SPDX 3 got its own are many.
func checkSPDX(predicate []byte) error {
	doc, err := decodeAny(predicate)
	if err != nil {
		return err
	}
	if o, ok := doc.(map[string]any); ok && o["spdxVersion"] == nil && o["@context"] != nil {
		return spdx3(doc, "")
	}
	return spdx2(doc, "")
}

func checkSPDX3(predicate []byte) error { return of(spdx3)(predicate) }

// spdx2 follows https://spdx.github.io/spdx-spec/v2.3/document-creation-information/.
var spdx2 = object(
	need("spdxVersion", form(spdx2Version, "SPDX-2.2 or SPDX-2.3")),
	need("dataLicense", oneOf("CC0-1.0")),
	need("SPDXID", oneOf("SPDXRef-DOCUMENT")),
	need("name", text),
	need("documentNamespace", uri),
	need("creationInfo", object(
		need("created", timestamp),
		need("creators", some(form(spdx2Creator, `a creator such as "Tool: NAME"`))),
	)),
	may("packages", list(object(
		need("SPDXID", form(spdx2ID, "an identifier such as SPDXRef-model")),
		need("name", text), need("downloadLocation", text),
		may("checksums", list(spdx2Checksum)),
	))),
	may("files", list(object(
		need("SPDXID", form(spdx2ID, "an identifier such as SPDXRef-file")),
		need("fileName", text), need("checksums", some(spdx2Checksum)),
	))),
	may("relationships", list(object(
		need("spdxElementId", text), need("relatedSpdxElement", text), need("relationshipType", spdx2Relationship),
	))),
)

var spdx2Checksum = object(
	need("algorithm", oneOf("ADLER32", "BLAKE2b-256", "BLAKE2b-384", "BLAKE2b-512", "BLAKE3", "MD2", "MD4", "MD5", "MD6",
		"SHA1", "SHA224", "SHA256", "SHA384", "SHA512", "SHA3-256", "SHA3-384", "SHA3-512")),
	need("checksumValue", form(spdx2Digest, "a digest in hexadecimal")),
)

func spdx2Relationship(v any, path string) error {
	if err := text(v, path); err != nil {
		return err
	}
	if name, _ := v.(string); !slices.Contains(spdx2Relationships, name) {
		return invalid("%s %q is no relationship that SPDX 2.3 has, such as DEPENDS_ON", path, shorten(name))
	}
	return nil
}

// spdx2Relationships are those of https://spdx.github.io/spdx-spec/v2.3/relationships-between-SPDX-elements/.
var spdx2Relationships = []string{
	"AMENDS", "ANCESTOR_OF", "BUILD_DEPENDENCY_OF", "BUILD_TOOL_OF", "CONTAINED_BY", "CONTAINS", "COPY_OF",
	"DATA_FILE_OF", "DEPENDENCY_MANIFEST_OF", "DEPENDENCY_OF", "DEPENDS_ON", "DESCENDANT_OF", "DESCRIBED_BY",
	"DESCRIBES", "DEV_DEPENDENCY_OF", "DEV_TOOL_OF", "DISTRIBUTION_ARTIFACT", "DOCUMENTATION_OF", "DYNAMIC_LINK",
	"EXAMPLE_OF", "EXPANDED_FROM_ARCHIVE", "FILE_ADDED", "FILE_DELETED", "FILE_MODIFIED", "GENERATED_FROM", "GENERATES",
	"HAS_PREREQUISITE", "METAFILE_OF", "OPTIONAL_COMPONENT_OF", "OPTIONAL_DEPENDENCY_OF", "OTHER", "PACKAGE_OF",
	"PATCH_APPLIED", "PATCH_FOR", "PREREQUISITE_FOR", "PROVIDED_DEPENDENCY_OF", "REQUIREMENT_DESCRIPTION_FOR",
	"RUNTIME_DEPENDENCY_OF", "SPECIFICATION_FOR", "STATIC_LINK", "TEST_CASE_OF", "TEST_DEPENDENCY_OF", "TEST_OF",
	"TEST_TOOL_OF", "VARIANT_OF",
}

// spdx3 follows https://spdx.github.io/spdx-spec/v3.0.1/serializations/.
var spdx3 = object(
	need("@context", form(spdx3Context, "a context of SPDX 3.0 such as https://spdx.org/rdf/3.0.1/spdx-context.jsonld")),
	need("@graph", all(some(spdx3Element), spdx3Document)),
)

func spdx3Element(v any, path string) error {
	if err := object(need("type", form(spdx3Class, "the name of a class of SPDX 3.0")))(v, path); err != nil {
		return err
	}
	o, _ := v.(map[string]any)
	if o["type"] == "CreationInfo" {
		return object(need("specVersion", form(spdx3Version, "a version of SPDX 3.0")), need("created", timestamp), need("createdBy", some(spdx3Reference)))(v, path)
	}
	if o["spdxId"] == nil && o["@id"] != nil {
		return nil // a blank node: no element of its own
	}
	return object(need("spdxId", uri), need("creationInfo", spdx3Reference))(v, path)
}

// spdx3Reference names an element or a blank node, or is an element that stands where
// it is needed.
func spdx3Reference(v any, path string) error {
	if _, inline := v.(map[string]any); inline {
		return object(need("type", form(spdx3Class, "the name of a class of SPDX 3.0")))(v, path)
	}
	if name, ok := v.(string); ok && strings.HasPrefix(name, "_:") {
		return nil
	}
	return uri(v, path)
}

// spdx3Document demands the one element that says what the document is about.
func spdx3Document(v any, path string) error {
	elements, _ := v.([]any)
	documents := 0
	for _, e := range elements {
		if o, _ := e.(map[string]any); o["type"] == "SpdxDocument" {
			documents++
		}
	}
	if documents != 1 {
		return invalid("%s has %d elements of type SpdxDocument, and needs one", path, documents)
	}
	return nil
}
