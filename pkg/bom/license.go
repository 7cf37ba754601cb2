package bom

import (
	"slices"
	"strings"

	"github.com/github/go-spdx/v2/spdxexp"

	"github.com/modseal/modseal/pkg/modelfile/hf"
)

const licenseRef = "LicenseRef-"

// license is a licence that somebody declared for the model.
type license struct {
	expression string // of SPDX
	id         string // of the SPDX licence list; empty when the expression is no single one
	ref        string // the LicenseRef that the expression is; empty when it is none
}

// parseLicense takes an SPDX expression, or what a foreign config calls a licence.
func parseLicense(text string) license {
	l := license{expression: text}
	if ok, id := spdxexp.ActiveLicense(text); ok {
		return license{expression: id, id: id}
	}
	if valid, _ := spdxexp.ValidateLicenses([]string{text}); !valid || strings.HasPrefix(text, licenseRef) {
		l.expression = hf.SPDX(text, "")
	}
	if strings.HasPrefix(l.expression, licenseRef) && !strings.Contains(l.expression, " ") {
		l.ref = l.expression
	}
	return l
}

// declared is all licences as one expression: each applies. It is empty when there
// is none.
func (d *description) declared() string {
	parts := make([]string, len(d.licenses))
	for i, l := range d.licenses {
		parts[i] = l.expression
		if len(d.licenses) > 1 && strings.Contains(l.expression, " ") {
			parts[i] = "(" + l.expression + ")"
		}
	}
	return strings.Join(parts, " AND ")
}

// licenseRefs are the licences of the expression that are not of the SPDX list, which
// a document has to say something about.
func (d *description) licenseRefs() []string {
	var out []string
	for _, l := range d.licenses {
		for word := range strings.FieldsFuncSeq(l.expression, func(r rune) bool { return r == ' ' || r == '(' || r == ')' }) {
			if strings.HasPrefix(word, licenseRef) && !slices.Contains(out, word) {
				out = append(out, word)
			}
		}
	}
	return out
}
