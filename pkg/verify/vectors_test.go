package verify

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/trust"
)

// vector reads test data that others made; a checkout without it skips.
func vector(t *testing.T, parts ...string) []byte {
	t.Helper()
	file := filepath.Join(append([]string{"..", "..", "..", "shared", "testdata"}, parts...)...)
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s is not there", file)
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// vectorTrust is the public-good root, and the authority and key of the vectors.
func vectorTrust(t *testing.T) Trust {
	t.Helper()
	root, err := trust.ParseRoot("public-good", vector(t, "sigstore", "trusted-root-public-good.json"))
	if err != nil {
		t.Fatal(err)
	}
	authority, err := trust.ParseAuthority("ca", vector(t, "oms", "keys", "ca-cert.pem"), nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := trust.ParseKey("key", vector(t, "oms", "keys", "signing-key-pub.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return Trust{
		Keys: map[string]trust.Key{"key": key}, Authorities: map[string]trust.Authority{"ca": authority},
		Roots: map[string]*trust.Root{"public-good": root},
	}
}

func keylessSigner(issuer, identity string) policy.Signer {
	return policy.Signer{Name: "keyless", Keyless: &policy.Keyless{
		Issuer: policy.Match{Exact: issuer}, Identity: policy.Match{Exact: identity}, SCTs: -1,
	}}
}

// What the reference implementations signed is by whom they say, with the trust
// that belongs to it and no other.
func TestVectorsAreByTheirSigners(t *testing.T) {
	t.Parallel()
	const ibm = "https://sigstore.verify.ibm.com/oauth2"
	key := policy.Signer{Name: "key", Key: "key.pub"}
	ca := policy.Signer{Name: "ca", Certificate: &policy.Certificate{Identity: policy.Match{Exact: "intermediate-ca"}}}
	stefan := keylessSigner(ibm, "stefanb@us.ibm.com")
	late := time.Date(2035, 5, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		vector  string
		signer  policy.Signer
		witness policy.Witness
		now     time.Time
		cause   cause // causeNone: it is by the signer
	}{
		{vector: "v0.3.1-elliptic-key", signer: key},
		{vector: "v1.1.0-elliptic-key", signer: key},
		{vector: "v0.3.1-certificate", signer: ca},
		{vector: "v1.1.0-certificate", signer: ca},
		{vector: "v0.3.1-sigstore", signer: stefan},
		{vector: "v1.1.0-sigstore", signer: stefan},
		{vector: "v0.3.1-certificate", signer: ca, now: late, cause: causeExpired},
		{vector: "v1.1.0-certificate", signer: ca, now: late, cause: causeExpired},
		{vector: "v1.1.0-certificate", signer: key, cause: causeCertificate},
		{vector: "v1.1.0-certificate", signer: stefan, cause: causeOtherAuthority},
		{vector: "v1.1.0-elliptic-key", signer: ca, cause: causeNoCertificate},
		{vector: "v1.1.0-elliptic-key", signer: stefan, cause: causeNoCertificate},
		{vector: "v1.1.0-sigstore", signer: ca, cause: causeUnusable},
		{vector: "v1.1.0-sigstore", signer: keylessSigner(ibm, "mallory@us.ibm.com"), cause: causeOtherIdentity},
		{vector: "v1.1.0-sigstore", signer: keylessSigner("https://accounts.google.com", "stefanb@us.ibm.com"), cause: causeOtherIssuer},
		{vector: "v0.3.1-sigstore", signer: stefan, witness: policy.Witness{Timestamps: 1}, cause: causeNoTime},
		// Its timestamp is of an authority that this root does not have.
		{vector: "v1.1.0-sigstore", signer: stefan, witness: policy.Witness{Timestamps: 1}, cause: causeOtherTSA},
		{vector: "v1.1.0-sigstore", signer: stefan, witness: policy.Witness{TransparencyLogs: 2}, cause: causeNoEntry},
		{vector: "v1.1.0-sigstore", signer: stefan, witness: policy.Witness{MaxAge: time.Hour}, cause: causeAge},
	} {
		s, err := parseBundle(vector(t, "oms", c.vector, "model.sig"))
		if err != nil {
			t.Fatal(err)
		}
		known := vectorTrust(t)
		known.Now = c.now
		x := newMatcher(Ruling{Trust: known})
		if no := x.ready([]policy.Signer{c.signer}, c.witness); no != nil {
			t.Fatal(no)
		}
		m, no, err := x.signedBy(t.Context(), s, []policy.Signer{c.signer}, c.witness)
		switch {
		case err != nil:
			t.Fatal(err)
		case no == nil && (c.cause != causeNone || m.signer.Name != c.signer.Name):
			t.Errorf("%s: signed by %s, want cause %d", c.vector, m.by(), c.cause)
		case no != nil && no.cause != c.cause:
			t.Errorf("%s for %s: cause %d, want %d: %s", c.vector, c.signer.Name, no.cause, c.cause, no.why)
		}
	}
}

// The bundles that the specification calls valid are signed by their keys, and
// the others are none.
func TestSpecVectors(t *testing.T) {
	t.Parallel()
	x := newMatcher(Ruling{Trust: vectorTrust(t)})
	for name, signer := range map[string]policy.Signer{
		"key":         {Name: "key", Key: "key.pub"},
		"certificate": {Name: "ca", Certificate: &policy.Certificate{Identity: policy.Match{Regexp: "intermediate.*"}}},
	} {
		s, err := parseBundle(vector(t, "oms", "spec-vectors", "valid", name+".bundle.json"))
		if err != nil {
			t.Fatal(err)
		}
		if _, no, err := x.signedBy(t.Context(), s, []policy.Signer{signer}, policy.Witness{}); no != nil || err != nil {
			t.Errorf("%s: %v, %v", name, no, err)
		}
	}
	for _, name := range []string{"empty", "missing-envelope", "missing-verification-material"} {
		if _, err := parseBundle(vector(t, "oms", "spec-vectors", "invalid", name+".bundle.json")); err == nil {
			t.Errorf("%s is read", name)
		}
	}
	if s, err := parseBundle(vector(t, "oms", "spec-vectors", "invalid", "missing-tlog-entries.bundle.json")); err == nil {
		_, no, err := x.signedBy(t.Context(), s, []policy.Signer{keylessSigner("https://sigstore.verify.ibm.com/oauth2", "stefanb@us.ibm.com")}, policy.Witness{})
		if no == nil || err != nil {
			t.Error("a keyless bundle without log entries is accepted")
		}
	}
}

// TestMutatedVectors flips bits of genuine bundles, one at a time, in every text
// that they hold: none of it may change who signed, or what.
func TestMutatedVectors(t *testing.T) {
	t.Parallel()
	for name, signer := range map[string]policy.Signer{
		"v1.1.0-elliptic-key": {Name: "key", Key: "key.pub"},
		"v1.1.0-certificate":  {Name: "ca", Certificate: &policy.Certificate{Identity: policy.Match{Exact: "intermediate-ca"}}},
		// That of 1.1.0 has a timestamp that nobody here can check.
		"v0.3.1-sigstore": keylessSigner("https://sigstore.verify.ibm.com/oauth2", "stefanb@us.ibm.com"),
	} {
		good := bytes.TrimSpace(vector(t, "oms", name, "model.sig"))
		x := newMatcher(Ruling{Trust: vectorTrust(t)})
		want := describeMatch(t, x, good, signer)
		if strings.HasPrefix(want, "refused") {
			t.Fatal(want)
		}
		canonical, err := Canonical(good)
		if err != nil {
			t.Fatal(err)
		}
		accepted := 0
		const step = 13 // every field is longer, or stands in the table of forms
		for i := 0; i < len(good); i += step {
			bad := bytes.Clone(good)
			bad[i] ^= 2
			got := describeMatch(t, x, bad, signer)
			if strings.HasPrefix(got, "refused") {
				continue
			}
			accepted++
			if again, err := Canonical(bad); got != want || err != nil || !bytes.Equal(again, canonical) {
				t.Errorf("%s: accepted with byte %d changed: %s", name, i, bad[max(0, i-40):min(len(bad), i+40)])
			}
		}
		if accepted*10 > len(good)/step {
			t.Errorf("%s: %d of %d changes make no difference", name, accepted, len(good)/step)
		}
	}
}

func describeMatch(t *testing.T, x *matcher, bundle []byte, signer policy.Signer) string {
	t.Helper()
	s, err := parseBundle(bundle)
	if err != nil {
		return "refused: " + err.Error()
	}
	m, no, err := x.signedBy(t.Context(), s, []policy.Signer{signer}, policy.Witness{})
	if err != nil {
		t.Fatal(err)
	}
	if no != nil {
		return "refused: " + no.why
	}
	return fmt.Sprintf("%s %s %x", m.by(), m.when.source, s.payload)
}
