package keyref_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/sign/keyref"
)

// vaultKinds are the kinds of transit keys that sign.
var vaultKinds = map[string]crypto.Hash{
	"ecdsa-p256": crypto.SHA256, "ecdsa-p384": crypto.SHA384, "ecdsa-p521": crypto.SHA512, "ed25519": 0, "rsa-2048": crypto.SHA256,
}

// vaultAPI is a server that speaks the documented API of the transit engine, with
// real keys
// (https://developer.hashicorp.com/vault/api-docs/secret/transit): read a key, sign
// with it. It has a key of each kind, by the name of the kind.
func vaultAPI(t *testing.T) (address string) {
	t.Helper()
	keys := map[string]crypto.Signer{}
	for name, curve := range map[string]elliptic.Curve{"ecdsa-p256": elliptic.P256(), "ecdsa-p384": elliptic.P384(), "ecdsa-p521": elliptic.P521()} {
		keys[name] = ecKey(t, curve)
	}
	var err error
	if _, keys["ed25519"], err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	if keys["rsa-2048"], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	guarded := func(do func(http.ResponseWriter, *http.Request, crypto.Signer)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Vault-Token") != vaultToken {
				answer(w, http.StatusForbidden, map[string]any{"errors": []string{"permission denied"}})
				return
			}
			key, ok := keys[r.PathValue("name")]
			if !ok {
				answer(w, http.StatusNotFound, map[string]any{"errors": []string{}})
				return
			}
			do(w, r, key)
		}
	}
	mux.HandleFunc("GET /v1/transit/keys/{name}", guarded(func(w http.ResponseWriter, r *http.Request, key crypto.Signer) {
		answer(w, http.StatusOK, map[string]any{"data": map[string]any{
			"type": r.PathValue("name"), "latest_version": 1, "name": r.PathValue("name"), "supports_signing": true,
			"keys": map[string]any{"1": map[string]any{"name": r.PathValue("name"), "public_key": vaultPublicKey(t, key)}},
		}})
	}))
	sign := guarded(func(w http.ResponseWriter, r *http.Request, key crypto.Signer) {
		sig, err := vaultSign(r, key)
		if err != nil {
			answer(w, http.StatusBadRequest, map[string]any{"errors": []string{err.Error()}})
			return
		}
		answer(w, http.StatusOK, map[string]any{"data": map[string]any{"signature": "vault:v1:" + base64.StdEncoding.EncodeToString(sig), "key_version": 1}})
	})
	for _, method := range []string{"PUT", "POST"} {
		mux.HandleFunc(method+" /v1/transit/sign/{name}", sign)
		mux.HandleFunc(method+" /v1/transit/sign/{name}/{hash}", sign)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// vaultPublicKey is PEM, and for Ed25519 the key itself in base64.
func vaultPublicKey(t *testing.T, key crypto.Signer) string {
	t.Helper()
	if public, ok := key.Public().(ed25519.PublicKey); ok {
		return base64.StdEncoding.EncodeToString(public)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func vaultSign(r *http.Request, key crypto.Signer) ([]byte, error) {
	var request struct {
		Input              []byte `json:"input"`
		Prehashed          bool   `json:"prehashed"`
		SignatureAlgorithm string `json:"signature_algorithm"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		return nil, err
	}
	if _, ok := key.(ed25519.PrivateKey); ok {
		if request.Prehashed {
			return nil, errors.New("only Pure Ed25519 signatures supported, prehashed must be false")
		}
		return key.Sign(rand.Reader, request.Input, crypto.Hash(0))
	}
	hash, ok := map[string]crypto.Hash{"": crypto.SHA256, "sha2-256": crypto.SHA256, "sha2-384": crypto.SHA384, "sha2-512": crypto.SHA512}[r.PathValue("hash")]
	if !ok {
		return nil, fmt.Errorf("invalid hash algorithm %s", r.PathValue("hash"))
	}
	input := request.Input
	if !request.Prehashed {
		h := hash.New()
		h.Write(input)
		input = h.Sum(nil)
	}
	if _, ok := key.(*rsa.PrivateKey); ok && request.SignatureAlgorithm != "pkcs1v15" {
		return key.Sign(rand.Reader, input, &rsa.PSSOptions{Hash: hash, SaltLength: rsa.PSSSaltLengthAuto})
	}
	return key.Sign(rand.Reader, input, hash)
}

const vaultToken = "root-of-the-test"

// realVault starts a Vault or OpenBao of PATH in its development mode, and makes
// the same keys in it.
func realVault(t *testing.T) (address string) {
	t.Helper()
	var program string
	for _, name := range []string{"bao", "vault"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		t.Skip("neither bao nor vault is on PATH")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	server := exec.CommandContext(t.Context(), program, "server", "-dev", "-dev-root-token-id="+vaultToken, "-dev-listen-address="+host, "-dev-no-store-token")
	server.Env = []string{"HOME=" + t.TempDir()}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	address = "http://" + host
	call := func(path, body string) error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+"/v1/"+path, strings.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("X-Vault-Token", vaultToken)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode >= 300 {
			return fmt.Errorf("%s: %s", path, resp.Status)
		}
		return nil
	}
	deadline := time.Now().Add(time.Minute)
	for {
		if err = call("sys/mounts/transit", `{"type":"transit"}`); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // it has no other sign of being ready
	}
	for kind := range vaultKinds {
		if err := call("transit/keys/"+kind, `{"type":"`+kind+`"}`); err != nil {
			t.Fatal(err)
		}
	}
	return address
}

func TestVault(t *testing.T) {
	for name, start := range map[string]func(*testing.T) string{"documented API": vaultAPI, "real": realVault} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("VAULT_ADDR", start(t))
			t.Setenv("VAULT_TOKEN", vaultToken)
			store := keyref.New(keyref.Options{})
			for kind, hash := range vaultKinds {
				for _, scheme := range []string{"hashivault://", "openbao://"} {
					s, err := store.Signer(t.Context(), scheme+kind, nil)
					if err != nil {
						t.Errorf("%s: %v", kind, err)
						continue
					}
					_, ec := s.Public().Public.(*ecdsa.PublicKey)
					if s.CanOMS() != ec {
						t.Errorf("%s: CanOMS is %t", kind, s.CanOMS())
					}
					verifySignatures(t, s, hash)
				}
				if k, err := store.PublicKey(t.Context(), "hashivault://"+kind); err != nil || k.Hash() != hash {
					t.Errorf("%s: %v", kind, err)
				}
			}
			var failed *sign.ReferenceError
			if _, err := store.Signer(t.Context(), "hashivault://none", nil); !errors.As(err, &failed) || !strings.Contains(err.Error(), "VAULT_ADDR") {
				t.Error(err)
			}
			t.Setenv("VAULT_TOKEN", "another")
			if _, err := store.Signer(t.Context(), "hashivault://ecdsa-p256", nil); err == nil || !strings.Contains(err.Error(), "permission denied") {
				t.Error(err)
			}
		})
	}
}
