package redact_test

import (
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/internal/redact"
)

func TestReference(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"release.pub": "release.pub",
		"env://KEY":   "env://KEY",
		"pkcs11:token=t;object=o?module-path=/lib/a:b.so&pin-value=1234":   "pkcs11:token=t;object=o?module-path=/lib/a:b.so&pin-value=…",
		"pkcs11:token=t;object=o?pin-value=1234&module-path=/lib/a.so":     "pkcs11:token=t;object=o?pin-value=…&module-path=/lib/a.so",
		"pkcs11:token=t;object=o?pin-value=a=b&module-path=/lib/a.so":      "pkcs11:token=t;object=o?pin-value=…&module-path=/lib/a.so",
		"pkcs11:token=t?pin%2Dvalue=1234":                                  "pkcs11:token=t?pin%2Dvalue=…",
		"pkcs11:token=t?%70in-value=1234":                                  "pkcs11:token=t?%70in-value=…",
		"pkcs11:token=t?%zz=1234":                                          "pkcs11:token=t?%zz=…",
		"PKCS11:token=t?PIN-VALUE=1234":                                    "PKCS11:token=t?PIN-VALUE=…",
		"pkcs11:pin-value=1234;token=t":                                    "pkcs11:pin-value=…;token=t",
		"awskms://user:1234@kms.example.com/alias/release":                 "awskms://…@kms.example.com/alias/release",
		"gcpkms://projects/p/locations/l/keyRings/r@2/cryptoKeys/k":        "gcpkms://projects/p/locations/l/keyRings/r@2/cryptoKeys/k",
		"awskms:///arn:aws:kms:eu-west-1:111122223333:key/release@example": "awskms:///arn:aws:kms:eu-west-1:111122223333:key/release@example",
	} {
		if got := redact.Reference(text); got != want {
			t.Errorf("%s became %s, not %s", text, got, want)
		}
	}
}

func FuzzReference(f *testing.F) {
	f.Add("token=t;object=o?module-path=/lib/a.so&", "1234", "&slot-id=1")
	f.Fuzz(func(t *testing.T, before, pin, after string) {
		if len(pin) < 4 || strings.ContainsAny(pin, "?&;") || strings.Contains(before+after+"pkcs11:pin-value=", pin) ||
			before != "" && !strings.ContainsAny(before[len(before)-1:], "?&;") || after != "" && after[0] != '&' {
			return
		}
		if got := redact.Reference("pkcs11:" + before + "pin-value=" + pin + after); strings.Contains(got, pin) {
			t.Errorf("the PIN is still in %q", got)
		}
	})
}
