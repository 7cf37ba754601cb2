package verify

import (
	"crypto/x509"
	"encoding/json"
	"maps"
	"slices"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// sans returns the subject alternative names of a certificate that identify
// somebody: URIs, addresses, DNS names, IP addresses, and the other name that
// Fulcio gives to users of issuers without any of them.
func sans(cert *x509.Certificate) []string {
	var out []string
	for _, u := range cert.URIs {
		out = append(out, u.String())
	}
	out = append(out, cert.EmailAddresses...)
	out = append(out, cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		out = append(out, ip.String())
	}
	if other, err := cryptoutils.UnmarshalOtherNameSAN(cert.Extensions); err == nil && other != "" {
		out = append(out, other)
	}
	return out
}

// extensions returns the extensions of Fulcio by their names in camel case.
func extensions(e certificate.Extensions) (map[string]string, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	return out, json.Unmarshal(text, &out)
}

// otherExtension returns the first extension in want that have has not, or not like
// that.
func otherExtension(want, have map[string]string) *miss {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		switch value, there := have[name]; {
		case !there:
			return missf(causeExtension, "its certificate has no extension %s, which must be %q", name, shorten(want[name]))
		case value != want[name]:
			return missf(causeExtension, "its certificate has %s %q, not %q", name, shorten(value), shorten(want[name]))
		}
	}
	return nil
}
