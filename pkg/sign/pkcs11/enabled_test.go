//go:build pkcs11key && cgo

package pkcs11_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/sign/pkcs11"
)

const softPIN = "1234"

// softHSM makes a token of SoftHSM with a key of each kind, by the name of the
// kind, and returns its library.
func softHSM(t *testing.T) (module string) {
	t.Helper()
	for _, name := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so", "/opt/homebrew/lib/softhsm/libsofthsm2.so"} {
		if _, err := os.Stat(name); err == nil {
			module = name
		}
	}
	for _, tool := range []string{"softhsm2-util", "pkcs11-tool"} {
		if _, err := exec.LookPath(tool); err != nil || module == "" {
			t.Skip("SoftHSM or OpenSC is not here (Debian: softhsm2, opensc)")
		}
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "softhsm2.conf")
	if err := os.WriteFile(config, []byte("directories.tokendir = "+dir+"\nobjectstore.backend = file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", config)
	run := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	run("softhsm2-util", "--init-token", "--free", "--label", "model signing", "--pin", softPIN, "--so-pin", "5678")
	for id, kind := range map[string]string{"01": "EC:prime256v1", "02": "EC:secp384r1", "03": "EC:secp521r1", "04": "rsa:2048"} {
		run("pkcs11-tool", "--module", module, "--token-label", "model signing", "--login", "--pin", softPIN,
			"--keypairgen", "--key-type", kind, "--id", id, "--label", strings.ReplaceAll(kind, ":", "-"), "--usage-sign")
	}
	return module
}

func tokens(environment map[string]string) pkcs11.Tokens {
	return pkcs11.Tokens{Getenv: func(name string) (string, bool) {
		v, ok := environment[name]
		return v, ok
	}}
}

// verifySignatures checks what s signs without any of the code that signed it.
func verifySignatures(t *testing.T, s *sign.Signer, hash crypto.Hash) {
	t.Helper()
	payload := []byte(`{"_type":"https://in-toto.io/Statement/v1"}`)
	text, err := s.Sign(t.Context(), payload, sign.FormCosign)
	if err != nil {
		t.Error(err)
		return
	}
	var b struct {
		DSSEEnvelope struct {
			Signatures []struct{ Sig []byte }
		}
	}
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	h := hash.New()
	fmt.Fprintf(h, "DSSEv1 28 application/vnd.in-toto+json %d %s", len(payload), payload)
	sum, sig := h.Sum(nil), b.DSSEEnvelope.Signatures[0].Sig
	good := false
	switch key := s.Public().Public.(type) {
	case *ecdsa.PublicKey:
		good = ecdsa.VerifyASN1(key, sum, sig)
	case *rsa.PublicKey:
		good = rsa.VerifyPKCS1v15(key, hash, sum, sig) == nil
	}
	if !good {
		t.Errorf("the signature does not verify with %s: %s", hash, text)
	}
}

func TestSoftHSM(t *testing.T) {
	module := softHSM(t)
	withPIN := tokens(map[string]string{"COSIGN_PKCS11_MODULE_PATH": module, "COSIGN_PKCS11_PIN": softPIN})
	for name, row := range map[string]struct {
		id   string
		hash crypto.Hash
	}{
		"EC-prime256v1": {"%01", crypto.SHA256}, "EC-secp384r1": {"%02", crypto.SHA384}, "EC-secp521r1": {"%03", crypto.SHA512}, "rsa-2048": {"%04", crypto.SHA256},
	} {
		byName, err := withPIN.Signer(t.Context(), "pkcs11:token=model%20signing;object="+name, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		verifySignatures(t, byName, row.hash)
		byID, err := withPIN.Signer(t.Context(), "pkcs11:token=model%20signing;id="+row.id, nil)
		if err != nil || !byID.Public().Equal(byName.Public()) {
			t.Errorf("%s by id: %v", name, err)
		}
		if k, err := withPIN.PublicKey(t.Context(), "pkcs11:token=model%20signing;object="+name); err != nil || !k.Equal(byName.Public()) {
			t.Errorf("%s, public key: %v", name, err)
		}
	}
	uri := "pkcs11:token=model%20signing;object=EC-prime256v1?module-path=" + module
	asks := tokens(nil)
	s, err := asks.Signer(t.Context(), uri, func() ([]byte, error) { return []byte(softPIN), nil })
	if err != nil {
		t.Fatal(err)
	}
	verifySignatures(t, s, crypto.SHA256)
	s, err = asks.Signer(t.Context(), uri+"&pin-value="+softPIN, nil)
	if err != nil {
		t.Fatal(err)
	}
	if name := s.Identity().String(); strings.Contains(name, softPIN) {
		t.Errorf("signs as %s", name)
	}
}

func TestSoftHSMRefuses(t *testing.T) {
	module := softHSM(t)
	uri := "pkcs11:token=model%20signing;object=EC-prime256v1?module-path=" + module
	store := tokens(nil)
	if _, err := store.Signer(t.Context(), uri, nil); !errors.Is(err, sign.ErrPassword) || !strings.Contains(err.Error(), "COSIGN_PKCS11_PIN") {
		t.Error(err)
	}
	if _, err := store.PublicKey(t.Context(), uri); err == nil || !strings.Contains(err.Error(), "COSIGN_PKCS11_PIN") {
		t.Error(err)
	}
	for reference, says := range map[string]string{
		uri + "&pin-value=9999": "PIN",
		strings.Replace(uri, "prime256v1", "none", 1) + "&pin-value=" + softPIN:  "no key pair",
		strings.Replace(uri, "model", "another", 1) + "&pin-value=" + softPIN:    "token",
		strings.Replace(uri, module, "/nowhere.so", 1) + "&pin-value=" + softPIN: "no such file",
		strings.Replace(uri, module, "lib.so", 1) + "&pin-value=" + softPIN:      "absolute path",
		strings.Replace(uri, module, "/usr", 1) + "&pin-value=" + softPIN:        "is no file",
	} {
		_, err := store.Signer(t.Context(), reference, nil)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), softPIN) || strings.Contains(err.Error(), "9999") {
			t.Errorf("%s: %v", reference, err)
		}
	}
}
