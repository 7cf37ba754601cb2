package sign_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/modseal/modseal/pkg/internal/virtual"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/statement"
)

const (
	ciIssuer  = "https://token.actions.example"
	ciSubject = "https://ci.example/org/repo/.ci/release.yml@refs/heads/main"
)

func (i *instance) token(t *testing.T, subject string) func(context.Context) (string, error) {
	t.Helper()
	if subject == "" {
		subject = ciSubject
	}
	return func(context.Context) (string, error) {
		return virtual.Token(t, map[string]any{"iss": ciIssuer, "sub": subject, "aud": "sigstore", "exp": time.Now().Add(5 * time.Minute).Unix()}), nil
	}
}

func TestKeyless(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		stamp bool
		logs  []uint32
		oms   bool
	}{
		{"log 1", false, []uint32{1}, true},
		{"log 1 and time", true, []uint32{1}, true},
		{"log 2", true, []uint32{2}, true},
		{"time only", true, nil, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			i := newInstance(t)
			s, err := sign.NewKeyless(t.Context(), sign.KeylessOptions{ServiceOptions: i.options(t, row.stamp, row.logs...), Token: i.token(t, "")})
			if err != nil {
				t.Fatal(err)
			}
			who := s.Identity()
			if who.Method != sign.MethodKeyless || who.Subject != ciSubject || who.Issuer != ciIssuer || who.Certificate == nil || who.String() != ciSubject+" ("+ciIssuer+")" {
				t.Errorf("identity is %+v", who)
			}
			if s.CanOMS() != row.oms || s.Public().Public != nil {
				t.Errorf("CanOMS is %t, and the key %v", s.CanOMS(), s.Public())
			}
			for _, form := range []sign.Form{sign.FormCosign, sign.FormOMS} {
				text, err := s.Sign(t.Context(), statementText, form)
				if form == sign.FormOMS && !row.oms {
					if !errors.Is(err, sign.ErrNoOMSKey) {
						t.Error(err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				verifyKeyless(t, i, text, row.stamp, len(row.logs) > 0)
			}
			if n := i.services.Requests(pathCert); n != 1 {
				t.Errorf("%d certificates for two bundles", n)
			}
		})
	}
}

func verifyKeyless(t *testing.T, i *instance, text []byte, stamp, logged bool) {
	t.Helper()
	b := parseBundle(t, text)
	if b.GetVerificationMaterial().GetCertificate() == nil {
		t.Errorf("no leaf: %s", text)
	}
	options := []verify.VerifierOption{verify.WithSignedCertificateTimestamps(1)}
	if logged {
		options = append(options, verify.WithTransparencyLog(1))
	}
	if stamp {
		options = append(options, verify.WithSignedTimestamps(1))
	} else {
		options = append(options, verify.WithIntegratedTimestamps(1))
	}
	v, err := verify.NewVerifier(i.root.Material(), options...)
	if err != nil {
		t.Fatal(err)
	}
	id, err := verify.NewShortCertificateIdentity(ciIssuer, "", ciSubject, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(b, verify.NewPolicy(verify.WithoutArtifactUnsafe(), verify.WithCertificateIdentity(id))); err != nil {
		t.Error(err)
	}
}

// clock is one that a test moves.
type clock struct {
	mu  sync.Mutex
	add time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.add)
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add += d
}

func TestKeylessRenews(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	c := &clock{}
	o := i.options(t, true, 2)
	o.Now = c.now
	subject := ciSubject
	var asked int
	s, err := sign.NewKeyless(t.Context(), sign.KeylessOptions{ServiceOptions: o, Token: func(ctx context.Context) (string, error) {
		asked++
		return i.token(t, subject)(ctx)
	}})
	if err != nil {
		t.Fatal(err)
	}
	first := s.Identity().Certificate
	signs := func() error {
		_, err := s.Sign(t.Context(), statementText, sign.FormCosign)
		return err
	}
	if err := signs(); err != nil || asked != 1 {
		t.Fatal(err, asked)
	}
	// The services are in the present; only the signer believes that time passes.
	c.move(9 * time.Minute)
	o.Root = nil
	if err := signs(); !errors.Is(err, sign.ErrToken) || !strings.Contains(err.Error(), "expired") || !strings.Contains(err.Error(), "signing took longer") {
		t.Fatalf("an expired token: %v", err)
	}
	c.move(-9 * time.Minute)
	i.services.Certify = func(id *virtual.Identity) { id.NotAfter = time.Now().Add(time.Minute) }
	short, err := sign.NewKeyless(t.Context(), sign.KeylessOptions{ServiceOptions: o, Token: func(ctx context.Context) (string, error) { return i.token(t, subject)(ctx) }})
	if err != nil {
		t.Fatal(err)
	}
	s = short
	if err := signs(); err != nil {
		t.Fatal(err)
	}
	if s.Identity().Certificate.Equal(first) || i.services.Requests(pathCert) != 3 {
		t.Errorf("a certificate that ends was not renewed: %d", i.services.Requests(pathCert))
	}
	subject = "https://ci.example/another"
	if err := signs(); !errors.Is(err, sign.ErrToken) || !strings.Contains(err.Error(), "another") {
		t.Errorf("signed as another: %v", err)
	}
}

func TestKeylessRefuses(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	far := i.options(t, true, 2)
	far.Config.WithFulcioCertificateAuthorityURLs()
	plain := i.options(t, true, 2)
	authorities := plain.Config.FulcioCertificateAuthorityURLs()
	authorities[0].URL = "http://fulcio.example"
	plain.Config.WithFulcioCertificateAuthorityURLs(authorities...)
	answer := func(claims map[string]any) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return virtual.Token(t, claims), nil }
	}
	good := i.token(t, "")
	failed := errors.New("no identity here")
	for name, row := range map[string]struct {
		o     sign.ServiceOptions
		token func(context.Context) (string, error)
		is    error
		says  string
	}{
		"no time":           {i.options(t, false, 2), good, sign.ErrConfig, "needs a timestamp authority"},
		"no services":       {i.options(t, false), good, sign.ErrConfig, "needs a timestamp authority"},
		"no authority":      {far, good, sign.ErrConfig, "certificate authorities"},
		"readable token":    {plain, good, sign.ErrConfig, "https only"},
		"nobody":            {i.options(t, true, 2), nil, sign.ErrToken, "nobody"},
		"token fails":       {i.options(t, true, 2), func(context.Context) (string, error) { return "", failed }, failed, "no identity here"},
		"token fails so":    {i.options(t, true, 2), func(context.Context) (string, error) { return "", fmt.Errorf("%w: none", sign.ErrToken) }, sign.ErrToken, "none"},
		"no token":          {i.options(t, true, 2), func(context.Context) (string, error) { return "hello", nil }, sign.ErrToken, "three parts"},
		"expired":           {i.options(t, true, 2), answer(map[string]any{"iss": "i", "sub": "s", "exp": 1}), sign.ErrToken, "expired at 1970-01-01T00:00:01Z"},
		"not valid yet":     {i.options(t, true, 2), answer(map[string]any{"iss": "i", "sub": "s", "nbf": 9999999999}), sign.ErrToken, "clock"},
		"address not shown": {i.options(t, true, 2), answer(map[string]any{"iss": "i", "email": "a@b.c", "email_verified": false}), nil, "not verified by identity provider"},
	} {
		_, err := sign.NewKeyless(t.Context(), sign.KeylessOptions{ServiceOptions: row.o, Token: row.token})
		if err != nil && strings.Count(err.Error(), sign.ErrToken.Error()) > 1 {
			t.Errorf("%s: says it twice: %v", name, err)
		}
		if err == nil || row.is != nil && !errors.Is(err, row.is) || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := i.services.Requests(pathCert); n != 0 {
		t.Errorf("asked for %d certificates", n)
	}
}

