package trust_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/trust"
)

func TestParseRoot(t *testing.T) {
	t.Parallel()
	data := rootJSON(t, newRoot(t))
	r, err := trust.ParseRoot("corp", data)
	if err != nil {
		t.Fatal(err)
	}
	m := r.Material()
	if len(m.RekorLogs()) != 1 || len(m.CTLogs()) != 1 || len(m.FulcioCertificateAuthorities()) != 1 || len(m.TimestampingAuthorities()) != 1 {
		t.Errorf("material has %d, %d, %d, %d members", len(m.RekorLogs()), len(m.CTLogs()), len(m.FulcioCertificateAuthorities()), len(m.TimestampingAuthorities()))
	}
	if !bytes.Equal(r.JSON(), data) {
		t.Error("the bytes are not those that were read")
	}
	// The newer spelling of the media type means the same.
	newer := bytes.Replace(data, []byte("trustedroot+json;version=0.1"), []byte("trustedroot.v0.1+json"), 1)
	if _, err := trust.ParseRoot("corp", newer); err != nil {
		t.Error(err)
	}
}

func TestParseRootOfVirtualSigstore(t *testing.T) {
	t.Parallel()
	vs, err := ca.NewVirtualSigstore()
	if err != nil {
		t.Fatal(err)
	}
	logs := map[string]*root.TransparencyLog{}
	for id, l := range vs.RekorLogs() {
		if l.ID, err = hex.DecodeString(id); err != nil {
			t.Fatal(err)
		}
		logs[id] = l
	}
	material, err := root.NewTrustedRoot(root.TrustedRootMediaType01, vs.FulcioCertificateAuthorities(), nil, vs.TimestampingAuthorities(), logs)
	if err != nil {
		t.Fatal(err)
	}
	data, err := material.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	r, err := trust.ParseRoot("virtual", data)
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Describe(time.Now()); s.State != trust.StateValid || len(s.Warnings) != 0 || len(s.TransparencyLogs) != 1 {
		t.Errorf("%+v", s)
	}
}

