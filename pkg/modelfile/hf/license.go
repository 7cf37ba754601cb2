package hf

import (
	"slices"
	"strings"

	"github.com/github/go-spdx/v2/spdxexp"
)

const licenseRef = "LicenseRef-"

// hubLicenses are ids of the hub, in lower case, whose SPDX id is another. The
// GNU licenses say nothing of later versions there, and SPDX has withdrawn the
// ids that left this open.
var hubLicenses = map[string]string{
	"agpl-3.0": "AGPL-3.0-only",
	"gpl-2.0":  "GPL-2.0-only",
	"gpl-3.0":  "GPL-3.0-only",
	"lgpl-2.1": "LGPL-2.1-only",
	"lgpl-3.0": "LGPL-3.0-only",
	"odc-by":   "ODC-By-1.0",
	"odbl":     "ODbL-1.0",
	"pddl":     "PDDL-1.0",
	"c-uda":    "C-UDA-1.0",
	"lgpl-lr":  "LGPLLR",
}

// License returns the license of a README as one SPDX expression, "" when it
// names none. Of several all apply: the hub does not say that one may choose.
func License(fm *FrontMatter) (spdxExpression string) {
	return strings.Join(Licenses(fm), " AND ")
}

// Licenses returns each license of a README as an SPDX expression.
func Licenses(fm *FrontMatter) []string {
	if fm == nil {
		return nil
	}
	var out []string
	for _, id := range fm.License {
		name := fm.LicenseName
		if len(fm.License) > 1 && !strings.EqualFold(id, "other") {
			name = "" // it can be the name of one of them only
		}
		if x := SPDX(id, name); x != "" && !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}

// SPDX returns the SPDX expression for a license id of the hub: the SPDX id
// where there is one, else a LicenseRef with the name, or with the id when the
// license has no name. An unknown license has none.
func SPDX(id, name string) string {
	id = CleanText(id, MaxTextSize)
	lower := strings.ToLower(id)
	if lower == "" || lower == "unknown" {
		return ""
	}
	if spdx, ok := hubLicenses[lower]; ok {
		return spdx
	}
	if ok, spdx := spdxexp.ActiveLicense(id); ok {
		return spdx
	}
	if isExpression(id) {
		return id
	}
	for _, text := range []string{name, id} {
		text = strings.TrimPrefix(text, licenseRef)
		if ref := idString(text); ref != "" {
			return licenseRef + ref
		}
	}
	return ""
}

// isExpression reports whether s combines SPDX ids, as GGUF files and cards
// that do not care for the hub's list do.
func isExpression(s string) bool {
	if len(s) > 256 || !strings.Contains(s, " ") {
		return false
	}
	ok, _ := spdxexp.ValidateLicenses([]string{s})
	return ok
}

// idString makes an idstring of the SPDX grammar: letters, digits, '-' and '.'.
func idString(s string) string {
	var b strings.Builder
	gap := false
	for _, r := range s {
		if r == '.' || r == '-' || r < 0x80 && isWord(byte(r)) && r != '_' {
			if gap && b.Len() > 0 {
				b.WriteByte('-')
			}
			b.WriteRune(r)
			gap = false
			continue
		}
		gap = true
	}
	return strings.Trim(b.String(), "-.")
}
