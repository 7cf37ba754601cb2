package sign_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	sgbundle "github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/internal/virtual"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/trust"
)

const (
	pathCert  = "/api/v2/signingCert"
	pathLogV1 = "/api/v1/log/entries"
	pathLogV2 = "/api/v2/log/entries"
	pathStamp = "/api/v1/timestamp"
)

var statementText = []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"m","digest":{"sha256":"` + strings.Repeat("ab", 32) + `"}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}`)

// instance is a Sigstore on loopback.
type instance struct {
	*virtual.Sigstore
	services *virtual.Services
	root     *trust.Root
}

func newInstance(t *testing.T) *instance {
	t.Helper()
	s := virtual.New(t, "site")
	i := &instance{Sigstore: s, services: s.Serve(t)}
	var err error
	if i.root, err = trust.ParseRoot("site", s.Root(t, virtual.RootOptions{})); err != nil {
		t.Fatal(err)
	}
	return i
}

// options name the certificate authority, and the logs and timestamp authority
// that are asked for.
func (i *instance) options(t *testing.T, stamp bool, logs ...uint32) sign.ServiceOptions {
	t.Helper()
	start := time.Now().Add(-time.Hour)
	service := func(url string, version uint32) []root.Service {
		return []root.Service{{URL: url, MajorAPIVersion: version, ValidityPeriodStart: start, Operator: "site"}}
	}
	c, err := root.NewSigningConfig(root.SigningConfigMediaType02, service(i.services.URL, 1), nil, nil,
		root.ServiceConfiguration{Selector: prototrustroot.ServiceSelector_ANY}, nil, root.ServiceConfiguration{Selector: prototrustroot.ServiceSelector_ANY})
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range logs {
		c.AddRekorLogURLs(service(i.services.URL, version)...)
	}
	if stamp {
		c.AddTimestampAuthorityURLs(service(i.services.TimestampURL, 1)...)
	}
	return sign.ServiceOptions{Config: c, Root: i.root}.WithoutWaiting()
}

func parseBundle(t *testing.T, text []byte) *sgbundle.Bundle {
	t.Helper()
	b := &protobundle.Bundle{}
	if err := protojson.Unmarshal(text, b); err != nil {
		t.Fatal(err)
	}
	out, err := sgbundle.NewBundle(b, sgbundle.AllowCertificateChain())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestWitnessedKeys looks at bundles with what sigstore-go gives verifiers, not
// with the check of the package itself.
func TestWitnessedKeys(t *testing.T) {
	t.Parallel()
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name  string
		key   crypto.Signer
		stamp bool
		logs  []uint32
	}{
		{"P-256, log 1", ecKey(t, elliptic.P256()), false, []uint32{1}},
		{"P-256, log 2 and time", ecKey(t, elliptic.P256()), true, []uint32{2}},
		{"P-256, newest log", ecKey(t, elliptic.P256()), true, []uint32{1, 2}},
		{"P-384, the log that takes it", ecKey(t, elliptic.P384()), true, []uint32{1, 2}},
		{"P-384, log 2", ecKey(t, elliptic.P384()), true, []uint32{2}},
		{"P-521, log 2", ecKey(t, elliptic.P521()), true, []uint32{2}},
		{"time only", ecKey(t, elliptic.P256()), true, nil},
		{"nobody", ecKey(t, elliptic.P256()), false, nil},
		{"Ed25519, log 1", edwards, true, []uint32{1}},
		{"Ed25519, the log that takes it", edwards, true, []uint32{1, 2}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			i := newInstance(t)
			s, err := load(t, pkcs8(t, row.key)).WithServices(i.options(t, row.stamp, row.logs...))
			if err != nil {
				t.Fatal(err)
			}
			text, err := s.Sign(t.Context(), statementText, sign.FormCosign)
			if err != nil {
				t.Fatal(err)
			}
			b := parseBundle(t, text)
			if n := len(b.GetVerificationMaterial().GetTlogEntries()); (n == 1) != (len(row.logs) > 0) {
				t.Errorf("%d entries", n)
			}
			if n := len(b.GetVerificationMaterial().GetTimestampVerificationData().GetRfc3161Timestamps()); (n == 1) != row.stamp {
				t.Errorf("%d timestamps", n)
			}
			verifyKey(t, i, b, s.Public(), row.stamp, len(row.logs) > 0)
		})
	}
}

func verifyKey(t *testing.T, i *instance, b *sgbundle.Bundle, k trust.Key, stamp, logged bool) {
	t.Helper()
	v, err := signatureVerifier(k)
	if err != nil {
		t.Fatal(err)
	}
	material := root.TrustedMaterialCollection{i.root.Material(), root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(v, time.Time{}, time.Time{}), nil
	})}
	var options []verify.VerifierOption
	if logged {
		options = append(options, verify.WithTransparencyLog(1))
	}
	if stamp {
		options = append(options, verify.WithSignedTimestamps(1))
	} else {
		options = append(options, verify.WithNoObserverTimestamps())
	}
	verifier, err := verify.NewVerifier(material, options...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verifier.Verify(b, verify.NewPolicy(verify.WithoutArtifactUnsafe(), verify.WithKey())); err != nil {
		t.Error(err)
	}
}

// What a service does wrong is its error, with its URL, and said in a way that a
// caller can branch on.
func TestServiceErrors(t *testing.T) {
	t.Parallel()
	status := func(code int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(code)
			fmt.Fprint(w, body)
			return true
		}
	}
	for _, row := range []struct {
		name, path string
		do         func(http.ResponseWriter, *http.Request) bool
		temporary  bool
		status     int
		asked      int
		says       string
	}{
		{"log is down", pathLogV2, status(503, "maintenance"), true, 503, 4, "maintenance"},
		{"log 1 is down", pathLogV1, status(502, ""), true, 502, 4, "try again later"},
		{"too many", pathStamp, status(429, "slow down"), true, 429, 4, "slow down"},
		{"log refuses", pathLogV2, status(400, `{"code":3,"message":"invalid signature"}`), false, 400, 1, `"invalid signature"`},
		{"log 1 refuses", pathLogV1, status(400, `{"code":400,"message":"not canonical"}`), false, 400, 1, `"not canonical"`},
		{"authority refuses", pathCert, status(401, `{"code":16,"message":"There was an error processing the identity token"}`), false, 401, 1, "refuses the identity token"},
		{"authority refuses as Fulcio does", pathCert, status(400, `{"code":3,"message":"There was an error processing the identity token"}`), false, 400, 1, "refuses the identity token"},
		{"authority answers with the request", pathCert, status(400, `bad token eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln!`), false, 400, 1, `"bad token …!"`},
		{"no such path", pathStamp, status(404, ""), false, 404, 1, "URL in the signing configuration"},
		{"too large an answer", pathLogV2, status(201, strings.Repeat("x", limits.ServiceBytes+1)), false, 201, 1, "more than"},
		{"no JSON", pathLogV2, status(201, "<html>"), false, 0, 1, "not understood"},
		{"no JSON of log 1", pathLogV1, status(201, "<html>"), false, 0, 1, "not understood"},
		{"no token", pathStamp, status(200, "hello"), false, 0, 1, "not understood"},
		{"no certificate", pathCert, status(200, "{}"), false, 0, 1, "not understood"},
		{"control characters", pathStamp, status(400, "a\x1b[31mb\r\nc"), false, 400, 1, `"a [31mb c"`},
		{"redirect", pathCert, func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
			return true
		}, false, 307, 1, "redirects are not followed"},
		{"connection ends", pathLogV2, func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, true, 0, 4, "try again"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			i := newInstance(t)
			i.services.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
				return r.URL.Path == row.path && row.do(w, r)
			}
			version := uint32(2)
			if row.path == pathLogV1 {
				version = 1
			}
			err := signKeyless(t, i, i.options(t, true, version))
			var failed *sign.ServiceError
			if !errors.As(err, &failed) {
				t.Fatal(err)
			}
			if failed.Unauthorized() != (row.path == pathCert && (row.status == 401 || row.status == 400)) {
				t.Errorf("unauthorised: %t", failed.Unauthorized())
			}
			if failed.Temporary != row.temporary || failed.Status != row.status || !strings.HasPrefix(failed.URL, i.services.URL) {
				t.Errorf("%+v", failed)
			}
			if !strings.Contains(err.Error(), row.says) || !strings.Contains(err.Error(), failed.Service) {
				t.Errorf("%q does not say %q", err, row.says)
			}
			if n := i.services.Requests(row.path); n != row.asked {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

func signKeyless(t *testing.T, i *instance, o sign.ServiceOptions) error {
	t.Helper()
	s, err := sign.NewKeyless(t.Context(), sign.KeylessOptions{ServiceOptions: o, Token: i.token(t, "")})
	if err == nil {
		_, err = s.Sign(t.Context(), statementText, sign.FormCosign)
	}
	return err
}

// What fails for a while is tried again, and a log that has the entry already gets
// another signature.
func TestServicesRecover(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"unavailable": 503, "busy": 429, "conflict": 409} {
		for _, version := range []uint32{1, 2} {
			if version == 1 && status == 409 {
				continue // there the entry is asked for instead
			}
			i := newInstance(t)
			var once bool
			i.services.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
				if once || !strings.HasSuffix(r.URL.Path, "/log/entries") {
					return false
				}
				once = true
				w.WriteHeader(status)
				return true
			}
			if err := signKeyless(t, i, i.options(t, true, version)); err != nil {
				t.Errorf("%s, log %d: %v", name, version, err)
			}
		}
	}
}

func TestServicesEndWithTheContext(t *testing.T) {
	t.Parallel()
	for _, path := range []string{pathCert, pathLogV1, pathLogV2, pathStamp} {
		i := newInstance(t)
		ctx, cancel := context.WithCancel(t.Context())
		version := uint32(2)
		if path == pathLogV1 {
			version = 1
		}
		i.services.Intercept = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != path {
				return false
			}
			cancel()
			<-r.Context().Done() // the client hangs up, and not the server
			return true
		}
		s, err := sign.NewKeyless(ctx, sign.KeylessOptions{ServiceOptions: i.options(t, true, version), Token: i.token(t, "")})
		if err == nil {
			_, err = s.Sign(ctx, statementText, sign.FormCosign)
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", path, err)
		}
		cancel()
	}
}

// A witness that is not of the trusted root is found out before anybody sees the
// bundle.
func TestSelfCheck(t *testing.T) {
	t.Parallel()
	i, other := newInstance(t), newInstance(t)
	for name, row := range map[string]struct {
		stamp bool
		logs  []uint32
	}{"log 1": {false, []uint32{1}}, "log 2": {true, []uint32{2}}, "time": {true, nil}} {
		o := i.options(t, row.stamp, row.logs...)
		o.Root = other.root
		var wrong *sign.SelfCheckError
		s, err := load(t, pkcs8(t, ecKey(t, elliptic.P256()))).WithServices(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Sign(t.Context(), statementText, sign.FormCosign); !errors.As(err, &wrong) {
			t.Errorf("%s, key: %v", name, err)
		}
		// Before anything is signed, and so before anything is uploaded.
		if _, err := sign.NewKeyless(t.Context(), sign.KeylessOptions{ServiceOptions: o, Token: i.token(t, "")}); !errors.As(err, &wrong) {
			t.Errorf("%s, keyless: %v", name, err)
		}
		o.Root = nil
		if err := signKeyless(t, i, o); err != nil {
			t.Errorf("%s, without a root: %v", name, err)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	key := load(t, pkcs8(t, ecKey(t, elliptic.P256())))
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	future := i.options(t, true, 1)
	future.Now = func() time.Time { return time.Now().Add(-2 * time.Hour) }
	for name, row := range map[string]struct {
		signer *sign.Signer
		o      sign.ServiceOptions
		says   string
	}{
		"no configuration":      {key, sign.ServiceOptions{}, "none was given"},
		"unknown version":       {key, i.options(t, false, 3), "transparency log"},
		"not valid yet":         {key, future, "transparency log"},
		"P-384 in log 1 only":   {load(t, pkcs8(t, ecKey(t, elliptic.P384()))), i.options(t, true, 1), "EC P-384"},
		"Ed25519 in log 2 only": {load(t, pkcs8(t, edwards)), i.options(t, true, 2), "transparency log"},
	} {
		if _, err := row.signer.WithServices(row.o); !errors.Is(err, sign.ErrConfig) || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
