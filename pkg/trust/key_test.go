package trust_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modseal/modseal/pkg/trust"
)

// The key of the worked example, signing.md 1.10.
const (
	exampleDER        = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEBApHltmZNd5ER4mtR5NoiZbe4SkV5G0EiunUQnSx/MZfPEbVsSEhcmSWoChaVr0ryftLrrAsNpxVO2Y8WxZxGA=="
	exampleOMSHint    = "24d4e322f4046f29339f161e911f1faa8b4a15bf26da3c7a537b2820fd3592d3"
	exampleCosignHint = "1s23gMF3jL68ww+heA3dPd2rL9d+zqtBDqqQ6zjhuJk="
)

func exampleKey(t *testing.T) []byte {
	t.Helper()
	der, err := base64.StdEncoding.DecodeString(exampleDER)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func publicPEM(t *testing.T, public crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func TestHints(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"plain":         string(exampleKey(t)),
		"with preamble": "Public Key Information:\n\tCurve: P-256\n\n" + string(exampleKey(t)) + "\nand more\n",
		"with CRLF":     strings.ReplaceAll(string(exampleKey(t)), "\n", "\r\n"),
	} {
		k, err := trust.ParseKey("release", []byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if k.OMSHint() != exampleOMSHint || k.CosignHint() != exampleCosignHint {
			t.Errorf("%s: hints %s and %s", name, k.OMSHint(), k.CosignHint())
		}
		if !k.MatchesHint(exampleOMSHint) || !k.MatchesHint(exampleCosignHint) || k.MatchesHint("") || k.MatchesHint("x") {
			t.Errorf("%s: matching of hints", name)
		}
		if string(k.PEM()) != string(exampleKey(t)) {
			t.Errorf("%s: written as %s", name, k.PEM())
		}
		if k.Name != "release" || k.Describe() != "EC P-256" || len(k.Short()) != len("sha256:")+12 {
			t.Errorf("%s: %s, %s, %s", name, k.Name, k.Describe(), k.Short())
		}
	}
}

// The hint of the OMS test key was made by the Python implementation; the file
// has a text preamble.
func TestHintOfTheReferenceKey(t *testing.T) {
	t.Parallel()
	file := filepath.Join("..", "..", "..", "shared", "testdata", "oms", "keys", "signing-key-pub.pem")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Skip(file, "is not there:", err)
	}
	k, err := trust.ParseKey("signing-key", text)
	if err != nil {
		t.Fatal(err)
	}
	if want := "e8450dec4eb99dae995da9af1bc2cc9f76ed669ee2e744f57abba763df3e3f8e"; k.OMSHint() != want {
		t.Errorf("hint %s, want %s", k.OMSHint(), want)
	}
	if !strings.HasPrefix(k.Fingerprint().Encoded(), "c1e49d63") {
		t.Errorf("fingerprint %s", k.Fingerprint())
	}
}

func TestParseKeyKinds(t *testing.T) {
	t.Parallel()
	ec := func(c elliptic.Curve) crypto.PublicKey {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k.Public()
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for want, row := range map[string]struct {
		public crypto.PublicKey
		hash   crypto.Hash
	}{
		"EC P-256": {ec(elliptic.P256()), crypto.SHA256},
		"EC P-384": {ec(elliptic.P384()), crypto.SHA384},
		"EC P-521": {ec(elliptic.P521()), crypto.SHA512},
		"Ed25519":  {edwards, 0},
		"RSA 2048": {big.Public(), crypto.SHA256},
	} {
		k, err := trust.ParseKey("k", publicPEM(t, row.public))
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		if k.Describe() != want || k.Hash() != row.hash {
			t.Errorf("%s: %s with %v", want, k.Describe(), k.Hash())
		}
		if other, err := trust.ParseKey("another name", k.PEM()); err != nil || !other.Equal(k) || other.Fingerprint() != k.Fingerprint() {
			t.Errorf("%s: not equal to itself under another name: %v", want, err)
		}
	}
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&big.PublicKey)})
	if k, err := trust.ParseKey("k", pkcs1); err != nil || k.Describe() != "RSA 2048" {
		t.Errorf("PKCS #1: %v", err)
	}
}

func TestParseKeyRefuses(t *testing.T) {
	t.Parallel()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	weak := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	for name, row := range map[string]struct{ text, want string }{
		"nothing":               {"", "no PEM block"},
		"garbage":               {"hello", "no PEM block"},
		"PEM of garbage":        {block("PUBLIC KEY", []byte("hello")), "invalid public key"},
		"private key":           {block("PRIVATE KEY", pkcs8), "private key"},
		"encrypted private key": {block("ENCRYPTED SIGSTORE PRIVATE KEY", []byte("{}")), "private key"},
		"certificate":           {block("CERTIFICATE", certificate), "certificate"},
		"two keys":              {string(exampleKey(t)) + string(exampleKey(t)), "more than one"},
		"key and private key":   {string(exampleKey(t)) + block("EC PRIVATE KEY", pkcs8), "private key"},
		"RSA with 1024 bits":    {string(publicPEM(t, weak)), "1024 bits"},
		"EC P-224":              {string(publicPEM(t, p224.Public())), "P-224"},
		"SSH key":               {block("OPENSSH PUBLIC KEY", []byte("x")), "not a public key"},
		"too large":             {strings.Repeat("x", 2<<20), "more than"},
	} {
		_, err := trust.ParseKey("release.pub", []byte(row.text))
		switch {
		case !errors.Is(err, trust.ErrInvalidKey):
			t.Errorf("%s: %v", name, err)
		case !strings.Contains(err.Error(), row.want) || !strings.HasPrefix(err.Error(), "release.pub: "):
			t.Errorf("%s: %q does not say %q", name, err, row.want)
		}
	}
}

func TestZeroKey(t *testing.T) {
	t.Parallel()
	var k trust.Key
	if k.Fingerprint() != "" || k.Equal(k) || k.Hash() != 0 || k.Describe() != "unknown" {
		t.Errorf("the zero key has %s, %s", k.Fingerprint(), k.Describe())
	}
}

func TestFingerprintOfHint(t *testing.T) {
	t.Parallel()
	key, err := trust.ParseKey("release", exampleKey(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := trust.FingerprintOfHint(key.CosignHint()); !ok || got != key.Fingerprint() {
		t.Errorf("%q, %t; want %q", got, ok, key.Fingerprint())
	}
	for _, hint := range []string{"", "abc", key.OMSHint(), key.Fingerprint().String(), key.CosignHint() + "\n", "\n" + key.CosignHint(), key.CosignHint()[:40], strings.TrimRight(key.CosignHint(), "=")} {
		if got, ok := trust.FingerprintOfHint(hint); ok || got != "" {
			t.Errorf("%q is taken for %q", hint, got)
		}
	}
}
