package instance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/modseal/modseal/hack/sigstore/internal/instance"
	"github.com/modseal/modseal/hack/sigstore/internal/servers"
)

// The servers of an instance are this very program, so the test has to be one.
func TestMain(m *testing.M) {
	if servers.Main() {
		return
	}
	os.Exit(m.Run())
}

const address = "a+b*c?d|e@example.com"

func start(t *testing.T, dir string, o instance.Options) instance.URLs {
	t.Helper()
	i, err := instance.Start(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Stop)
	return i.URLs()
}

func get(t *testing.T, u string) (int, string) {
	t.Helper()
	response, err := http.Get(u)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func token(t *testing.T, issuer, identity string) string {
	t.Helper()
	status, body := get(t, issuer+"/token?identity="+url.QueryEscape(identity))
	if status != http.StatusOK {
		t.Fatalf("%s: %d %s", issuer, status, body)
	}
	return strings.TrimSpace(body)
}

// signed signs text as a client does that is given a signing configuration.
func signed(t *testing.T, config, token string, text []byte) (*protobundle.Bundle, error) {
	t.Helper()
	c, err := root.NewSigningConfigFromPath(config)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	ca, err := root.SelectService(c.FulcioCertificateAuthorityURLs(), sign.FulcioAPIVersions, now)
	if err != nil {
		t.Fatal(err)
	}
	keypair, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		t.Fatal(err)
	}
	o := sign.BundleOptions{
		Context:                    t.Context(),
		CertificateProvider:        sign.NewFulcio(&sign.FulcioOptions{BaseURL: ca.URL}),
		CertificateProviderOptions: &sign.CertificateProviderOptions{IDToken: token},
	}
	for _, u := range c.RekorLogURLs() {
		o.TransparencyLogs = append(o.TransparencyLogs, sign.NewRekor(&sign.RekorOptions{BaseURL: u.URL, Version: u.MajorAPIVersion}))
	}
	for _, u := range c.TimestampAuthorityURLs() {
		o.TimestampAuthorities = append(o.TimestampAuthorities, sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: u.URL}))
	}
	return sign.Bundle(&sign.PlainData{Data: text}, keypair, o)
}

func verified(t *testing.T, trusted string, b *protobundle.Bundle, issuer, identity string, text []byte, o ...verify.VerifierOption) error {
	t.Helper()
	material, err := root.NewTrustedRootFromPath(trusted)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := verify.NewVerifier(material, o...)
	if err != nil {
		t.Fatal(err)
	}
	entity, err := bundle.NewBundle(b)
	if err != nil {
		return err
	}
	who, err := verify.NewShortCertificateIdentity(issuer, "", identity, "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = verifier.Verify(entity, verify.NewPolicy(verify.WithArtifact(bytes.NewReader(text)), verify.WithCertificateIdentity(who)))
	return err
}

// rekorV2 is what a signature with an entry in a Rekor v2 must have.
func rekorV2() []verify.VerifierOption {
	return []verify.VerifierOption{verify.WithTransparencyLog(1), verify.WithSignedTimestamps(1)}
}

// What the instance signs verifies with its trusted root, and what something
// signs that is not in the root does not, for the reason that it is not.
func TestSignAndVerify(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	urls := start(t, dir, instance.Options{Untrusted: true})
	const workflow = "https://github.com/c++.example/m(1)/.github/workflows/a+b.yml@refs/heads/x.y"
	tests := []struct {
		config, issuer, identity string
		refused                  string
	}{
		{"signing_config.json", "email", address, ""},
		{"signing_config.json", "other", address, ""},
		{"signing_config.json", "github", workflow, ""},
		{"signing_config.json", "spiffe", "spiffe://example.com/ns/a.b/sa/c-d", ""},
		{"signing_config.no-log.json", "email", address, "not enough verified log entries"},
		{"signing_config.no-tsa.json", "email", address, "threshold not met for verified signed timestamps: 0 < 1"},
		{"signing_config.expired.json", "email", address, "leaf certificate verification failed"},
		{"signing_config.untrusted-log.json", "email", address, "not enough verified log entries"},
		{"signing_config.untrusted-tsa.json", "email", address, "threshold not met for verified signed timestamps: 0 < 1"},
	}
	for _, tt := range tests {
		t.Run(tt.config+" "+tt.issuer, func(t *testing.T) {
			t.Parallel()
			text := []byte("text of " + t.Name())
			issuer := urls.Issuers[tt.issuer]
			b, err := signed(t, filepath.Join(dir, tt.config), token(t, issuer, tt.identity), text)
			if err != nil {
				t.Fatal(err)
			}
			err = verified(
				t, filepath.Join(dir, "trusted_root.json"), b, issuer, tt.identity, text,
				append(rekorV2(), verify.WithSignedCertificateTimestamps(1))...,
			)
			if tt.refused == "" && err != nil {
				t.Error(err)
			}
			if tt.refused != "" && (err == nil || !strings.Contains(err.Error(), tt.refused)) {
				t.Errorf("it is refused with %v, not %q", err, tt.refused)
			}
		})
	}
}

// Fulcio gives no certificate for a token that is not for it, has expired, or
// comes from an issuer that it does not know.
func TestRefusedTokens(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	urls := start(t, dir, instance.Options{})
	query := "/token?identity=" + url.QueryEscape(address)
	for _, tt := range []struct{ name, query, refused string }{
		{"audience", query + "&audience=someone-else", "Fulcio returned 400"},
		{"expired", query + "&lifetime=-1h", "Fulcio returned 400"},
		{"issuer", query + "&claims=" + url.QueryEscape(`{"iss":"https://issuer.example.com"}`), "Fulcio returned 400"},
		// The client sees this one for itself.
		{"email", query + "&claims=" + url.QueryEscape(`{"email_verified":false}`), "not verified by identity provider"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			status, text := get(t, urls.Issuers["email"]+tt.query)
			if status != http.StatusOK {
				t.Fatalf("%d %s", status, text)
			}
			_, err := signed(t, filepath.Join(dir, "signing_config.json"), strings.TrimSpace(text), []byte("x"))
			if err == nil || !strings.Contains(err.Error(), tt.refused) {
				t.Errorf("it says %v, not %q", err, tt.refused)
			}
		})
	}
}

