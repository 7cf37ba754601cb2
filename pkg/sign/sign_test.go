package sign_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/trust"
)

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func pkcs8(t *testing.T, key crypto.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return block("PRIVATE KEY", der)
}

func ecKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func load(t *testing.T, text []byte) *sign.Signer {
	t.Helper()
	s, err := sign.Load("test.key", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

type bundle struct {
	MediaType            string `json:"mediaType"`
	VerificationMaterial struct {
		PublicKey struct {
			Hint string `json:"hint"`
		} `json:"publicKey"`
	} `json:"verificationMaterial"`
	DSSEEnvelope struct {
		Payload     []byte `json:"payload"`
		PayloadType string `json:"payloadType"`
		Signatures  []struct {
			Sig []byte `json:"sig"`
		} `json:"signatures"`
	} `json:"dsseEnvelope"`
}

// TestSign checks bundles without any Sigstore library: their form is a promise
// to every verifier there is.
func TestSign(t *testing.T) {
	t.Parallel()
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	payload := []byte(`{"_type": "kept as it is"}`)
	pae := fmt.Appendf(nil, "DSSEv1 28 application/vnd.in-toto+json %d %s", len(payload), payload)
	for name, row := range map[string]struct {
		key  crypto.Signer
		hash crypto.Hash
		oms  bool
	}{
		"P-256":   {ecKey(t, elliptic.P256()), crypto.SHA256, true},
		"P-384":   {ecKey(t, elliptic.P384()), crypto.SHA384, true},
		"P-521":   {ecKey(t, elliptic.P521()), crypto.SHA512, true},
		"Ed25519": {edwards, 0, false},
	} {
		s := load(t, pkcs8(t, row.key))
		if s.CanOMS() != row.oms {
			t.Errorf("%s: CanOMS is %t", name, s.CanOMS())
		}
		for form, hint := range map[sign.Form]string{sign.FormCosign: s.Public().CosignHint(), sign.FormOMS: s.Public().OMSHint()} {
			text, err := s.Sign(t.Context(), payload, form)
			if form == sign.FormOMS && !row.oms {
				if !errors.Is(err, sign.ErrNoOMSKey) {
					t.Errorf("%s signs OMS: %v", name, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			var b bundle
			dec := json.NewDecoder(bytes.NewReader(text))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&b); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if b.MediaType != artifacttypes.MediaTypeBundle || b.VerificationMaterial.PublicKey.Hint != hint ||
				b.DSSEEnvelope.PayloadType != artifacttypes.PayloadTypeInToto || !bytes.Equal(b.DSSEEnvelope.Payload, payload) || len(b.DSSEEnvelope.Signatures) != 1 {
				t.Errorf("%s: bundle is %s", name, text)
				continue
			}
			if !verifies(row.key.Public(), row.hash, pae, b.DSSEEnvelope.Signatures[0].Sig) {
				t.Errorf("%s: the signature does not verify", name)
			}
		}
	}
}

func verifies(public crypto.PublicKey, hash crypto.Hash, message, sig []byte) bool {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		h := hash.New()
		h.Write(message)
		return ecdsa.VerifyASN1(key, h.Sum(nil), sig)
	case ed25519.PublicKey:
		return ed25519.Verify(key, message, sig)
	}
	return false
}

// Ed25519 signs the same thing the same way twice, so that everything else in
// the bundle is seen to be stable, too: protojson alone writes spaces at random.
func TestBundleBytesAreStable(t *testing.T) {
	t.Parallel()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := load(t, pkcs8(t, key))
	first, err := s.Sign(t.Context(), []byte("{}"), sign.FormCosign)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(first, []byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"`)) {
		t.Errorf("not compact, or in another order: %s", first)
	}
	for range 20 {
		again, err := s.Sign(t.Context(), []byte("{}"), sign.FormCosign)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, again) {
			t.Fatalf("two bundles of one payload:\n%s\n%s", first, again)
		}
	}
}

func TestSignCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := load(t, pkcs8(t, ecKey(t, elliptic.P256()))).Sign(ctx, []byte("{}"), sign.FormCosign); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestGenerateKeyPair(t *testing.T) {
	t.Parallel()
	for curve, describe := range map[sign.Curve]string{"": "EC P-256", sign.P256: "EC P-256", sign.P384: "EC P-384", sign.P521: "EC P-521"} {
		for name, password := range map[string][]byte{"plain": nil, "empty": {}, "secret": []byte("secret")} {
			// Encryption is slow on purpose and knows nothing of the curve.
			if password != nil && curve != "" {
				continue
			}
			private, public, err := sign.GenerateKeyPair(curve, password)
			if err != nil {
				t.Fatal(err)
			}
			kind := "ENCRYPTED SIGSTORE PRIVATE KEY"
			if password == nil {
				kind = "PRIVATE KEY"
			}
			if b, _ := pem.Decode(private); b == nil || b.Type != kind {
				t.Errorf("%s, %s: written as %.40s", curve, name, private)
			}
			key, err := trust.ParseKey("k", public)
			if err != nil || key.Describe() != describe {
				t.Errorf("%s: %s, %v", curve, key.Describe(), err)
			}
			asked := false
			s, err := sign.Load("k", private, func() ([]byte, error) { asked = true; return password, nil })
			if err != nil {
				t.Errorf("%s, %s: %v", curve, name, err)
				continue
			}
			if !s.Public().Equal(key) || asked != (password != nil) {
				t.Errorf("%s, %s: another key, or asked for a password: %t", curve, name, asked)
			}
		}
	}
	if _, _, err := sign.GenerateKeyPair("p224", nil); err == nil {
		t.Error("curve p224 exists")
	}
}

// testdata/cosign.key was written by cosign generate-key-pair (v3.1.3) with the
// password "cosign"; the older PEM type holds the same.
func TestLoadCosignKey(t *testing.T) {
	t.Parallel()
	private, err := os.ReadFile(filepath.Join("testdata", "cosign.key"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(filepath.Join("testdata", "cosign.pub"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := trust.ParseKey("cosign.pub", public)
	if err != nil {
		t.Fatal(err)
	}
	older := bytes.ReplaceAll(private, []byte("ENCRYPTED SIGSTORE"), []byte("ENCRYPTED COSIGN"))
	for _, text := range [][]byte{private, older} {
		s, err := sign.Load("cosign.key", text, func() ([]byte, error) { return []byte("cosign"), nil })
		if err != nil {
			t.Fatal(err)
		}
		if !s.Public().Equal(key) {
			t.Error("another key")
		}
	}
}

func TestLoadSEC1(t *testing.T) {
	t.Parallel()
	key := ecKey(t, elliptic.P384())
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	// As openssl ecparam -genkey writes it.
	text := append(block("EC PARAMETERS", []byte{6, 5, 43, 129, 4, 0, 34}), block("EC PRIVATE KEY", der)...)
	if s := load(t, text); s.Public().Describe() != "EC P-384" {
		t.Error(s.Public().Describe())
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	encrypted, public, err := sign.GenerateKeyPair(sign.P256, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := pkcs8(t, ecKey(t, elliptic.P256()))
	failed := errors.New("no terminal")
	answer := func(p []byte, err error) func() ([]byte, error) {
		return func() ([]byte, error) { return p, err }
	}
	never := func() ([]byte, error) { t.Error("asked for a password"); return nil, nil }
	legacy := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("x"), Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}})
	for name, row := range map[string]struct {
		text     []byte
		password func() ([]byte, error)
		is       error
		says     string
	}{
		"wrong password":      {encrypted, answer([]byte("wrong"), nil), sign.ErrPassword, "does not open"},
		"empty password":      {encrypted, answer([]byte{}, nil), sign.ErrPassword, "does not open"},
		"no password":         {encrypted, answer(nil, nil), sign.ErrPassword, "no password was given"},
		"nobody to ask":       {encrypted, nil, sign.ErrPassword, "no password was given"},
		"asking fails":        {encrypted, answer(nil, failed), failed, "no terminal"},
		"damaged":             {block("ENCRYPTED SIGSTORE PRIVATE KEY", []byte("xx")), never, sign.ErrKey, "damaged"},
		"damaged JSON":        {block("ENCRYPTED COSIGN PRIVATE KEY", []byte("{}")), never, sign.ErrKey, "damaged"},
		"nothing":             {nil, never, sign.ErrKey, "no PEM block"},
		"garbage":             {[]byte("hello"), never, sign.ErrKey, "no PEM block"},
		"PEM of garbage":      {block("PRIVATE KEY", []byte("hello")), never, sign.ErrKey, "k.key"},
		"public key":          {public, never, sign.ErrKey, "public key"},
		"certificate":         {block("CERTIFICATE", []byte("x")), never, sign.ErrKey, "CERTIFICATE"},
		"RSA":                 {pkcs8(t, big), never, sign.ErrKey, "RSA"},
		"RSA in PKCS #1":      {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(big)), never, sign.ErrKey, "RSA"},
		"P-224":               {pkcs8(t, ecKey(t, elliptic.P224())), never, sign.ErrKey, "P-224"},
		"two keys":            {append(bytes.Clone(good), good...), never, sign.ErrKey, "more than one"},
		"encrypted PKCS #8":   {block("ENCRYPTED PRIVATE KEY", []byte("x")), never, sign.ErrKey, "openssl pkcs8"},
		"encrypted in header": {legacy, never, sign.ErrKey, "openssl pkcs8"},
		"SSH":                 {block("OPENSSH PRIVATE KEY", []byte("x")), never, sign.ErrKey, "SSH"},
		"too large":           {bytes.Repeat([]byte("x"), 2<<20), never, sign.ErrKey, "more than"},
	} {
		_, err := sign.Load("k.key", row.text, row.password)
		switch {
		case !errors.Is(err, row.is):
			t.Errorf("%s: %v", name, err)
		case !strings.Contains(err.Error(), row.says) || !strings.Contains(err.Error(), "k.key"):
			t.Errorf("%s: %q does not say %q", name, err, row.says)
		case strings.Contains(err.Error(), "wrong") && name == "wrong password":
			t.Errorf("%s: %q shows the password", name, err)
		}
	}
	// A wrong password is no damaged key, and the other way round.
	if _, err := sign.Load("k", encrypted, answer([]byte("wrong"), nil)); errors.Is(err, sign.ErrKey) {
		t.Error(err)
	}
}

// omsSchemas returns a function that validates with the schemas of OMS.
func omsSchemas(t *testing.T) func(part string, data []byte) {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "shared", "testdata", "oms", "schemas")
	if _, err := os.Stat(dir); err != nil {
		t.Skip(dir, "is not there:", err)
	}
	compiler := jsonschema.NewCompiler()
	for _, part := range []string{"bundle", "envelope", "statement", "predicate"} {
		f, err := os.Open(filepath.Join(dir, part+".schema.json"))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		if err := compiler.AddResource("https://model_signing/"+part+"/v1.0/schema", doc); err != nil {
			t.Fatal(err)
		}
	}
	return func(part string, data []byte) {
		t.Helper()
		schema, err := compiler.Compile("https://model_signing/" + part + "/v1.0/schema")
		if err != nil {
			t.Fatal(err)
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s: %v\n%s", part, err, data)
		}
	}
}

func TestOMSBundleFollowsTheSchemas(t *testing.T) {
	t.Parallel()
	validate := omsSchemas(t)
	d := strings.Repeat("ab", 32)
	oms, err := statement.NewOMS("m", []statement.Resource{{Name: "b/a", Digest: d, Algorithm: "sha256"}, {Name: "b.c", Digest: d, Algorithm: "sha256"}}, []string{"x"})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := oms.Payload()
	if err != nil {
		t.Fatal(err)
	}
	validate("statement", payload)
	text, err := load(t, pkcs8(t, ecKey(t, elliptic.P256()))).Sign(t.Context(), payload, sign.FormOMS)
	if err != nil {
		t.Fatal(err)
	}
	validate("bundle", text)

	// Shards are read, and written when they were read.
	shards := *oms
	shards.Method, shards.ShardSize = statement.MethodShards, 4
	shards.Resources = []statement.Resource{{Name: "a:0:4", Digest: d, Algorithm: "sha256"}}
	if payload, err = shards.Payload(); err != nil {
		t.Fatal(err)
	}
	validate("statement", payload)
}
