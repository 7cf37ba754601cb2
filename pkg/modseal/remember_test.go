//go:build unix

package modseal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/modseal/modseal/pkg/verify"
)

// policyBy is a policy of one key that remembers.
func policyBy(t *testing.T, key, mode string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policy.yaml")
	text := fmt.Sprintf("version: 1\ndefault: reject\nscopes:\n- prefix: '*'\n  mode: %s\n  requirements:\n  - signature: {signers: [{name: release, key: %q}]}\n  - freshness: {remember: true}\n", mode, key)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Only what meets the rules, and was used, is remembered: nothing that anybody
// can have published decides what is the newest.
func TestWhatIsRemembered(t *testing.T) {
	t.Parallel()
	c, target, _, public := signedModel(t)
	_, stranger := plainKey(t)
	file := c.o.state(acceptedFile)
	nothing := func(what string) {
		t.Helper()
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			raw, _ := os.ReadFile(file)
			t.Fatalf("%s: %v\n%s", what, err, raw)
		}
	}
	trusting := func(policies ...string) TrustOptions { return TrustOptions{PolicyFiles: policies} }

	res, err := c.Verify(t.Context(), target, trusting(policyBy(t, stranger, "warn")))
	if err != nil || res.Verification.Decision != verify.Warned || res.Verification.Memory != nil {
		t.Fatalf("%+v, %v", res, err)
	}
	nothing("rules that only warn and are not met")

	good := policyBy(t, public, "enforce")
	if res, err = c.Explain(t.Context(), target, trusting(good)); err != nil || res.Verification.Memory == nil {
		t.Fatalf("%+v, %v", res, err)
	}
	nothing("an explanation")

	if _, err = c.Verify(t.Context(), target, trusting(good, policyBy(t, stranger, "enforce"))); err == nil {
		t.Fatal("accepted by one of two")
	}
	nothing("what one of two policies refuses")

	if _, err = c.Pull(t.Context(), target, public, PullOptions{Trust: trusting(good)}); err == nil {
		t.Fatal("pulled into a file")
	}
	nothing("a pull that failed")

	if _, err = c.Verify(t.Context(), target, trusting(policyBy(t, stranger, "warn"), good)); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if state, err := parseAccepted(raw); err != nil || len(state.Models) != 1 {
		t.Errorf("%s, %v", raw, err)
	}
}

// A policy of the site that leads nowhere is no absence of one.
func TestSitePolicyThatLeadsNowhere(t *testing.T) {
	t.Parallel()
	c, target, _, public := signedModel(t)
	link := filepath.Join(t.TempDir(), "policy.yaml")
	none := filepath.Join(t.TempDir(), "policy.yaml")
	trust := TrustOptions{Keys: []string{public}, SitePolicyFiles: []string{none}}
	if _, err := c.Verify(t.Context(), target, trust); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(none, link); err != nil {
		t.Fatal(err)
	}
	trust.SitePolicyFiles = append(trust.SitePolicyFiles, link)
	var untrusted *TrustError
	if _, err := c.Verify(t.Context(), target, trust); !errors.As(err, &untrusted) {
		t.Error(err)
	}
	var site *SitePolicyError
	if _, err := c.Pull(t.Context(), target, t.TempDir(), PullOptions{Trust: trust, SkipVerificationUnsafe: true}); !errors.As(err, &site) {
		t.Error(err)
	}
}
