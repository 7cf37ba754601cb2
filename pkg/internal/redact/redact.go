// Package redact takes secrets out of what messages and results may show.
package redact

import (
	"net/url"
	"regexp"
	"strings"
)

const pinAttribute = "pin-value"

// hidden stands where a secret was.
const hidden = "…"

var (
	pkcs11    = regexp.MustCompile(`(?i)^pkcs11:`)
	attribute = regexp.MustCompile(`([^?&;:=]+)=[^?&;]*`)
	login     = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*://)[^/@]*@`)
)

// Reference returns a key reference without the PIN of a PKCS #11 URI (RFC 7512
// section 2.4) and without a login before the host of any other. What is no
// reference comes back as it is.
func Reference(reference string) string {
	if !pkcs11.MatchString(reference) {
		return login.ReplaceAllString(reference, "${1}"+hidden+"@")
	}
	return attribute.ReplaceAllStringFunc(reference, func(a string) string {
		written, _, _ := strings.Cut(a, "=")
		// Whoever reads the URI decodes the names, too.
		name, err := url.QueryUnescape(written)
		if err == nil && !strings.EqualFold(strings.TrimSpace(name), pinAttribute) {
			return a
		}
		return written + "=" + hidden
	})
}
