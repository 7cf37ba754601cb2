package bom

import (
	"fmt"
	"strings"
)

// Kind is what a document says that it is.
type Kind struct {
	Format  Format
	Version string // of the form, such as 1.7
}

// String names the kind for people.
func (k Kind) String() string {
	if k.Format == CycloneDX {
		return "CycloneDX " + k.Version
	}
	return "SPDX " + k.Version
}

// Detect says what kind of bill of materials a JSON document is.
func Detect(raw []byte) (Kind, error) {
	doc, err := parseTree(raw)
	if err != nil {
		return Kind{}, err
	}
	return detect(doc)
}

func detect(doc *object) (Kind, error) {
	if doc.text("bomFormat") == "CycloneDX" {
		return Kind{CycloneDX, doc.text("specVersion")}, nil
	}
	if version, ok := strings.CutPrefix(doc.text("spdxVersion"), "SPDX-"); ok {
		return Kind{SPDX, version}, nil
	}
	if version, ok := strings.CutPrefix(doc.text("@context"), "https://spdx.org/rdf/"); ok {
		version, _, _ = strings.Cut(version, "/")
		return Kind{SPDX3, version}, nil
	}
	return Kind{}, fmt.Errorf("%w: neither CycloneDX (bomFormat), nor SPDX 2 (spdxVersion), nor SPDX 3 (@context) in JSON", ErrInvalid)
}
