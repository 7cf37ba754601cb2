// Package issuer is an OpenID Connect provider that believes everybody: it
// signs a token for any identity that is asked for. Fulcio checks its tokens as
// it checks those of a real provider: discovery, keys, signature, audience, time.
package issuer

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Audience is who tokens are for, when nothing else is asked for: what Fulcio's
// clients call themselves.
const Audience = "sigstore"

// Lifetime is how long a token is valid when nothing else is asked for.
const Lifetime = 10 * time.Minute

// TrustDomain is the only one whose SPIFFE IDs the provider "spiffe" gives.
const TrustDomain = "example.com"

// Names of the providers, each of which is an issuer of its own.
const (
	Email  = "email"  // the identity is an e-mail address
	Other  = "other"  // so it is here: another issuer of the same identities
	GitHub = "github" // the identity is the URL of a workflow, as in GitHub Actions
	SPIFFE = "spiffe" // the identity is a SPIFFE ID below TrustDomain
)

// providers have the claims of an identity.
var providers = map[string]func(identity string) (map[string]any, error){
	Email: email, Other: email, GitHub: workflow, SPIFFE: spiffe,
}

// Server is all providers, each at a path of its own.
type Server struct {
	base   string
	keys   jose.JSONWebKeySet
	signer jose.Signer
	grants grants
}

// New returns the providers below the URL base. Their key is new each time,
// since no token outlives the process by much, and RSA, since cosign takes a
// token of any other kind for the name of a file.
func New(base string) (*Server, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	public := jose.JSONWebKey{Key: key.Public(), Algorithm: string(jose.RS256), Use: "sig"}
	thumbprint, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, err
	}
	public.KeyID = fmt.Sprintf("%x", thumbprint)
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: public.KeyID}},
		(&jose.SignerOptions{}).WithType("JWT"),
	)
	if err != nil {
		return nil, err
	}
	return &Server{
		base:   strings.TrimSuffix(base, "/"),
		keys:   jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}},
		signer: signer,
	}, nil
}

// URLs are the issuers by name.
func (s *Server) URLs() map[string]string {
	urls := map[string]string{}
	for name := range providers {
		urls[name] = s.url(name)
	}
	return urls
}

func (s *Server) url(name string) string { return s.base + "/" + name }

// Request is what a token shall say.
type Request struct {
	Provider string
	Identity string
	Audience string         // "": Audience
	Lifetime time.Duration  // 0: Lifetime; less than that gives a token that has expired
	Claims   map[string]any // replace those that follow from the identity; null removes one
	nonce    string
}

// Token signs a token.
func (s *Server) Token(r Request) (string, error) {
	of, ok := providers[r.Provider]
	if !ok {
		names := slices.Sorted(maps.Keys(providers))
		return "", fmt.Errorf("there is no issuer %q; these are: %s", r.Provider, strings.Join(names, ", "))
	}
	claims, err := of(r.Identity)
	if err != nil {
		return "", err
	}
	if r.Audience == "" {
		r.Audience = Audience
	}
	if r.Lifetime == 0 {
		r.Lifetime = Lifetime
	}
	now := time.Now()
	claims["iss"], claims["aud"] = s.url(r.Provider), r.Audience
	claims["iat"], claims["exp"] = now.Unix(), now.Add(r.Lifetime).Unix()
	if r.nonce != "" {
		claims["nonce"] = r.nonce
	}
	for name, value := range r.Claims {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	return jwt.Signed(s.signer).Claims(claims).Serialize()
}

// Handler serves the providers.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{provider}/.well-known/openid-configuration", s.discovery)
	mux.HandleFunc("GET /{provider}/keys", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.keys) })
	mux.HandleFunc("GET /{provider}/token", s.mint)
	mux.HandleFunc("POST /{provider}/token", s.exchange)
	mux.HandleFunc("GET /{provider}/actions", s.actions)
	mux.HandleFunc("GET /{provider}/auth", s.authorize)
	mux.HandleFunc("POST /{provider}/device", s.device)
	mux.HandleFunc("GET /{provider}/approve", s.approve)
	return mux
}

