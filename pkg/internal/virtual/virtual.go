// Package virtual is a Sigstore instance in memory, for tests: a certificate
// authority that issues certificates for identities, two transparency logs, a
// timestamp authority and a certificate transparency log. What it makes are
// bundles and trusted roots in their JSON, as the real services and clients make
// them, so that a test feeds what it tests with bytes and not with values.
//
// It stands on the virtual Sigstore of sigstore-go, which has the log of Rekor v1
// and the timestamp authority, and adds what that lacks: certificates for URIs
// with SCTs, entries of Rekor v2 for any signer, and JSON. Keys are fresh in every
// run. Certificates of authorities begin five hours ago and end within the next
// two: a test sets the time of the decision rather than that of the signature.
package virtual

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"maps"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
)

// hour is how long before and after now the logs are valid.
const hour = time.Hour

// Sigstore is an instance. Make one with [New].
type Sigstore struct {
	name   string
	v1     *ca.VirtualSigstore // log of Rekor v1, timestamp authority
	tiles  *ecdsa.PrivateKey   // of the log of Rekor v2
	ct     *ecdsa.PrivateKey   // of the certificate transparency log
	fulcio authority
	stamps *stamps // the timestamp authority that [Sigstore.Serve] adds
}

// authority signs leaf certificates.
type authority struct {
	root, intermediate *x509.Certificate
	key                crypto.Signer // of the intermediate
}

// New returns an instance whose services have URLs below name.localhost.
func New(t testing.TB, name string) *Sigstore {
	t.Helper()
	v1, err := ca.NewVirtualSigstore()
	check(t, err)
	for _, a := range v1.TimestampingAuthorities() {
		a.(*root.SigstoreTimestampingAuthority).URI = "https://tsa." + name + ".localhost"
	}
	rootCert, rootKey, err := ca.GenerateRootCa()
	check(t, err)
	intermediate, key, err := ca.GenerateFulcioIntermediate(rootCert, rootKey)
	check(t, err)
	return &Sigstore{
		name: name, v1: v1, tiles: newKey(t, elliptic.P256()), ct: newKey(t, elliptic.P256()),
		fulcio: authority{root: rootCert, intermediate: intermediate, key: key},
	}
}

// RootOptions leave services out of a trusted root.
type RootOptions struct {
	NoLogs, NoTimestamps, NoCTLog, NoAuthority bool
	// Others are instances whose services are in the root too.
	Others []*Sigstore
}

// Root returns the trusted root of the instance as JSON.
func (s *Sigstore) Root(t testing.TB, o RootOptions) []byte {
	t.Helper()
	var authorities []root.CertificateAuthority
	var timestamps []root.TimestampingAuthority
	logs, ctLogs := map[string]*root.TransparencyLog{}, map[string]*root.TransparencyLog{}
	for _, s := range append([]*Sigstore{s}, o.Others...) {
		if !o.NoAuthority {
			authorities = append(authorities, &root.FulcioCertificateAuthority{
				Root: s.fulcio.root, Intermediates: []*x509.Certificate{s.fulcio.intermediate},
				ValidityPeriodStart: s.fulcio.root.NotBefore, ValidityPeriodEnd: s.fulcio.intermediate.NotAfter,
				URI: "https://fulcio." + s.name + ".localhost",
			})
		}
		if !o.NoTimestamps {
			timestamps = append(timestamps, s.v1.TimestampingAuthorities()...)
			if s.stamps != nil {
				timestamps = append(timestamps, s.stamps.authority)
			}
		}
		if !o.NoLogs {
			maps.Copy(logs, s.logs(t))
		}
		if !o.NoCTLog {
			l := transparencyLog(t, s.ct.Public(), "https://ct."+s.name+".localhost")
			ctLogs[hex.EncodeToString(l.ID)] = l
		}
	}
	r, err := root.NewTrustedRoot(root.TrustedRootMediaType01, authorities, ctLogs, timestamps, logs)
	check(t, err)
	data, err := r.MarshalJSON()
	check(t, err)
	return data
}

// logs returns both logs by their IDs.
func (s *Sigstore) logs(t testing.TB) map[string]*root.TransparencyLog {
	t.Helper()
	logs := map[string]*root.TransparencyLog{}
	for _, l := range s.v1.RekorLogs() {
		// Its ID is the hexadecimal text of what the ID should be.
		l.ID = logID(t, l.PublicKey)
		logs[hex.EncodeToString(l.ID)] = l
	}
	l := transparencyLog(t, s.tiles.Public(), "https://"+s.tilesOrigin())
	logs[hex.EncodeToString(l.ID)] = l
	return logs
}

func (s *Sigstore) tilesOrigin() string { return "log2." + s.name + ".localhost" }

func transparencyLog(t testing.TB, public crypto.PublicKey, baseURL string) *root.TransparencyLog {
	t.Helper()
	_, err := url.Parse(baseURL)
	check(t, err)
	return &root.TransparencyLog{
		BaseURL: baseURL, ID: logID(t, public), PublicKey: public,
		HashFunc: crypto.SHA256, SignatureHashFunc: crypto.SHA256,
		ValidityPeriodStart: time.Now().Add(-hour), ValidityPeriodEnd: time.Now().Add(hour),
	}
}

// logID is how logs are known by their keys (RFC 6962 section 3.2).
func logID(t testing.TB, public crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	check(t, err)
	sum := sha256.Sum256(der)
	return slices.Clone(sum[:])
}

func newKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	check(t, err)
	return key
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
