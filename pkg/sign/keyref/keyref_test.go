package keyref_test

import (
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
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sigstore/sigstore/pkg/signature/kms/fake"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/sign/keyref"
	"github.com/modseal/modseal/pkg/trust"
)

var statementText = []byte(`{"_type":"https://in-toto.io/Statement/v1"}`)

// verifySignatures signs in every form that the key has, and verifies without any
// library.
func verifySignatures(t *testing.T, s *sign.Signer, hash crypto.Hash) {
	t.Helper()
	forms := []sign.Form{sign.FormCosign}
	if _, ec := s.Public().Public.(*ecdsa.PublicKey); ec {
		forms = append(forms, sign.FormOMS)
	}
	for _, form := range forms {
		text, err := s.Sign(t.Context(), statementText, form)
		if err != nil {
			t.Error(err)
			continue
		}
		var b struct {
			DSSEEnvelope struct {
				Signatures []struct{ Sig []byte }
			}
		}
		if err := json.Unmarshal(text, &b); err != nil {
			t.Fatal(err)
		}
		pae := append([]byte("DSSEv1 28 application/vnd.in-toto+json 43 "), statementText...)
		if !verifies(s.Public().Public, hash, pae, b.DSSEEnvelope.Signatures[0].Sig) {
			t.Errorf("the signature does not verify with %s: %s", hash, text)
		}
	}
}

func verifies(public crypto.PublicKey, hash crypto.Hash, message, sig []byte) bool {
	if key, ok := public.(ed25519.PublicKey); ok {
		return hash == 0 && ed25519.Verify(key, message, sig)
	}
	h := hash.New()
	h.Write(message)
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, h.Sum(nil), sig)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, hash, h.Sum(nil), sig) == nil
	}
	return false
}

func ecKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func privatePEM(t *testing.T, key crypto.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func environment(values map[string]string) keyref.Options {
	return keyref.Options{Getenv: func(name string) (string, bool) {
		v, ok := values[name]
		return v, ok
	}}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	key := ecKey(t, elliptic.P384())
	public, err := trust.NewKey("k", key.Public())
	if err != nil {
		t.Fatal(err)
	}
	private, encryptedPublic, err := sign.GenerateKeyPair(sign.P256, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	store := keyref.New(environment(map[string]string{
		"KEY": privatePEM(t, key), "PUB": string(public.PEM()), "ENCRYPTED": string(private), "EMPTY": "",
	}))
	s, err := store.Signer(t.Context(), "env://KEY", nil)
	if err != nil {
		t.Fatal(err)
	}
	verifySignatures(t, s, crypto.SHA384)
	if k, err := store.PublicKey(t.Context(), "env://PUB"); err != nil || !k.Equal(public) || k.Name != "env://PUB" {
		t.Error(k, err)
	}
	s, err = store.Signer(t.Context(), "env://ENCRYPTED", func() ([]byte, error) { return []byte("secret"), nil })
	if err != nil {
		t.Fatal(err)
	}
	if k, err := trust.ParseKey("k", encryptedPublic); err != nil || !s.Public().Equal(k) {
		t.Error("another key", err)
	}
	if _, err := store.Signer(t.Context(), "env://ENCRYPTED", nil); !errors.Is(err, sign.ErrPassword) {
		t.Error(err)
	}
	if _, err := store.PublicKey(t.Context(), "env://KEY"); !errors.Is(err, trust.ErrInvalidKey) || !strings.Contains(err.Error(), "private key") {
		t.Error(err)
	}
	for reference, says := range map[string]string{
		"env://NONE": "NONE is not set", "env://": "no name", "env:KEY": "no name", "env://A/B": "no name", "env://EMPTY": "no PEM block",
	} {
		var failed *sign.ReferenceError
		if _, err := store.Signer(t.Context(), reference, nil); !errors.As(err, &failed) || !strings.Contains(err.Error(), says) || failed.Reference != reference {
			t.Errorf("%s: %v", reference, err)
		}
	}
	if _, err := keyref.New(keyref.Options{}).Signer(t.Context(), "env://KEY", nil); err == nil {
		t.Error("an environment that nobody gave was read")
	}
}

// No reference may run a program or ask a web server: what is on PATH here would
// leave a file behind.
func TestSchemes(t *testing.T) {
	dir, trace := t.TempDir(), filepath.Join(t.TempDir(), "ran")
	plugin := "#!/bin/sh\ntouch " + trace + "\n"
	for _, name := range []string{"sigstore-kms-own", "sigstore-kms-AWSKMS", "sigstore-kms-fakekms"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(plugin), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	store := keyref.New(keyref.Options{})
	for reference, says := range map[string]string{
		"own://key":                      `scheme "own" is unknown`,
		"AWSKMS:///alias/x":              `scheme "AWSKMS" is unknown`,
		"fakekms://key":                  "not run",
		"file:///etc/passwd":             "unknown",
		"https://example.com/cosign.key": "web server",
		"http://127.0.0.1/cosign.key":    "web server",
		"gitlab://group/project":         "env://COSIGN_PRIVATE_KEY",
		"release.key":                    "no reference",
		"":                               "no reference",
		"env://" + strings.Repeat("A", limits.ReferenceBytes): "no reference",
	} {
		var failed *sign.ReferenceError
		_, err := store.Signer(t.Context(), reference, nil)
		if !errors.Is(err, keyref.ErrScheme) || !errors.As(err, &failed) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", reference, err)
		}
		if _, err := store.PublicKey(t.Context(), reference); !errors.Is(err, keyref.ErrScheme) {
			t.Errorf("%s, public key: %v", reference, err)
		}
	}
	if _, err := os.Stat(trace); err == nil {
		t.Error("a program on PATH was run")
	}
}

// References that their services do not have are refused before anybody is asked.
func TestForms(t *testing.T) {
	t.Parallel()
	store := keyref.New(keyref.Options{})
	for _, reference := range []string{
		"awskms://alias/x", "awskms:///nothing", "gcpkms://projects/p", "azurekms://vault", "hashivault://", "hashivault://a/b", "openbao://a b", "k8s://x", "k8s://a/b/c", "k8s:a/b",
	} {
		var failed *sign.ReferenceError
		if _, err := store.Signer(t.Context(), reference, nil); !errors.As(err, &failed) || failed.Next == "" {
			t.Errorf("%s: %v", reference, err)
		}
	}
}

// The fake of sigstore signs with the hash that it is told, as services do whose
// keys leave it open: the hash of the curve must be asked for.
func TestHashOfTheCurve(t *testing.T) {
	keyref.AllowFake(t)
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		key  crypto.Signer
		hash crypto.Hash
	}{
		"P-256": {ecKey(t, elliptic.P256()), crypto.SHA256}, "P-384": {ecKey(t, elliptic.P384()), crypto.SHA384},
		"P-521": {ecKey(t, elliptic.P521()), crypto.SHA512}, "RSA": {big, crypto.SHA256},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := context.WithValue(t.Context(), fake.KmsCtxKey{}, crypto.PrivateKey(row.key))
			s, err := keyref.New(keyref.Options{}).Signer(ctx, "fakekms://key", nil)
			if err != nil {
				t.Fatal(err)
			}
			verifySignatures(t, s, row.hash)
			if k, err := keyref.New(keyref.Options{}).PublicKey(ctx, "fakekms://key"); err != nil || !k.Equal(s.Public()) {
				t.Error(err)
			}
		})
	}
}

// Without the build tag, the error says what to build.
func TestTokenNeedsItsTag(t *testing.T) {
	t.Parallel()
	store := keyref.New(environment(map[string]string{"COSIGN_PKCS11_MODULE_PATH": "/nowhere/lib.so"}))
	_, err := store.Signer(t.Context(), "pkcs11:token=t;object=o?pin-value=1234", nil)
	var failed *sign.ReferenceError
	if !errors.As(err, &failed) || strings.Contains(err.Error(), "1234") {
		t.Fatal(err)
	}
	if strings.Contains(err.Error(), "pkcs11key") == (failed.Next != "") {
		t.Errorf("advice is %q", failed.Next) // to look at the token, where nothing can
	}
	if !strings.Contains(err.Error(), "pkcs11key") && !strings.Contains(err.Error(), "/nowhere/lib.so") {
		t.Error(err)
	}
	for reference, says := range map[string]string{
		"pkcs11:token=t;object=o?pin-source=file:/pin": "pin-source",
		"pkcs11:object=o":                   "one of token and slot-id",
		"pkcs11:token=t":                    "one of object and id",
		"pkcs11:token=t;object=o;slot-id=x": "slot-id",
	} {
		if _, err := store.Signer(t.Context(), reference, nil); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", reference, err)
		}
	}
	if _, err := keyref.New(keyref.Options{}).Signer(t.Context(), "pkcs11:token=t;object=o", nil); err == nil || !strings.Contains(err.Error(), "COSIGN_PKCS11_MODULE_PATH") {
		t.Error(err)
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := keyref.New(keyref.Options{}).Signer(ctx, "hashivault://key", nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