// discovery is the document of OpenID Connect Discovery 1.0 section 3.
func (s *Server) discovery(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("provider")
	if _, ok := providers[name]; !ok {
		http.NotFound(w, r)
		return
	}
	u := s.url(name)
	reply(w, map[string]any{
		"issuer":                                u,
		"jwks_uri":                              u + "/keys",
		"token_endpoint":                        u + "/token",
		"authorization_endpoint":                u + "/auth",
		"device_authorization_endpoint":         u + "/device",
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"public"},
		"scopes_supported":                      []string{"openid", "email"},
		"grant_types_supported":                 []string{authorizationCode, deviceCode},
		"code_challenge_methods_supported":      []string{"S256"},
		"id_token_signing_alg_values_supported": []string{string(jose.RS256)},
	})
}

// mint answers GET token?identity=…: the token alone, for a shell to take.
func (s *Server) mint(w http.ResponseWriter, r *http.Request) {
	token, err := s.asked(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/jwt")
	fmt.Fprintln(w, token)
}

// actions answers as GitHub's ACTIONS_ID_TOKEN_REQUEST_URL does: it wants a
// bearer token, whatever it is, and adds audience to the URL.
func (s *Server) actions(w http.ResponseWriter, r *http.Request) {
	if scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " "); !strings.EqualFold(scheme, "bearer") {
		http.Error(w, "no bearer token", http.StatusUnauthorized)
		return
	}
	token, err := s.asked(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	reply(w, map[string]string{"value": token})
}

// asked makes the token that the query describes.
func (s *Server) asked(r *http.Request) (string, error) {
	query := r.URL.Query()
	request := Request{
		Provider: r.PathValue("provider"),
		Identity: query.Get("identity"),
		Audience: query.Get("audience"),
	}
	if text := query.Get("lifetime"); text != "" {
		var err error
		if request.Lifetime, err = time.ParseDuration(text); err != nil {
			return "", fmt.Errorf("lifetime: %w", err)
		}
	}
	if text := query.Get("claims"); text != "" {
		if err := json.Unmarshal([]byte(text), &request.Claims); err != nil {
			return "", fmt.Errorf("claims: %w", err)
		}
	}
	return s.Token(request)
}

func reply(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	// The connection is all that can fail, and then nobody reads an error.
	_ = json.NewEncoder(w).Encode(value)
}

func email(identity string) (map[string]any, error) {
	if !strings.Contains(identity, "@") {
		return nil, fmt.Errorf("identity %q is no e-mail address", identity)
	}
	return map[string]any{"sub": identity, "email": identity, "email_verified": true}, nil
}

func spiffe(identity string) (map[string]any, error) {
	if !strings.HasPrefix(identity, "spiffe://"+TrustDomain+"/") {
		return nil, fmt.Errorf("identity %q does not begin with spiffe://%s/", identity, TrustDomain)
	}
	return map[string]any{"sub": identity}, nil
}

// workflow has the claims of a job of GitHub Actions (see
// https://docs.github.com/actions/reference/openid-connect-reference) whose
// certificate names identity: https://github.com/OWNER/REPO/PATH@REF.
func workflow(identity string) (map[string]any, error) {
	u, err := url.Parse(identity)
	if err != nil {
		return nil, err
	}
	path, ref, hasRef := strings.Cut(strings.TrimPrefix(identity, "https://github.com/"), "@")
	parts := strings.SplitN(path, "/", 3)
	if u.Scheme != "https" || u.Host != "github.com" || len(parts) != 3 || !hasRef {
		return nil, fmt.Errorf("identity %q is not https://github.com/OWNER/REPO/.github/workflows/NAME.yml@REF", identity)
	}
	owner, repository := parts[0], parts[0]+"/"+parts[1]
	const commit = "0123456789abcdef0123456789abcdef01234567"
	return map[string]any{
		"sub":              "repo:" + repository + ":ref:" + ref,
		"job_workflow_ref": path + "@" + ref, "job_workflow_sha": commit,
		"workflow_ref": path + "@" + ref, "workflow_sha": commit, "workflow": parts[2],
		"repository": repository, "repository_id": "1", "repository_visibility": "private",
		"repository_owner": owner, "repository_owner_id": "2",
		"ref": ref, "sha": commit, "event_name": "push", "environment": "",
		"runner_environment": "github-hosted", "run_id": "3", "run_attempt": "1",
	}, nil
}
