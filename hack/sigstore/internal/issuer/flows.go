package issuer

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"sync"
)

const (
	authorizationCode = "authorization_code"
	deviceCode        = "urn:ietf:params:oauth:grant-type:device_code"
)

// someone is who is signed in when a flow does not name anybody.
const someone = "someone@example.com"

// grant is what a code stands for.
type grant struct {
	kind, redirect, challenge string
	token                     Request
	approved                  bool
}

// grants by code. What is never redeemed stays until the process ends, which is
// short-lived by purpose.
type grants struct {
	mu     sync.Mutex
	byCode map[string]*grant
	byUser map[string]*grant // a device's code for its user
}

func (g *grants) add(given *grant) (code, user string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.byCode == nil {
		g.byCode, g.byUser = map[string]*grant{}, map[string]*grant{}
	}
	code, user = rand.Text(), rand.Text()[:8]
	g.byCode[code] = given
	if given.kind == deviceCode {
		g.byUser[user] = given
	}
	return code, user
}

// redeem returns the grant of a code that its owner has approved, once; failure
// is the error code of RFC 6749 section 5.2 or RFC 8628 section 3.5.
func (g *grants) redeem(kind string, form url.Values) (token Request, failure string) {
	code := form.Get("code")
	if kind == deviceCode {
		code = form.Get("device_code")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	given := g.byCode[code]
	// RFC 7636 section 4.6.
	hash := sha256.Sum256([]byte(form.Get("code_verifier")))
	switch {
	case given == nil || given.kind != kind:
		return Request{}, "invalid_grant"
	case !given.approved:
		return Request{}, "authorization_pending"
	case given.challenge != base64.RawURLEncoding.EncodeToString(hash[:]), given.redirect != form.Get("redirect_uri"):
		return Request{}, "invalid_grant"
	}
	delete(g.byCode, code)
	return given.token, ""
}

func (g *grants) approve(user, identity string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	given := g.byUser[user]
	if given == nil {
		return false
	}
	delete(g.byUser, user)
	given.approved, given.token.Identity = true, identity
	return true
}

func identityOr(name string) string {
	if name == "" {
		return someone
	}
	return name
}

// authorize is the authorization endpoint (RFC 6749 section 4.1): where a
// provider shows a page, it sends the browser back at once, signed in as
// login_hint.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	back, err := url.Parse(query.Get("redirect_uri"))
	if err != nil || !local(back) {
		http.Error(w, "redirect_uri is no http URL of this machine", http.StatusBadRequest)
		return
	}
	if query.Get("response_type") != "code" || query.Get("code_challenge_method") != "S256" {
		http.Error(w, "response_type must be code and code_challenge_method S256", http.StatusBadRequest)
		return
	}
	code, _ := s.grants.add(&grant{
		kind: authorizationCode, redirect: query.Get("redirect_uri"), challenge: query.Get("code_challenge"), approved: true,
		token: Request{
			Provider: r.PathValue("provider"), Identity: identityOr(query.Get("login_hint")),
			Audience: query.Get("client_id"), nonce: query.Get("nonce"),
		},
	})
	answer := back.Query()
	answer.Set("code", code)
	answer.Set("state", query.Get("state"))
	back.RawQuery = answer.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

func local(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// device begins a flow of RFC 8628; a GET of verification_uri_complete, with
// &identity= if need be, is how its user approves.
func (s *Server) device(w http.ResponseWriter, r *http.Request) {
	provider := r.PathValue("provider")
	code, user := s.grants.add(&grant{
		kind: deviceCode, challenge: r.PostFormValue("code_challenge"), redirect: r.PostFormValue("redirect_uri"),
		token: Request{Provider: provider, Audience: r.PostFormValue("client_id")},
	})
	page := s.url(provider) + "/approve"
	reply(w, map[string]any{
		"device_code": code, "user_code": user, "expires_in": 300, "interval": 1,
		"verification_uri": page, "verification_uri_complete": page + "?user_code=" + user,
	})
}

func (s *Server) approve(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if !s.grants.approve(query.Get("user_code"), identityOr(query.Get("identity"))) {
		http.Error(w, "nobody waits for this user_code", http.StatusNotFound)
		return
	}
	_, _ = w.Write([]byte("approved\n"))
}

// exchange is the token endpoint for codes (RFC 6749 section 4.1.3, RFC 8628
// section 3.4).
func (s *Server) exchange(w http.ResponseWriter, r *http.Request) {
	kind := r.PostFormValue("grant_type")
	failure := "unsupported_grant_type"
	var request Request
	if kind == authorizationCode || kind == deviceCode {
		request, failure = s.grants.redeem(kind, r.PostForm)
	}
	var token string
	if failure == "" {
		var err error
		if token, err = s.Token(request); err != nil {
			failure = "invalid_request"
		}
	}
	if failure != "" {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		reply(w, map[string]string{"error": failure})
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	reply(w, map[string]any{
		"access_token": rand.Text(), "token_type": "Bearer", "id_token": token, "expires_in": int(Lifetime.Seconds()),
	})
}
