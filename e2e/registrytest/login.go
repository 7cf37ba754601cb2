package registrytest

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// login is what a registry asks of clients.
type login struct {
	user, password string
	tokens         map[string]time.Time // when each expires; nil: passwords are sent with each request
}

// tokenLife is how long a token is good for, by the registry's clock.
const tokenLife = 5 * time.Minute

// RequirePassword makes the registry answer 401 to requests without these
// credentials (Basic).
func (f *Front) RequirePassword(user, password string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.login = login{user: user, password: password}
}

// RequireToken makes the registry answer 401 to requests without a token, which
// /token gives for these credentials. It is good for five minutes of the
// registry's clock.
func (f *Front) RequireToken(user, password string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.login = login{user: user, password: password, tokens: map[string]time.Time{}}
}

// ExpireTokens moves the clock beyond the life of all tokens each time n bytes
// of blobs have passed in direction d, times times.
func (f *Front) ExpireTokens(d Direction, n int64, times int) {
	for i := range times {
		f.after(d, n*int64(i+1), func() { f.Advance(tokenLife + time.Second) })
	}
}

// admits reports whether a request may pass, and answers those that may not.
func (f *Front) admits(w http.ResponseWriter, r *http.Request, at route) bool {
	now := f.Now()
	f.mu.Lock()
	l := f.login
	expires := l.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	f.mu.Unlock()
	user, password, _ := r.BasicAuth()
	known := user == l.user && password == l.password
	switch {
	case l.user == "" || at.hop > 0:
		return true
	case l.tokens == nil && known, l.tokens != nil && now.Before(expires):
		return true
	case l.tokens != nil && r.URL.Path == "/token" && known:
		f.giveToken(w, now)
		return false
	}
	challenge := `Basic realm="registrytest"`
	if l.tokens != nil && r.URL.Path != "/token" {
		challenge = `Bearer realm="http://` + r.Host + `/token",service="registrytest"`
		if at.repo != "" {
			actions := "pull,push"
			if r.Method == http.MethodGet || r.Method == http.MethodHead {
				actions = "pull"
			}
			challenge += `,scope="repository:` + at.repo + `:` + actions + `"`
		}
	}
	w.Header().Set("WWW-Authenticate", challenge)
	refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
	return false
}

func (f *Front) giveToken(w http.ResponseWriter, now time.Time) {
	token := rand.Text()
	f.mu.Lock()
	f.login.tokens[token] = now.Add(tokenLife)
	f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "expires_in": int(tokenLife.Seconds())})
}
