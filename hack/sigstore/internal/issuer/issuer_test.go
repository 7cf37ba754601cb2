package issuer_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/modseal/modseal/hack/sigstore/internal/issuer"
)

// listening returns the providers behind a server whose URL they have.
func listening(t *testing.T) *issuer.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	s, err := issuer.New("http://" + server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = s.Handler()
	server.Start()
	t.Cleanup(server.Close)
	return s
}

func checked(t *testing.T, issuerURL, token string) map[string]any {
	t.Helper()
	provider, err := oidc.NewProvider(t.Context(), issuerURL)
	if err != nil {
		t.Fatal(err)
	}
	id, err := provider.Verifier(&oidc.Config{ClientID: issuer.Audience}).Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{}
	if err := id.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestToken(t *testing.T) {
	t.Parallel()
	s := listening(t)
	tests := []struct {
		provider, identity, claim, want string
		refused                         bool
	}{
		{issuer.Email, "a+b@example.com", "email", "a+b@example.com", false},
		{issuer.Other, "a+b@example.com", "sub", "a+b@example.com", false},
		{issuer.Email, "a", "", "", true},
		{issuer.SPIFFE, "spiffe://example.com/a", "sub", "spiffe://example.com/a", false},
		{issuer.SPIFFE, "spiffe://example.org/a", "", "", true},
		{issuer.GitHub, "https://github.com/o/r/.github/workflows/w.yml@refs/tags/v1", "job_workflow_ref", "o/r/.github/workflows/w.yml@refs/tags/v1", false},
		{issuer.GitHub, "https://github.com/o/r/.github/workflows/w.yml@refs/tags/v1", "sub", "repo:o/r:ref:refs/tags/v1", false},
		{issuer.GitHub, "https://github.com/o/r", "", "", true},
		{issuer.GitHub, "https://gitlab.com/o/r/w.yml@refs/tags/v1", "", "", true},
		{"nobody", "a@example.com", "", "", true},
	}
	for _, tt := range tests {
		t.Run(tt.provider+" "+tt.identity, func(t *testing.T) {
			t.Parallel()
			token, err := s.Token(issuer.Request{Provider: tt.provider, Identity: tt.identity})
			if (err != nil) != tt.refused {
				t.Fatal(err)
			}
			if tt.refused {
				return
			}
			if got := checked(t, s.URLs()[tt.provider], token)[tt.claim]; got != tt.want {
				t.Errorf("%s is %q, not %q", tt.claim, got, tt.want)
			}
		})
	}
}

// Claims that are asked for replace those that the identity gives; null removes one.
func TestClaims(t *testing.T) {
	t.Parallel()
	s := listening(t)
	u := s.URLs()[issuer.Email] + "/token?identity=a@example.com&claims=" + url.QueryEscape(`{"sub":"other","email":null}`)
	claims := checked(t, s.URLs()[issuer.Email], strings.TrimSpace(body(t, request(t, http.MethodGet, u, nil), http.StatusOK)))
	if _, has := claims["email"]; has || claims["sub"] != "other" {
		t.Errorf("the claims are %v", claims)
	}
}

func request(t *testing.T, method, u string, form url.Values) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, u, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

// body returns the body of an answer, or where a redirect leads.
func body(t *testing.T, r *http.Request, status int) string {
	t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != status {
		t.Fatalf("%s %s: %d, not %d: %s", r.Method, r.URL, response.StatusCode, status, raw)
	}
	if to := response.Header.Get("Location"); to != "" {
		return to
	}
	return string(raw)
}

func fields(t *testing.T, text string) map[string]any {
	t.Helper()
	m := map[string]any{}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return m
}

func challenge(verifier string) string {
	hash := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(hash[:])
}

func TestActions(t *testing.T) {
	t.Parallel()
	s := listening(t)
	u := s.URLs()[issuer.GitHub] + "/actions?identity=" +
		url.QueryEscape("https://github.com/o/r/.github/workflows/w.yml@refs/heads/main") + "&audience=sigstore"
	body(t, request(t, http.MethodGet, u, nil), http.StatusUnauthorized)
	r := request(t, http.MethodGet, u, nil)
	r.Header.Set("Authorization", "bearer something")
	token, _ := fields(t, body(t, r, http.StatusOK))["value"].(string)
	if claims := checked(t, s.URLs()[issuer.GitHub], token); claims["repository"] != "o/r" {
		t.Errorf("the claims are %v", claims)
	}
}

func TestAuthorizationCode(t *testing.T) {
	t.Parallel()
	s := listening(t)
	base := s.URLs()[issuer.Email]
	ask := url.Values{
		"client_id": {"sigstore"}, "redirect_uri": {"http://127.0.0.1:1/back"}, "response_type": {"code"}, "state": {"s"},
		"nonce": {"n"}, "code_challenge": {challenge("v")}, "code_challenge_method": {"S256"}, "login_hint": {"a@example.com"},
	}
	back, err := url.Parse(body(t, request(t, http.MethodGet, base+"/auth?"+ask.Encode(), nil), http.StatusFound))
	if err == nil && back.Query().Get("state") != "s" {
		err = http.ErrNoLocation
	}
	if err != nil {
		t.Fatalf("%v: sent back to %v", err, back)
	}
	exchange := url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")},
		"redirect_uri": {"http://127.0.0.1:1/back"}, "code_verifier": {"another"},
	}
	body(t, request(t, http.MethodPost, base+"/token", exchange), http.StatusBadRequest)
	exchange.Set("code_verifier", "v")
	token, _ := fields(t, body(t, request(t, http.MethodPost, base+"/token", exchange), http.StatusOK))["id_token"].(string)
	if claims := checked(t, base, token); claims["email"] != "a@example.com" || claims["nonce"] != "n" {
		t.Errorf("the claims are %v", claims)
	}
	// A code is good once.
	body(t, request(t, http.MethodPost, base+"/token", exchange), http.StatusBadRequest)
	// Nobody is sent to another machine.
	ask.Set("redirect_uri", "http://example.com/back")
	body(t, request(t, http.MethodGet, base+"/auth?"+ask.Encode(), nil), http.StatusBadRequest)
}

func TestDeviceCode(t *testing.T) {
	t.Parallel()
	s := listening(t)
	base := s.URLs()[issuer.Email]
	begun := fields(t, body(t, request(t, http.MethodPost, base+"/device", url.Values{
		"client_id": {"sigstore"}, "code_challenge": {challenge("v")}, "code_challenge_method": {"S256"},
	}), http.StatusOK))
	code, _ := begun["device_code"].(string)
	page, _ := begun["verification_uri_complete"].(string)
	exchange := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {code}, "code_verifier": {"v"},
	}
	waiting := fields(t, body(t, request(t, http.MethodPost, base+"/token", exchange), http.StatusBadRequest))
	if waiting["error"] != "authorization_pending" {
		t.Errorf("before it is approved it says %v", waiting)
	}
	body(t, request(t, http.MethodGet, page+"&identity=a@example.com", nil), http.StatusOK)
	body(t, request(t, http.MethodGet, page+"&identity=b@example.com", nil), http.StatusNotFound)
	token, _ := fields(t, body(t, request(t, http.MethodPost, base+"/token", exchange), http.StatusOK))["id_token"].(string)
	if claims := checked(t, base, token); claims["email"] != "a@example.com" {
		t.Errorf("the claims are %v", claims)
	}
}
