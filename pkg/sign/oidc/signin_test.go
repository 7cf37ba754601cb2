package oidc_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/sign/oidc"
)

// issuer is an OpenID Connect issuer on loopback that lets one person in, by code
// or by device, and insists on PKCE.
type issuer struct {
	url     string
	key     *ecdsa.PrivateKey
	signer  jose.Signer
	pending int    // how often a device is told to wait
	denied  string // what a device is told then

	// asked sees every request for a token.
	asked func()

	mu        sync.Mutex
	challenge string
	nonce     string
	polls     int
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	var err error
	if i.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if i.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: i.key, KeyID: "k"}}, nil); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.discovery)
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		respond(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
	})
	mux.HandleFunc("GET /auth", i.authorize)
	mux.HandleFunc("POST /device", i.device)
	mux.HandleFunc("POST /token", i.token)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	i.url = server.URL
	return i
}

func respond(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (i *issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	respond(w, map[string]any{
		"issuer": i.url, "authorization_endpoint": i.url + "/auth", "token_endpoint": i.url + "/token", "jwks_uri": i.url + "/keys",
		"device_authorization_endpoint": i.url + "/device", "code_challenge_methods_supported": []string{"S256"},
		"id_token_signing_alg_values_supported": []string{"ES256"},
	})
}

// authorize shows the person a code.
func (i *issuer) authorize(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.challenge, i.nonce = r.URL.Query().Get("code_challenge"), r.URL.Query().Get("nonce")
	fmt.Fprint(w, "the-code")
}

func (i *issuer) device(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.challenge = r.FormValue("code_challenge")
	respond(w, map[string]any{"device_code": "the-code", "user_code": "ABCD-EFGH", "verification_uri": i.url + "/activate", "interval": 0, "expires_in": 300})
}

func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.asked != nil {
		i.asked()
	}
	code := r.FormValue("code") + r.FormValue("device_code")
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if code != "the-code" || base64.RawURLEncoding.EncodeToString(sum[:]) != i.challenge {
		w.WriteHeader(http.StatusBadRequest)
		respond(w, map[string]string{"error": "invalid_grant"})
		return
	}
	i.polls++
	if strings.Contains(r.FormValue("grant_type"), "device_code") && (i.polls <= i.pending || i.denied != "") {
		problem := "authorization_pending"
		if i.polls > i.pending {
			problem = i.denied
		}
		w.WriteHeader(http.StatusBadRequest)
		respond(w, map[string]string{"error": problem})
		return
	}
	claims, _ := json.Marshal(map[string]any{
		"iss": i.url, "sub": "123", "email": "jane@example.com", "email_verified": true, "aud": oidc.DefaultClientID, "nonce": i.nonce,
		"exp": time.Now().Add(time.Minute).Unix(), "iat": time.Now().Unix(),
	})
	signed, err := i.signer.Sign(claims)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	text, _ := signed.CompactSerialize()
	respond(w, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": text})
}

func TestDevice(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.pending = 3
	var said bytes.Buffer
	token, err := oidc.New(oidc.Options{NoAmbient: true, Flow: oidc.FlowDevice, Issuer: i.url, Input: strings.NewReader(""), Output: &said}).Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	claims, err := sign.ReadClaims(token)
	if err != nil || claims.Email != "jane@example.com" || claims.Issuer != i.url {
		t.Errorf("%+v, %v", claims, err)
	}
	if !strings.Contains(said.String(), "ABCD-EFGH") || !strings.Contains(said.String(), i.url+"/activate") {
		t.Errorf("said %q", said.String())
	}
}

func TestDeviceDenied(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.denied = "access_denied"
	_, err := oidc.New(oidc.Options{NoAmbient: true, Flow: oidc.FlowDevice, Issuer: i.url, Input: strings.NewReader(""), Output: new(bytes.Buffer)}).Token(t.Context())
	if !errors.Is(err, sign.ErrToken) || !strings.Contains(err.Error(), "access_denied") {
		t.Error(err)
	}
}

// What waits for a person who does not come ends with the context, and does not ask
// the issuer on and on.
func TestDeviceEndsWithTheContext(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.pending = 1 << 30
	ctx, cancel := context.WithCancel(t.Context())
	var after atomic.Int32
	i.asked = func() {
		if ctx.Err() != nil {
			after.Add(1)
		}
		cancel()
	}
	o := oidc.Options{NoAmbient: true, Flow: oidc.FlowDevice, Issuer: i.url, Input: strings.NewReader(""), Output: new(bytes.Buffer)}
	if _, err := oidc.New(o).Token(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// A loop would get in between these.
	for range 200 {
		resp, err := http.Get(i.url + "/keys")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if n := after.Load(); n > 0 {
		t.Errorf("asked %d times after the end", n)
	}
}

// person reads the link that is shown, goes there, and comes back with the code.
type person struct {
	t    *testing.T
	mu   sync.Mutex
	said bytes.Buffer
	code *strings.Reader
}

func (p *person) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(text)
}

func (p *person) Read(buf []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.code == nil {
		link := regexp.MustCompile(`http://\S+`).FindString(p.said.String())
		u, err := url.Parse(link)
		if err != nil || u.Query().Get("redirect_uri") != "urn:ietf:wg:oauth:2.0:oob" {
			p.t.Errorf("link is %q, %v", link, err)
		}
		resp, err := http.Get(link)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		var code bytes.Buffer
		if _, err := code.ReadFrom(resp.Body); err != nil {
			return 0, err
		}
		p.code = strings.NewReader(code.String() + "\n")
	}
	return p.code.Read(buf)
}

// Where no browser can be opened, the person goes to the link by other means. The
// test takes away the programs that open browsers.
func TestBrowserElsewhere(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only on Linux are browsers opened by programs on PATH")
	}
	t.Setenv("PATH", t.TempDir())
	i := newIssuer(t)
	p := &person{t: t}
	token, err := oidc.New(oidc.Options{NoAmbient: true, Flow: oidc.FlowBrowser, Issuer: i.url, Input: p, Output: p}).Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if claims, err := sign.ReadClaims(token); err != nil || claims.Email != "jane@example.com" {
		t.Errorf("%+v, %v", claims, err)
	}
}

func TestIssuerIsNone(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	_, err := oidc.New(oidc.Options{NoAmbient: true, Flow: oidc.FlowDevice, Issuer: server.URL, Input: strings.NewReader(""), Output: new(bytes.Buffer)}).Token(t.Context())
	var failed *sign.ServiceError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "OpenID Connect issuer") {
		t.Error(err)
	}
}