// What is wrong with a root, one thing at a time.
func TestParseRootRefuses(t *testing.T) {
	t.Parallel()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	stranger := issue(t, "stranger", nil, nil)
	server := issue(t, "server", stranger, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature })
	for name, row := range map[string]struct {
		change func(*prototrustroot.TrustedRoot)
		want   string
	}{
		"no media type": {func(r *prototrustroot.TrustedRoot) { r.MediaType = "" }, `media type "" is not`},
		"media type of 0.2": {func(r *prototrustroot.TrustedRoot) {
			r.MediaType = "application/vnd.dev.sigstore.trustedroot.v0.2+json"
		}, "v0.2"},
		"empty":                  {func(r *prototrustroot.TrustedRoot) { *r = prototrustroot.TrustedRoot{MediaType: r.MediaType} }, "it is empty"},
		"log without identifier": {func(r *prototrustroot.TrustedRoot) { r.Tlogs[0].LogId = nil }, "identifier has 0 bytes"},
		"long identifier":        {func(r *prototrustroot.TrustedRoot) { r.Tlogs[0].LogId.KeyId = make([]byte, 65) }, "identifier has 65 bytes"},
		"log without key":        {func(r *prototrustroot.TrustedRoot) { r.Ctlogs[0].PublicKey = nil }, "validFor.start is missing"},
		"log without window":     {func(r *prototrustroot.TrustedRoot) { r.Ctlogs[0].PublicKey.ValidFor = nil }, "validFor.start is missing"},
		"window that ends first": {func(r *prototrustroot.TrustedRoot) {
			r.Tlogs[0].PublicKey.ValidFor.End = timestamppb.New(day.Add(-2 * year))
		}, "ends before it begins"},
		"key that is none": {func(r *prototrustroot.TrustedRoot) { r.Tlogs[0].PublicKey.RawBytes = []byte("x") }, "public key"},
		"unknown key details": {func(r *prototrustroot.TrustedRoot) {
			r.Tlogs[0].PublicKey.KeyDetails = protocommon.PublicKeyDetails_LMS_SHA256 //nolint:staticcheck // deprecated, and what is refused
		}, "not supported"},
		"small RSA key": {func(r *prototrustroot.TrustedRoot) {
			r.Tlogs[0].PublicKey.RawBytes = x509.MarshalPKCS1PublicKey(&small.PublicKey)
			r.Tlogs[0].PublicKey.KeyDetails = protocommon.PublicKeyDetails_PKCS1_RSA_PKCS1V5 //nolint:staticcheck // deprecated, and still in use
		}, "1024 bits"},
		"another kind of key": {func(r *prototrustroot.TrustedRoot) {
			l := pbLog(t, "https://x.example.com", p384.Public())
			r.Tlogs[0].PublicKey.RawBytes = l.GetPublicKey().GetRawBytes()
		}, "the key is EC P-384"},
		"unknown hash": {func(r *prototrustroot.TrustedRoot) { r.Tlogs[0].HashAlgorithm = protocommon.HashAlgorithm_SHA2_512 }, "hash algorithm"},
		"two logs with one identifier": {func(r *prototrustroot.TrustedRoot) {
			l := pbLog(t, "https://other.example.com", newKey(t).Public())
			l.LogId = r.GetTlogs()[0].GetLogId()
			r.Tlogs = append(r.Tlogs, l)
		}, "that of another one"},
		"two logs with one key": {func(r *prototrustroot.TrustedRoot) {
			l := pbLog(t, "https://other.example.com", newKey(t).Public())
			l.PublicKey = r.GetTlogs()[0].GetPublicKey()
			r.Tlogs = append(r.Tlogs, l)
		}, "that of another one"},
		"too many logs": {func(r *prototrustroot.TrustedRoot) {
			for range 128 {
				r.Ctlogs = append(r.Ctlogs, r.GetCtlogs()[0])
			}
		}, "129 times"},
		"authority without chain": {func(r *prototrustroot.TrustedRoot) { r.CertificateAuthorities[0].CertChain = nil }, "0 certificates"},
		"long chain": {func(r *prototrustroot.TrustedRoot) {
			for range limits.ChainCertificates {
				c := r.GetCertificateAuthorities()[0].GetCertChain()
				c.Certificates = append(c.Certificates, c.GetCertificates()[1])
			}
		}, "18 certificates"},
		"no certificate": {func(r *prototrustroot.TrustedRoot) {
			r.CertificateAuthorities[0].CertChain.Certificates[0].RawBytes = []byte("x")
		}, "invalid certificate"},
		"not an authority": {func(r *prototrustroot.TrustedRoot) {
			r.CertificateAuthorities[0] = pbAuthority("https://x", server, stranger)
		}, "not that of an authority"},
		"chain of strangers": {func(r *prototrustroot.TrustedRoot) {
			r.CertificateAuthorities[0].CertChain.Certificates[1].RawBytes = stranger.cert.Raw
		}, "not signed by the next"},
		"chain in the other order": {func(r *prototrustroot.TrustedRoot) {
			c := r.GetCertificateAuthorities()[0].GetCertChain().GetCertificates()
			c[0], c[1] = c[1], c[0]
		}, "not signed by the next"},
		"authority whose window ends first": {func(r *prototrustroot.TrustedRoot) {
			r.CertificateAuthorities[0].ValidFor.End = timestamppb.New(day.Add(-2 * year))
		}, "ends before it begins"},
		"timestamps without authority": {func(r *prototrustroot.TrustedRoot) {
			c := r.GetTimestampAuthorities()[0].GetCertChain()
			c.Certificates = c.GetCertificates()[:1]
		}, "no authority above it"},
		"timestamps by a certificate for something else": {func(r *prototrustroot.TrustedRoot) {
			r.TimestampAuthorities[0] = pbAuthority("https://x", server, stranger)
		}, "is not for timestamps"},
		"escape in a URL": {func(r *prototrustroot.TrustedRoot) { r.Tlogs[0].BaseUrl = "https://x\x1b[2J" }, "cannot be shown"},
		"long URL":        {func(r *prototrustroot.TrustedRoot) { r.CertificateAuthorities[0].Uri = strings.Repeat("x", 3000) }, "3000 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pb := newRoot(t)
			row.change(pb)
			_, err := trust.ParseRoot("corp", rootJSON(t, pb))
			if !errors.Is(err, trust.ErrInvalidRoot) {
				t.Fatalf("got %v, want ErrInvalidRoot", err)
			}
			if !strings.Contains(err.Error(), row.want) || !strings.HasPrefix(err.Error(), "corp: ") {
				t.Errorf("%q does not say %q", err, row.want)
			}
		})
	}
	good := string(rootJSON(t, newRoot(t)))
	for name, text := range map[string]string{
		"nothing":       "",
		"unknown field": strings.Replace(good, "{", `{"x": 1,`, 1),
		"repeated key":  strings.Replace(good, "{", `{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",`, 1),
		"followed by":   good + "{}",
		"too large":     good + strings.Repeat(" ", 4<<20),
	} {
		if _, err := trust.ParseRoot("corp", []byte(text)); !errors.Is(err, trust.ErrInvalidRoot) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDescribeRoot(t *testing.T) {
	t.Parallel()
	pb := newRoot(t)
	pb.Tlogs[0].PublicKey.ValidFor = pbWindow(day.Add(-year), day)
	pb.Tlogs = append(pb.Tlogs, pbLog(t, "https://new.example.com", newKey(t).Public()))
	pb.Tlogs[1].PublicKey.ValidFor = pbWindow(day.Add(24*time.Hour), time.Time{})
	r, err := trust.ParseRoot("corp", rootJSON(t, pb))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		at       time.Time
		logs     [2]trust.State
		ca, all  trust.State
		warnings int
	}{
		{day.Add(-year - time.Second), [2]trust.State{trust.StateNotYet, trust.StateNotYet}, trust.StateNotYet, trust.StateNotYet, 4},
		{day, [2]trust.State{trust.StateValid, trust.StateNotYet}, trust.StateValid, trust.StateValid, 0},
		{day.Add(time.Second), [2]trust.State{trust.StateExpired, trust.StateNotYet}, trust.StateValid, trust.StateValid, 1},
		{day.Add(48 * time.Hour), [2]trust.State{trust.StateExpired, trust.StateValid}, trust.StateValid, trust.StateValid, 0},
		// The window of the authority has no end; its certificates have.
		{day.Add(year + time.Second), [2]trust.State{trust.StateExpired, trust.StateValid}, trust.StateExpired, trust.StateValid, 2},
	} {
		s := r.Describe(row.at)
		if len(s.TransparencyLogs) != 2 || len(s.CertificateAuthorities) != 1 || len(s.TimestampAuthorities) != 1 || len(s.CTLogs) != 1 {
			t.Fatalf("%s: %+v", row.at, s)
		}
		got := [2]trust.State{s.TransparencyLogs[0].State, s.TransparencyLogs[1].State}
		if got != row.logs || s.CertificateAuthorities[0].State != row.ca || s.State != row.all || r.State(row.at) != row.all || len(s.Warnings) != row.warnings {
			t.Errorf("%s: logs %v, authority %v, all %v, warnings %q", row.at, got, s.CertificateAuthorities[0].State, s.State, s.Warnings)
		}
	}
	authority := r.Describe(day).CertificateAuthorities[0]
	if authority.URL != "https://fulcio.example.com" || authority.Subject != "CN=intermediate" || authority.Algorithm != "EC P-256" ||
		len(authority.Certificates) != 2 || authority.Certificates[1].Subject != "CN=root" || authority.Fingerprint == authority.Certificates[1].Fingerprint ||
		!authority.Window.End.Equal(day.Add(year)) {
		t.Errorf("%+v", authority)
	}
	if log := r.Describe(day).TransparencyLogs[0]; log.URL != "https://rekor.example.com" || log.Fingerprint.Encoded() != log.LogID {
		t.Errorf("%+v", log)
	}
}

