package modseal

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"

	"github.com/modseal/modseal/hack/tufrepo"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

const signingConfigText = `{
  "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
  "caUrls": [{"url": "https://fulcio.example.com", "majorApiVersion": 1}]
}`

// site is a machine with a policy, a trust store and perhaps a network.
type site struct {
	*Client
	t      *testing.T
	policy string // path; the files of the policy are beside it
	now    time.Time
	repo   *tufrepo.Repository
	server *httptest.Server
	tuf    policy.TrustedRoot
}

// cable is a network that can be cut, and that a test may forbid.
type cable struct {
	t        *testing.T
	requests atomic.Int64
	mode     atomic.Int32 // of connected, forbidden, cut
}

const connected, forbidden, cut = 0, 1, 2

func (c *cable) RoundTrip(req *http.Request) (*http.Response, error) {
	c.requests.Add(1)
	switch c.mode.Load() {
	case forbidden:
		c.t.Errorf("the network was asked for %s", req.URL)
		fallthrough
	case cut:
		return nil, errors.New("there is no network")
	}
	return http.DefaultTransport.RoundTrip(req)
}

func trustedRootText(t *testing.T) []byte {
	t.Helper()
	vs, err := ca.NewVirtualSigstore()
	if err != nil {
		t.Fatal(err)
	}
	made, err := root.NewTrustedRoot(root.TrustedRootMediaType01, vs.FulcioCertificateAuthorities(), nil, vs.TimestampingAuthorities(), nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := made.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func newSite(t *testing.T) (*site, *cable) {
	t.Helper()
	dir := t.TempDir()
	wire := &cable{t: t}
	client, err := New(Options{TrustDir: filepath.Join(dir, "trust"), Services: wire})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{Client: client, t: t, policy: filepath.Join(dir, "policy", "policy.yaml"), now: time.Now()}
	client.services.now = func() time.Time { return s.now }
	targets := map[string][]byte{"trusted_root.json": trustedRootText(t), "signing_config.v0.2.json": []byte(signingConfigText)}
	if s.repo, err = tufrepo.New(targets, s.now.Add(365*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	s.server = httptest.NewServer(s.repo)
	t.Cleanup(s.server.Close)
	s.write("root.json", s.repo.Root())
	s.tuf = policy.TrustedRoot{Name: "corp", TUF: s.server.URL, TUFRoot: "root.json"}
	return s, wire
}

func (s *site) write(name string, data []byte) {
	s.t.Helper()
	file := filepath.Join(filepath.Dir(s.policy), name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// wantUndecided wants exit code 4 with a next step.
func wantUndecided(t *testing.T, err error, says, next string) {
	t.Helper()
	var u *verify.Undecided
	if !as[*TrustError](err) || !errors.As(err, &u) || ClassOf(err) != ClassUndecided {
		t.Errorf("got %v, want a TrustError that is undecided", err)
		return
	}
	if !strings.Contains(u.Why, says) || !strings.Contains(u.Next, next) {
		t.Errorf("%q, next %q; want %q, %q", u.Why, u.Next, says, next)
	}
}

func TestRootFromFile(t *testing.T) {
	t.Parallel()
	s, wire := newSite(t)
	wire.mode.Store(forbidden)
	text := trustedRootText(t)
	s.write("trusted_root.json", text)
	r, err := s.root(t.Context(), policy.TrustedRoot{Name: "corp", File: "trusted_root.json"}, s.policy, false)
	if err != nil || r.Name != "corp" || string(r.JSON()) != string(text) {
		t.Errorf("%+v, %v", r, err)
	}
	_, err = s.root(t.Context(), policy.TrustedRoot{Name: "corp", File: "trusted_root.json", MaxAge: time.Hour}, s.policy, false)
	wantUndecided(t, err, "nothing says when", "modseal trust export")

	exported, err := trust.Encode([]trust.Item{{Kind: trust.KindRoot, Name: "x", Fetched: s.now.Add(-2 * time.Hour).UTC().Truncate(time.Second), Data: text}})
	if err != nil {
		t.Fatal(err)
	}
	s.write("exported.json", exported)
	start := s.now
	for _, row := range []struct {
		maxAge, later time.Duration
		says          string
	}{
		{3 * time.Hour, 0, ""},
		{time.Hour, 0, "was fetched 2h0m0s ago"},
		{3 * time.Hour, 2 * time.Hour, "was fetched 4h0m0s ago"},
		{3 * time.Hour, -24 * time.Hour, "in the future"},
		{0, -24 * time.Hour, ""},
	} {
		now := start.Add(row.later)
		s.services.now = func() time.Time { return now }
		r, err := s.root(t.Context(), policy.TrustedRoot{Name: "corp", File: "exported.json", MaxAge: row.maxAge}, s.policy, false)
		switch {
		case row.says != "":
			wantUndecided(t, err, row.says, "")
		case err != nil || r.Name != "corp":
			t.Errorf("%+v: %v", row, err)
		}
	}
	_, err = s.root(t.Context(), policy.TrustedRoot{Name: "corp", File: "nosuch.json"}, s.policy, false)
	if !as[*TrustError](err) || !errors.Is(err, fs.ErrNotExist) || ClassOf(err) != ClassUndecided {
		t.Errorf("no file: %v", err)
	}
	s.write("broken.json", []byte("{}"))
	if _, err = s.root(t.Context(), policy.TrustedRoot{Name: "corp", File: "broken.json"}, s.policy, false); !errors.Is(err, trust.ErrInvalidRoot) || ClassOf(err) != ClassUndecided {
		t.Errorf("broken: %v", err)
	}
}

// Offline, nobody is asked: what is missing is undecided, and what is there is
// used, whatever its age, up to that of the policy.
func TestRootOffline(t *testing.T) {
	t.Parallel()
	s, wire := newSite(t)
	wire.mode.Store(forbidden)
	public := policy.TrustedRoot{Name: "sigstore", TUF: policy.PublicGood}
	for _, r := range []policy.TrustedRoot{public, s.tuf} {
		_, err := s.root(t.Context(), r, s.policy, true)
		wantUndecided(t, err, "offline", "modseal trust import")
	}
	_, err := s.signingConfig(t.Context(), "", true)
	wantUndecided(t, err, "offline", "modseal trust update public-good")
	_, err = s.root(t.Context(), policy.TrustedRoot{Name: "x", TUF: s.tuf.TUF, TUFRoot: "nosuch.json"}, s.policy, true)
	if !as[*TrustError](err) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no root metadata: %v", err)
	}

	wire.mode.Store(connected)
	if _, err := s.TrustUpdate(t.Context(), TrustUpdate{Names: []string{"other-name"}, URL: s.tuf.TUF, RootFile: filepath.Join(filepath.Dir(s.policy), "root.json")}); err != nil {
		t.Fatal(err)
	}
	wire.mode.Store(forbidden)
	s.now = s.now.Add(1000 * time.Hour)
	if r, err := s.root(t.Context(), s.tuf, s.policy, true); err != nil || r.Name != "corp" {
		t.Errorf("%+v, %v", r, err)
	}
	bounded := s.tuf
	bounded.MaxAge = 999 * time.Hour
	_, err = s.root(t.Context(), bounded, s.policy, true)
	wantUndecided(t, err, "1000h", "modseal trust update")
	// Trust that begins with other root metadata is other trust.
	other, err := tufrepo.New(nil, s.now)
	if err != nil {
		t.Fatal(err)
	}
	s.write("other.json", other.Root())
	_, err = s.root(t.Context(), policy.TrustedRoot{Name: "corp", TUF: s.tuf.TUF, TUFRoot: "other.json"}, s.policy, true)
	wantUndecided(t, err, "no trusted root from", "--tuf-root")
}

func TestRootOnline(t *testing.T) {
	t.Parallel()
	s, wire := newSite(t)
	got, err := s.roots(t.Context(), []policy.TrustedRoot{s.tuf}, s.policy, false)
	if err != nil || !got["corp"].Fetched.Equal(s.now.UTC().Truncate(time.Second)) {
		t.Fatalf("%+v, %v", got, err)
	}
	// Fresh: nobody is asked, and another process finds it too.
	wire.mode.Store(forbidden)
	s.now = s.now.Add(trust.RefreshAfter - time.Minute)
	if _, err := s.root(t.Context(), s.tuf, s.policy, false); err != nil {
		t.Error(err)
	}
	// Too old for the policy, or for us: it is fetched again.
	wire.mode.Store(connected)
	before := wire.requests.Load()
	strict := s.tuf
	strict.MaxAge = time.Hour
	if r, err := s.root(t.Context(), strict, s.policy, false); err != nil || wire.requests.Load() == before {
		t.Errorf("too old for the policy: %+v, %v", r, err)
	}
	s.now = s.now.Add(trust.RefreshAfter + time.Minute)
	before = wire.requests.Load()
	if err := s.repo.Publish(map[string][]byte{"trusted_root.json": trustedRootText(t)}); err != nil {
		t.Fatal(err)
	}
	r, err := s.root(t.Context(), s.tuf, s.policy, false)
	if err != nil || wire.requests.Load() == before || string(r.JSON()) == string(got["corp"].JSON()) {
		t.Errorf("stale: %v", err)
	}
	if w := s.Warnings(); len(w) != 0 {
		t.Errorf("warnings: %q", w)
	}
	// No network: what is there is used, and that is said; up to the policy's age.
	wire.mode.Store(cut)
	s.now = s.now.Add(trust.RefreshAfter + time.Minute)
	if _, err := s.root(t.Context(), s.tuf, s.policy, false); err != nil {
		t.Error(err)
	}
	if w := s.Warnings(); len(w) != 1 || !strings.Contains(w[0], "there is no network") || !strings.Contains(w[0], s.tuf.TUF) {
		t.Errorf("warnings: %q", w)
	}
	_, err = s.root(t.Context(), strict, s.policy, false)
	wantUndecided(t, err, "24h1m", "modseal trust update")
}

// What is fetched and not to be believed is never replaced by what was there: it
// would hide an attack.
func TestRootOfAnAttacker(t *testing.T) {
	t.Parallel()
	s, _ := newSite(t)
	old := s.repo.Files()
	if err := s.repo.Publish(map[string][]byte{"trusted_root.json": trustedRootText(t)}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.root(t.Context(), s.tuf, s.policy, false); err != nil {
		t.Fatal(err)
	}
	s.repo.Restore(old)
	s.now = s.now.Add(trust.RefreshAfter + time.Minute)
	if r, err := s.root(t.Context(), s.tuf, s.policy, false); !as[*trust.RepositoryError](err) || ClassOf(err) != ClassIntegrity {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRootThatCannotBeFetched(t *testing.T) {
	t.Parallel()
	s, wire := newSite(t)
	wire.mode.Store(cut)
	if _, err := s.root(t.Context(), policy.TrustedRoot{Name: "sigstore", TUF: policy.PublicGood}, "", false); !as[*trust.FetchError](err) || ClassOf(err) != ClassTransport {
		t.Errorf("%v", err)
	}
	bad := s.tuf
	bad.TUF = "ftp://x"
	if _, err := s.root(t.Context(), bad, s.policy, false); !as[*TrustError](err) {
		t.Errorf("%v", err)
	}
}

// Without a store, and with one that cannot be written, it is fetched once for
// each Client.
func TestRootWithoutStore(t *testing.T) {
	t.Parallel()
	for name, dir := range map[string]func(*testing.T) string{
		"none": func(*testing.T) string { return "" },
		"a file is in its way": func(t *testing.T) string {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "material"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return dir
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, wire := newSite(t)
			s.o.TrustDir = dir(t)
			first, err := s.root(t.Context(), s.tuf, s.policy, false)
			if err != nil {
				t.Fatal(err)
			}
			wire.mode.Store(forbidden)
			if r, err := s.root(t.Context(), s.tuf, s.policy, true); err != nil || string(r.JSON()) != string(first.JSON()) {
				t.Errorf("%v", err)
			}
			if got, want := len(s.Warnings()), map[string]int{"none": 0, "a file is in its way": 1}[name]; got != want {
				t.Errorf("warnings: %q", s.Warnings())
			}
		})
	}
}

// What somebody added by hand under the name of the public-good instance is
// used and never replaced by the network.
func TestRootAddedByHand(t *testing.T) {
	t.Parallel()
	s, wire := newSite(t)
	wire.mode.Store(forbidden)
	text := trustedRootText(t)
	s.write("trusted_root.json", text)
	s.write("signing.json", []byte(signingConfigText))
	dir := filepath.Dir(s.policy)
	public := policy.TrustedRoot{Name: "sigstore", TUF: policy.PublicGood}
	if _, err := s.TrustAdd(t.Context(), TrustAddition{Kind: trust.KindRoot, Name: "public-good", File: filepath.Join(dir, "trusted_root.json")}); err != nil {
		t.Fatal(err)
	}
	if r, err := s.root(t.Context(), public, "", false); err != nil || string(r.JSON()) != string(text) || r.Name != "sigstore" {
		t.Errorf("%+v, %v", r, err)
	}
	_, err := s.signingConfig(t.Context(), "", false)
	wantUndecided(t, err, "no signing configuration", "--signing-config")
	if _, err := s.TrustAdd(t.Context(), TrustAddition{Kind: trust.KindSigningConfig, Name: "public-good", File: filepath.Join(dir, "signing.json")}); err != nil {
		t.Fatal(err)
	}
	if c, err := s.signingConfig(t.Context(), "", false); err != nil || c.Name != "public-good" {
		t.Errorf("%+v, %v", c, err)
	}
	// By name.
	if r, err := s.root(t.Context(), policy.TrustedRoot{Name: "x", File: "trust:public-good"}, s.policy, true); err != nil || r.Name != "x" {
		t.Errorf("%+v, %v", r, err)
	}
	_, err = s.root(t.Context(), policy.TrustedRoot{Name: "x", File: "trust:nosuch"}, s.policy, true)
	wantUndecided(t, err, "nosuch", "modseal trust add root nosuch")
	if c, err := s.signingConfig(t.Context(), "trust:public-good", true); err != nil || c == nil {
		t.Errorf("%v", err)
	}
	_, err = s.signingConfig(t.Context(), "trust:nosuch", true)
	wantUndecided(t, err, "nosuch", "modseal trust import")
	if c, err := s.signingConfig(t.Context(), filepath.Join(dir, "signing.json"), true); err != nil || c == nil {
		t.Errorf("%v", err)
	}
	if _, err := s.signingConfig(t.Context(), filepath.Join(dir, "nosuch.json"), true); !as[*TrustError](err) {
		t.Errorf("%v", err)
	}
}

func TestRootsAreUndecidedTogether(t *testing.T) {
	t.Parallel()
	s, _ := newSite(t)
	got, err := s.roots(t.Context(), []policy.TrustedRoot{s.tuf, {Name: "x", File: "nosuch.json"}}, s.policy, false)
	if got != nil || !as[*TrustError](err) {
		t.Errorf("%v, %v", got, err)
	}
}
