package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/modseal/modseal/hack/tufrepo"
)

// tufServer is a TUF repository of a script.
type tufServer struct {
	repo     *tufrepo.Repository
	first    map[string][]byte // what it had at first
	http     *httptest.Server
	requests atomic.Int64
}

func (s *tufServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	s.repo.ServeHTTP(w, r)
}

// tuf NAME serve|publish DIR | rewind | stop | requests reset|N
func tuf(ts *testscript.TestScript, neg bool, args []string) {
	const text = "tuf NAME serve DIR | publish DIR | rewind | stop | requests reset|N"
	usage(ts, len(args) == 2 || len(args) == 3, neg, text)
	s := stateOf(ts)
	name, verb := args[0], args[1]
	server := s.tufs[name]
	if (server == nil) != (verb == "serve") {
		ts.Fatalf("tuf %s %s: there is such a repository, or there is none", name, verb)
	}
	switch {
	case verb == "serve" && len(args) == 3:
		serveTUF(ts, s, name, targets(ts, args[2]))
	case verb == "publish" && len(args) == 3:
		ts.Check(server.repo.Publish(targets(ts, args[2])))
	case verb == "rewind":
		server.repo.Restore(server.first)
	case verb == "stop":
		server.http.Close()
	case verb == "requests" && len(args) == 3 && args[2] == "reset":
		server.requests.Store(0)
	case verb == "requests" && len(args) == 3:
		want, err := strconv.ParseInt(args[2], 10, 64)
		ts.Check(err)
		if got := server.requests.Load(); got != want {
			ts.Fatalf("%d requests came to %s, not %d", got, name, want)
		}
	default:
		usage(ts, false, neg, text)
	}
}

func serveTUF(ts *testscript.TestScript, s *state, name string, targets map[string][]byte) {
	repo, err := tufrepo.New(targets, time.Now().Add(24*time.Hour))
	ts.Check(err)
	server := &tufServer{repo: repo, first: repo.Files()}
	server.http = httptest.NewServer(server)
	ts.Defer(server.http.Close)
	if s.tufs == nil {
		s.tufs = map[string]*tufServer{}
	}
	s.tufs[name] = server
	ts.Setenv(name, server.http.URL)
	ts.Check(os.WriteFile(ts.MkAbs(name+"-root.json"), repo.Root(), 0o600))
}

func targets(ts *testscript.TestScript, dir string) map[string][]byte {
	files, err := filepath.Glob(filepath.Join(ts.MkAbs(dir), "*"))
	ts.Check(err)
	out := map[string][]byte{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		ts.Check(err)
		out[filepath.Base(f)] = data
	}
	return out
}

// trustedroot FILE [END] makes a trusted root with one log, valid until END.
func trustedRoot(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 1 || len(args) == 2, neg, "trustedroot FILE [END]")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	ts.Check(err)
	id := sha256.Sum256(der)
	window := map[string]string{"start": "2020-01-01T00:00:00Z"}
	if len(args) == 2 {
		window["end"] = args[1]
	}
	data, err := json.Marshal(map[string]any{
		"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
		"tlogs": []any{map[string]any{
			"baseUrl": "https://rekor.example.com", "hashAlgorithm": "SHA2_256",
			"publicKey": map[string]any{"rawBytes": der, "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": window},
			"logId":     map[string]any{"keyId": id[:]},
		}},
	})
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}