// A Rekor v1 promises to log at a time, which is the signature's time: no
// timestamp authority is needed.
func TestRekorV1(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "rekor-v1")
	if out, err := exec.Command("go", "build", "-ldflags", "-s -w", "-o", program, "../../rekorv1").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dir := t.TempDir()
	urls := start(t, dir, instance.Options{RekorV1: program})
	issuer, text := urls.Issuers["email"], []byte("text")
	b, err := signed(t, filepath.Join(dir, "signing_config.rekor-v1.json"), token(t, issuer, address), text)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(b.GetVerificationMaterial().GetTimestampVerificationData().GetRfc3161Timestamps()); n != 0 {
		t.Errorf("it has %d timestamps", n)
	}
	err = verified(
		t, filepath.Join(dir, "trusted_root.json"), b, issuer, address, text,
		verify.WithTransparencyLog(1), verify.WithIntegratedTimestamps(1),
	)
	if err != nil {
		t.Error(err)
	}
}

// Without a log for certificates they carry no SCT.
func TestNoCTLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	urls := start(t, dir, instance.Options{NoCTLog: true, LeafLifetime: time.Hour})
	issuer, text := urls.Issuers["email"], []byte("text")
	b, err := signed(t, filepath.Join(dir, "signing_config.json"), token(t, issuer, address), text)
	if err != nil {
		t.Fatal(err)
	}
	trusted := filepath.Join(dir, "trusted_root.json")
	if err := verified(t, trusted, b, issuer, address, text, rekorV2()...); err != nil {
		t.Error(err)
	}
	err = verified(t, trusted, b, issuer, address, text, append(rekorV2(), verify.WithSignedCertificateTimestamps(1))...)
	if err == nil || !strings.Contains(err.Error(), "signed certificate timestamp") {
		t.Errorf("with an SCT wanted it says %v", err)
	}
	entity, err := bundle.NewBundle(b)
	if err != nil {
		t.Fatal(err)
	}
	content, err := entity.VerificationContent()
	if err != nil {
		t.Fatal(err)
	}
	if c := content.Certificate(); c.NotAfter.Sub(c.NotBefore) != time.Hour {
		t.Errorf("the certificate is valid from %s to %s", c.NotBefore, c.NotAfter)
	}
}

// What was signed before a restart verifies after it, and only one instance has
// a directory at a time.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := instance.Start(t.Context(), dir, instance.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := instance.Start(t.Context(), dir, instance.Options{}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second instance in the directory: %v", err)
	}
	issuer, text := first.URLs().Issuers["email"], []byte("text")
	config, trusted := filepath.Join(dir, "signing_config.json"), filepath.Join(dir, "trusted_root.json")
	b, err := signed(t, config, token(t, issuer, address), text)
	first.Stop()
	if err != nil {
		t.Fatal(err)
	}
	second := start(t, dir, instance.Options{})
	if second.Issuers["email"] != issuer {
		t.Logf("somebody took the port of %s: it is %s now", issuer, second.Issuers["email"])
	}
	if err := verified(t, trusted, b, issuer, address, text, rekorV2()...); err != nil {
		t.Error(err)
	}
	if b, err = signed(t, config, token(t, second.Issuers["email"], address), text); err != nil {
		t.Fatal(err)
	}
	if err := verified(t, trusted, b, second.Issuers["email"], address, text, rekorV2()...); err != nil {
		t.Error(err)
	}
}

// The instance says so when a part of it ends.
func TestFailed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	i, err := instance.Start(t.Context(), dir, instance.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := i.Failed(ctx); err != nil {
		t.Errorf("it failed without a failure: %v", err)
	}
	i.Stop()
	if err := i.Failed(t.Context()); err == nil || !strings.Contains(err.Error(), "ended") {
		t.Errorf("a server ended, and it says %v", err)
	}
}

// The URLs are in a file for scripts.
func TestURLs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	urls := start(t, dir, instance.Options{})
	raw, err := os.ReadFile(filepath.Join(dir, "sigstore.json"))
	if err != nil {
		t.Fatal(err)
	}
	var read instance.URLs
	if err := json.Unmarshal(raw, &read); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(read) != fmt.Sprint(urls) || read.Untrusted != nil {
		t.Errorf("the file has %v, the instance %v", read, urls)
	}
}
