package trust_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/modseal/modseal/pkg/trust"
)

func TestSigningConfig(t *testing.T) {
	t.Parallel()
	c, err := trust.ParseSigningConfig("corp", signingJSON())
	if err != nil {
		t.Fatal(err)
	}
	s := c.Describe(day)
	if len(s.CertificateAuthorities) != 1 || s.CertificateAuthorities[0].State != trust.StateValid || s.CertificateAuthorities[0].APIVersion != 1 {
		t.Errorf("authorities: %+v", s.CertificateAuthorities)
	}
	if len(s.TransparencyLogs) != 1 || s.TransparencyLogs[0].State != trust.StateExpired || s.TransparencyLogsUsed != "exactly 1" {
		t.Errorf("logs: %+v", s)
	}
	if s.State != trust.StateValid || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "no transparency log") {
		t.Errorf("%s, %q", s.State, s.Warnings)
	}
	if s := c.Describe(day.Add(-year)); len(s.Warnings) != 0 {
		t.Errorf("in the window: %q", s.Warnings)
	}
	// Selectors that are missing where there is nothing to select are filled in:
	// sigstore-go dereferences them.
	if got := c.Material().TimestampAuthorityURLsConfig(); got != (root.ServiceConfiguration{}) {
		t.Errorf("%+v", got)
	}
	if c.Digest() == "" || string(c.JSON()) != string(signingJSON()) {
		t.Error("the bytes are not those that were read")
	}
}

func TestSigningConfigRefuses(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ old, new, want string }{
		"media type":     {"v0.2+json", "v0.1+json", "media type"},
		"nothing in it":  {`"caUrls"`, `"oidcUrls"`, ""},
		"no selector":    {`"selector": "EXACT", "count": 1`, ``, "selector"},
		"count of 0":     {`"count": 1`, `"count": 0`, "exactly 0"},
		"count too high": {`"count": 1`, `"count": 4294967295`, "exactly 4294967295 services of 1"},
		"no version":     {`"majorApiVersion": 1`, `"majorApiVersion": 0`, "majorApiVersion"},
		"no URL":         {"https://fulcio.example.com", "fulcio.example.com", "no URL"},
		"file URL":       {"https://fulcio.example.com", "file:///etc/passwd", "no URL"},
		"login in URL":   {"https://fulcio.example.com", "https://u:secret@fulcio.example.com", "login"},
		"escape":         {`"operator": "example.com"`, `"operator": "example\u001b.com"`, "cannot be shown"},
		"window":         {"2025-12-31", "2024-12-31", "ends before"},
		"unknown field":  {`"caUrls"`, `"x": 1, "caUrls"`, "unknown field"},
	} {
		text := strings.Replace(string(signingJSON()), row.old, row.new, 1)
		if name == "nothing in it" {
			text = `{"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json"}`
			row.want = "names no certificate authority"
		}
		_, err := trust.ParseSigningConfig("corp", []byte(text))
		if !errors.Is(err, trust.ErrInvalidSigningConfig) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: a password is shown: %v", name, err)
		}
	}
}

func TestSigningConfigOfSigstore(t *testing.T) {
	t.Parallel()
	file := filepath.Join("..", "..", "..", "shared", "testdata", "sigstore", "signing_config.v0.2.json")
	if _, err := os.Stat(file); err != nil {
		t.Skip(file, "is not there:", err)
	}
	c, err := trust.LoadSigningConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	s := c.Describe(day)
	if len(s.CertificateAuthorities) != 1 || len(s.OIDCProviders) != 1 || len(s.TransparencyLogs) != 1 || len(s.TimestampAuthorities) != 1 ||
		s.TransparencyLogsUsed != "any" || s.TimestampsUsed != "any" || len(s.Warnings) != 0 {
		t.Errorf("%+v", s)
	}
	if _, err := root.SelectService(c.Material().FulcioCertificateAuthorityURLs(), []uint32{1}, day); err != nil {
		t.Error(err)
	}
}

func FuzzParseSigningConfig(f *testing.F) {
	f.Add(signingJSON())
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","tsaUrls":[{"url":"http://x","majorApiVersion":1}],"tsaConfig":{"selector":"ALL"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := trust.ParseSigningConfig("fuzz", data)
		if err != nil {
			if !errors.Is(err, trust.ErrInvalidSigningConfig) {
				t.Fatal(err)
			}
			return
		}
		c.Describe(day)
		m := c.Material()
		for _, list := range [][]root.Service{m.RekorLogURLs(), m.TimestampAuthorityURLs()} {
			_, _ = root.SelectServices(list, m.RekorLogURLsConfig(), []uint32{1, 2}, time.Now()) // does not panic
		}
	})
}
