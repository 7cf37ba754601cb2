package material_test

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"github.com/modseal/modseal/hack/sigstore/internal/material"
)

// Chains verify for their purpose alone, and are the same when they are loaded
// again.
func TestChains(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, tt := range map[string]struct {
		load   func(dir, name string) (material.Chain, error)
		usage  x509.ExtKeyUsage
		length int
	}{
		"fulcio": {material.LoadFulcio, x509.ExtKeyUsageCodeSigning, 2},
		"tsa":    {material.LoadTimestamping, x509.ExtKeyUsageTimeStamping, 3},
	} {
		first, err := tt.load(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		again, err := tt.load(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		if len(first.Certificates) != tt.length || !first.Root().Equal(again.Root()) || !first.Key.Equal(again.Key.PrivateKey) {
			t.Errorf("%s: %d certificates; loaded again they are others", name, len(first.Certificates))
		}
		o := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{tt.usage}}
		o.Roots.AddCert(first.Root())
		for _, c := range first.Certificates[1:] {
			o.Intermediates.AddCert(c)
		}
		if _, err := first.Certificates[0].Verify(o); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		o.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		if _, err := first.Certificates[0].Verify(o); err == nil {
			t.Errorf("%s verifies for another purpose", name)
		}
	}
}

// What is there but wrong is an error and is not replaced.
func TestSpoiled(t *testing.T) {
	t.Parallel()
	spoil := func(name, content string) func(dir string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600) }
	}
	for name, change := range map[string]func(dir string) error{
		"key is no PEM":    spoil("fulcio.key", "x"),
		"chain is no PEM":  spoil("fulcio.pem", "x"),
		"key is not there": func(dir string) error { return os.Remove(filepath.Join(dir, "fulcio.key")) },
	} {
		dir := t.TempDir()
		if _, err := material.LoadFulcio(dir, "fulcio"); err != nil {
			t.Fatal(err)
		}
		if err := change(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := material.LoadFulcio(dir, "fulcio"); err == nil {
			t.Errorf("%s: it is loaded", name)
		}
	}
}
