package virtual

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Paths of the services on their server. Logs and certificate authority have the
// paths of their APIs below the root.
const pathTimestamp = "/api/v1/timestamp"

// Services serve an instance over HTTP on loopback, for the clients of the real
// services: a certificate authority that checks proof of possession, logs of both
// versions that check signatures with Rekor's own code, a timestamp authority.
type Services struct {
	URL          string // of the certificate authority and both logs
	TimestampURL string

	// Intercept sees each request first, and may answer it itself; then it returns
	// true. Set it before the first request.
	Intercept func(w http.ResponseWriter, r *http.Request) bool
	// Certify may change what a certificate says. Set it before the first request.
	Certify func(*Identity)

	s  *Sigstore
	t  testing.TB
	mu sync.Mutex
	// counts are the requests by path.
	counts map[string]int
}

// Serve starts the services. Make the trusted root afterwards: it has the
// timestamp authority that is served.
func (s *Sigstore) Serve(t testing.TB) *Services {
	t.Helper()
	s.stamps = newStamps(t, s.name)
	v := &Services{s: s, t: t, counts: map[string]int{}}
	mux := http.NewServeMux()
	for path, do := range map[string]func(*http.Request, []byte) (reply, error){
		"/api/v2/signingCert": v.signingCert, "/api/v1/log/entries": v.entryV1,
		"/api/v2/log/entries": v.entryV2, pathTimestamp: v.timestamp,
	} {
		mux.HandleFunc("POST "+path, v.answer(do))
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	v.URL, v.TimestampURL = server.URL, server.URL+pathTimestamp
	return v
}

// Requests returns how often path was asked for.
func (v *Services) Requests(path string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.counts[path]
}

// reply is what a service answers.
type reply struct {
	status    int
	mediaType string
	body      []byte
	uuid      string // of an entry in the log of version 1
}

func (v *Services) answer(do func(*http.Request, []byte) (reply, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		// One at a time: keys and random numbers of the instance are of one test.
		v.mu.Lock()
		defer v.mu.Unlock()
		v.counts[r.URL.Path]++
		// Read first: a server notices that a client has gone only then.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if v.Intercept != nil && v.Intercept(w, r) {
			return
		}
		answer, err := do(r, body)
		if err != nil {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			text, _ := json.Marshal(map[string]any{"code": 3, "message": err.Error()})
			_, _ = w.Write(text)
			return
		}
		w.Header().Set("Content-Type", answer.mediaType)
		if answer.uuid != "" {
			w.Header().Set("ETag", answer.uuid)
			w.Header().Set("Location", "/api/v1/log/entries/"+answer.uuid)
		}
		w.WriteHeader(answer.status)
		_, _ = w.Write(answer.body)
	}
}

// signingCert is the certificate authority
// (https://github.com/sigstore/fulcio/blob/v1.8.8/fulcio.proto). It believes every
// token: who issues tokens is not what is tested with it.
func (v *Services) signingCert(r *http.Request, body []byte) (reply, error) {
	id, err := tokenIdentity(r)
	if err != nil {
		return reply{}, err
	}
	var request struct {
		PublicKeyRequest struct {
			PublicKey struct {
				Content string `json:"content"`
			} `json:"publicKey"`
			ProofOfPossession []byte `json:"proofOfPossession"`
		} `json:"publicKeyRequest"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return reply{}, err
	}
	block, _ := pem.Decode([]byte(request.PublicKeyRequest.PublicKey.Content))
	if block == nil {
		return reply{}, errors.New("no public key")
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return reply{}, err
	}
	key, ok := public.(*ecdsa.PublicKey)
	sum := sha256.Sum256([]byte(id.Subject))
	if !ok || !ecdsa.VerifyASN1(key, sum[:], request.PublicKeyRequest.ProofOfPossession) {
		return reply{}, errors.New("the key signed something else than the subject of the token")
	}
	if v.Certify != nil {
		v.Certify(&id)
	}
	chain := []string{string(certificatePEM(v.s.certify(v.t, id, public))), string(certificatePEM(v.s.fulcio.intermediate)), string(certificatePEM(v.s.fulcio.root))}
	answer, err := json.Marshal(map[string]any{"signedCertificateEmbeddedSct": map[string]any{"chain": map[string]any{"certificates": chain}}})
	return reply{status: http.StatusOK, mediaType: "application/json", body: answer}, err
}

func tokenIdentity(r *http.Request) (Identity, error) {
	parts := strings.Split(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), ".")
	if len(parts) != 3 {
		return Identity{}, errors.New("there was an error processing the identity token")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return Identity{}, err
	}
	var claims struct{ Iss, Sub, Email string }
	if err := json.Unmarshal(text, &claims); err != nil {
		return Identity{}, err
	}
	if claims.Email != "" {
		claims.Sub = claims.Email
	}
	return Identity{Subject: claims.Sub, Issuer: claims.Iss}, nil
}

// Token returns an identity token with the given claims and a signature that
// nobody can verify.
func Token(t testing.TB, claims map[string]any) string {
	t.Helper()
	encode := func(v any) string {
		text, err := json.Marshal(v)
		check(t, err)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	return encode(map[string]string{"alg": "ES256", "typ": "JWT"}) + "." + encode(claims) + "." + base64.RawURLEncoding.EncodeToString([]byte("signature"))
}
