package oidc_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/internal/virtual"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/sign/oidc"
)

func fresh(t *testing.T, subject string) string {
	t.Helper()
	return virtual.Token(t, map[string]any{"iss": "https://issuer.example", "sub": subject, "aud": oidc.DefaultClientID, "exp": time.Now().Add(time.Hour).Unix()})
}

func environment(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestToken(t *testing.T) {
	t.Parallel()
	given, file, env := fresh(t, "given"), fresh(t, "file"), fresh(t, "env")
	for name, row := range map[string]struct {
		o    oidc.Options
		want string
	}{
		"given":               {oidc.Options{Given: given}, given},
		"file":                {oidc.Options{Given: write(t, file+"\n")}, file},
		"given wins":          {oidc.Options{Given: given, Getenv: environment("SIGSTORE_ID_TOKEN", env)}, given},
		"environment":         {oidc.Options{Getenv: environment("SIGSTORE_ID_TOKEN", env)}, env},
		"environment by name": {oidc.Options{Provider: "environment", Getenv: environment("SIGSTORE_ID_TOKEN", env)}, env},
	} {
		if got, err := oidc.New(row.o).Token(t.Context()); err != nil || got != row.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTokenRefuses(t *testing.T) {
	t.Parallel()
	other := virtual.Token(t, map[string]any{"iss": "i", "sub": "s", "aud": "https://vault.example"})
	expired := virtual.Token(t, map[string]any{"iss": "i", "sub": "s", "exp": 1})
	secret := "eyJhbGciOiJ.secret"
	for name, row := range map[string]struct {
		o    oidc.Options
		says string
	}{
		"nothing":            {oidc.Options{NoAmbient: true}, "there is none"},
		"no such file":       {oidc.Options{Given: secret}, "neither a token nor a file"},
		"empty file":         {oidc.Options{Given: write(t, "")}, "three parts"},
		"large file":         {oidc.Options{Given: write(t, strings.Repeat("a", limits.TokenBytes+1))}, "more than"},
		"expired":            {oidc.Options{Given: expired}, "expired"},
		"expired in file":    {oidc.Options{Given: write(t, expired)}, "expired"},
		"another's":          {oidc.Options{Given: other}, "https://vault.example"},
		"empty variable":     {oidc.Options{Getenv: environment("SIGSTORE_ID_TOKEN", "")}, "id_tokens"},
		"no token in it":     {oidc.Options{Getenv: environment("SIGSTORE_ID_TOKEN", secret)}, "three parts"},
		"unknown platform":   {oidc.Options{Provider: "jenkins"}, "github-actions"},
		"another platform":   {oidc.Options{Provider: "github-actions", Getenv: environment("SIGSTORE_ID_TOKEN", fresh(t, "s"))}, "does not run on github-actions"},
		"no issuer":          {oidc.Options{NoAmbient: true, Flow: oidc.FlowBrowser}, "no OpenID Connect issuer"},
		"nobody there":       {oidc.Options{NoAmbient: true, Flow: oidc.FlowDevice, Issuer: "https://i.example"}, "nobody is there"},
		"unknown flow":       {oidc.Options{NoAmbient: true, Flow: "telepathy"}, "telepathy"},
		"issuer without TLS": {oidc.Options{NoAmbient: true, Flow: oidc.FlowDevice, Issuer: "http://i.example", Input: strings.NewReader(""), Output: new(strings.Builder)}, "https only"},
	} {
		_, err := oidc.New(row.o).Token(t.Context())
		if !errors.Is(err, sign.ErrToken) || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v shows the token", name, err)
		}
	}
	if _, err := oidc.New(oidc.Options{NoAmbient: true}).Token(t.Context()); !errors.Is(err, oidc.ErrNone) {
		t.Error(err)
	}
}

// gitHub serves tokens as GitHub Actions does.
func gitHub(t *testing.T, answer http.HandlerFunc) (options oidc.Options, asked *int) {
	t.Helper()
	asked = new(int)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked++
		if r.Header.Get("Authorization") != "Bearer runner-secret" || r.URL.Query().Get("audience") != oidc.DefaultClientID || r.URL.Query().Get("api-version") != "2.0" {
			t.Errorf("asked with %s and %v", r.URL, r.Header)
		}
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return oidc.Options{Getenv: environment("ACTIONS_ID_TOKEN_REQUEST_URL", server.URL+"/token?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "runner-secret")}.WithoutWaiting(), asked
}

func TestGitHub(t *testing.T) {
	t.Parallel()
	want := fresh(t, "repo:org/model:ref:refs/heads/main")
	var failures int
	o, asked := gitHub(t, func(w http.ResponseWriter, _ *http.Request) {
		if failures < 2 {
			failures++
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		fmt.Fprintf(w, `{"count":1,"value":%q}`, want)
	})
	if got, err := oidc.New(o).Token(t.Context()); err != nil || got != want || *asked != 3 {
		t.Errorf("%v, after %d", err, *asked)
	}
}

func TestGitHubFails(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		answer    http.HandlerFunc
		temporary bool
		asked     int
		says      string
	}{
		"no permission": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, false, 1, "id-token: write"},
		"down":          {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, true, 4, "try again later"},
		"no token":      {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }, false, 1, "holds no token"},
		"HTML":          {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, false, 1, "holds no token"},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"value":"`+strings.Repeat("a", limits.ServiceBytes)+`"}`)
		}, false, 1, "holds no token"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) }, false, 1, "302"},
		"ends":     {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true, 4, "try again later"},
	} {
		o, asked := gitHub(t, row.answer)
		_, err := oidc.New(o).Token(t.Context())
		var failed *sign.ServiceError
		if !errors.As(err, &failed) || failed.Temporary != row.temporary || !strings.Contains(err.Error(), row.says) || strings.Contains(err.Error(), "runner-secret") {
			t.Errorf("%s: %v", name, err)
		}
		if *asked != row.asked {
			t.Errorf("%s: asked %d times", name, *asked)
		}
	}
	o := oidc.Options{Getenv: environment("ACTIONS_ID_TOKEN_REQUEST_URL", "http://evil.example", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "s")}
	if _, err := oidc.New(o).Token(t.Context()); !errors.Is(err, sign.ErrToken) || !strings.Contains(err.Error(), "https only") {
		t.Error(err)
	}
}

func TestTokenEndsWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	o, _ := gitHub(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if _, err := oidc.New(o).Token(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestProviders(t *testing.T) {
	t.Parallel()
	want := []string{"environment", "github-actions", "buildkite-agent", "filesystem", "google-impersonate", "google-workload-identity", "spiffe"}
	if got := oidc.Providers(); !slices.Equal(got, want) {
		t.Error(got)
	}
}
