package policy_test

import (
	"reflect"
	"strings"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
)

// fulcioNames are the extensions that sigstore-go reads from a certificate.
func fulcioNames() []string {
	var out []string
	for f := range reflect.TypeFor[certificate.Extensions]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "issuer" {
			out = append(out, name)
		}
	}
	return out
}