// An authority that certifies something else than what was asked for.
func TestKeylessRefusesCertificates(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		certify func(*virtual.Identity)
		says    string
	}{
		"nobody":        {func(id *virtual.Identity) { id.Subject = "" }, "Subject Alternative Name"},
		"unseen by log": {func(id *virtual.Identity) { id.NoSCT = true }, "trusted root"},
		"not now": {func(id *virtual.Identity) {
			id.NotBefore, id.NotAfter = time.Now().Add(-3*time.Hour), time.Now().Add(-2*time.Hour)
		}, "trusted root"},
	} {
		i := newInstance(t)
		i.services.Certify = row.certify
		if err := signKeyless(t, i, i.options(t, true, 2)); err == nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	i, other := newInstance(t), newInstance(t)
	// The certificate of another key: what another client got.
	var answer []byte
	other.services.Intercept = nil
	holder := virtual.NewAuthority(t, "x", time.Time{}, time.Time{}).Issue(t, virtual.Leaf{Emails: []string{"a@b.c"}})
	answer = []byte(`{"signedCertificateEmbeddedSct":{"chain":{"certificates":[` + jsonText(t, string(holder.PEM())) + `]}}}`)
	i.services.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != pathCert {
			return false
		}
		_, _ = w.Write(answer)
		return true
	}
	var failed *sign.ServiceError
	if err := signKeyless(t, i, i.options(t, true, 2)); !errors.As(err, &failed) || !strings.Contains(err.Error(), "another key") {
		t.Error(err)
	}
}

func TestKeylessIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	s, err := sign.NewKeyless(t.Context(), sign.KeylessOptions{ServiceOptions: i.options(t, true, 2), Token: i.token(t, "")})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if _, err := s.Sign(t.Context(), statementText, sign.FormOMS); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestSignersKeepTheirMethod(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	s, err := sign.NewKeyless(t.Context(), sign.KeylessOptions{ServiceOptions: i.options(t, true, 2), Token: i.token(t, "")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.WithServices(i.options(t, true, 1)); !errors.Is(err, sign.ErrConfig) {
		t.Error(err)
	}
	if _, err := s.WithCertificate(virtual.NewAuthority(t, "x", time.Time{}, time.Time{}).Root()); !errors.Is(err, sign.ErrCertificate) {
		t.Error(err)
	}
}

// Bundles of all three methods follow OMS's own schema.
func TestWitnessedOMSBundlesFollowTheSchema(t *testing.T) {
	t.Parallel()
	validate := omsSchemas(t)
	i := newInstance(t)
	oms, err := statement.NewOMS("m", []statement.Resource{{Name: "a", Digest: strings.Repeat("ab", 32), Algorithm: "sha256"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := oms.Payload()
	if err != nil {
		t.Fatal(err)
	}
	keyless, err := sign.NewKeyless(t.Context(), sign.KeylessOptions{ServiceOptions: i.options(t, true, 1), Token: i.token(t, "")})
	if err != nil {
		t.Fatal(err)
	}
	holder := virtual.NewAuthority(t, "corp", time.Time{}, time.Time{}).Issue(t, virtual.Leaf{Emails: []string{"a@b.c"}})
	certified, err := load(t, pkcs8(t, holder.Key)).WithCertificate(holder.PEM())
	if err != nil {
		t.Fatal(err)
	}
	witnessed, err := certified.WithServices(i.options(t, true, 2))
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*sign.Signer{"keyless": keyless, "certificate": certified, "witnessed certificate": witnessed} {
		text, err := s.Sign(t.Context(), payload, sign.FormOMS)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		validate("bundle", text)
	}
}