func TestAge(t *testing.T) {
	t.Parallel()
	r, err := trust.ParseRoot("corp", rootJSON(t, newRoot(t)))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Age(day); ok {
		t.Error("an age that nobody noted")
	}
	for _, row := range []struct {
		fetched time.Time
		want    time.Duration
		ok      bool
	}{
		{day.Add(-36 * time.Hour), 36 * time.Hour, true},
		{day.Add(trust.MaxClockSkew), 0, true},
		{day.Add(trust.MaxClockSkew + time.Second), 0, false},
	} {
		r.Fetched = row.fetched
		if got, ok := r.Age(day); got != row.want || ok != row.ok {
			t.Errorf("%s: %s, %t", row.fetched, got, ok)
		}
	}
}

// The root that Sigstore itself publishes.
func TestPublicGoodRoot(t *testing.T) {
	t.Parallel()
	file := filepath.Join("..", "..", "..", "shared", "testdata", "sigstore", "trusted-root-public-good.json")
	if _, err := os.Stat(file); err != nil {
		t.Skip(file, "is not there:", err)
	}
	r, err := trust.LoadRoot(file)
	if err != nil {
		t.Fatal(err)
	}
	s := r.Describe(day)
	if len(s.CertificateAuthorities) != 2 || len(s.TransparencyLogs) != 1 || len(s.CTLogs) != 2 || s.State != trust.StateValid {
		t.Errorf("%+v", s)
	}
	if ca := s.CertificateAuthorities[0]; ca.URL != "https://fulcio.sigstore.dev" || ca.State != trust.StateExpired {
		t.Errorf("the authority of 2021: %+v", ca)
	}
	if log := s.TransparencyLogs[0]; log.LogID != "c0d23d6ad406973f9559f3ba2d1ca01f84147d8ffc5b8445c224f98b9591801d" || log.Fingerprint.Encoded() != log.LogID {
		t.Errorf("the log: %+v", log)
	}
	if r.Name != file || r.Source != file || !r.Fetched.IsZero() {
		t.Errorf("%q, %q, %s", r.Name, r.Source, r.Fetched)
	}
}

func FuzzParseRoot(f *testing.F) {
	pb := newRoot(f)
	f.Add(rootJSON(f, pb))
	pb.Tlogs[0].PublicKey.ValidFor = nil
	f.Add(rootJSON(f, pb))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","tlogs":[{}],"certificateAuthorities":[{"certChain":{"certificates":[{}]}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := trust.ParseRoot("fuzz", data)
		if err != nil {
			if !errors.Is(err, trust.ErrInvalidRoot) {
				t.Fatal(err)
			}
			return
		}
		s := r.Describe(day)
		if len(s.CertificateAuthorities)+len(s.CTLogs)+len(s.TransparencyLogs)+len(s.TimestampAuthorities) == 0 {
			t.Fatal("an empty root was taken")
		}
		if len(s.TransparencyLogs) != len(r.Material().RekorLogs()) || len(s.CTLogs) != len(r.Material().CTLogs()) {
			t.Fatal("the summary and the material differ")
		}
	})
}
