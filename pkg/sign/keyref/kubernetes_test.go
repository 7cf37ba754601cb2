package keyref_test

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/sign/keyref"
	"github.com/modseal/modseal/pkg/trust"
)

// cluster is an API server on loopback that has secrets and shows them to who has
// the token, and makes it the cluster of KUBECONFIG.
func cluster(t *testing.T, secrets map[string]map[string][]byte) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := func(code int32, reason metav1.StatusReason, message string) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(int(code))
			_ = json.NewEncoder(w).Encode(metav1.Status{
				TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Code: code, Reason: reason, Message: message,
			})
		}
		if r.Header.Get("Authorization") != "Bearer account" {
			status(http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "Unauthorized")
			return
		}
		data, ok := secrets[strings.TrimPrefix(r.URL.Path, "/api/v1/namespaces/")]
		if !ok {
			status(http.StatusNotFound, metav1.StatusReasonNotFound, `secrets "x" not found`)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(corev1.Secret{
			TypeMeta: metav1.TypeMeta{Kind: "Secret", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Name: "key", Namespace: "ml"}, Data: data,
		})
	}))
	t.Cleanup(server.Close)
	// The client keeps its token from servers without TLS.
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	config := filepath.Join(t.TempDir(), "config")
	text := `{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],` +
		`"clusters":[{"name":"c","cluster":{"server":"` + server.URL + `","certificate-authority-data":"` + base64.StdEncoding.EncodeToString(authority) + `"}}],"users":[{"name":"u","user":{"token":"account"}}]}`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", config)
}

func TestKubernetes(t *testing.T) {
	private, public, err := sign.GenerateKeyPair(sign.P384, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	cluster(t, map[string]map[string][]byte{
		"ml/secrets/key":     {"cosign.key": private, "cosign.pub": public, "cosign.password": []byte("secret")},
		"ml/secrets/asks":    {"cosign.key": private},
		"ml/secrets/another": {"tls.key": private},
	})
	store := keyref.New(keyref.Options{})
	s, err := store.Signer(t.Context(), "k8s://ml/key", nil)
	if err != nil {
		t.Fatal(err)
	}
	verifySignatures(t, s, crypto.SHA384)
	want, err := trust.ParseKey("k", public)
	if err != nil {
		t.Fatal(err)
	}
	if k, err := store.PublicKey(t.Context(), "k8s://ml/key"); err != nil || !k.Equal(want) {
		t.Error(err)
	}
	if _, err := store.Signer(t.Context(), "k8s://ml/asks", func() ([]byte, error) { return []byte("secret"), nil }); err != nil {
		t.Error(err)
	}
	if _, err := store.Signer(t.Context(), "k8s://ml/asks", nil); !errors.Is(err, sign.ErrPassword) {
		t.Error(err)
	}
	for reference, says := range map[string]string{"k8s://ml/another": "no cosign.key", "k8s://ml/none": "not found"} {
		if _, err := store.Signer(t.Context(), reference, nil); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "kubectl") {
			t.Errorf("%s: %v", reference, err)
		}
	}
	if _, err := store.PublicKey(t.Context(), "k8s://ml/asks"); err == nil || !strings.Contains(err.Error(), "no cosign.pub") {
		t.Error(err)
	}
}
