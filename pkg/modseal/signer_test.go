package modseal

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/trust"
)

// unreachable fails a test that asks a service.
type unreachable struct{ t *testing.T }

func (n unreachable) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Errorf("asked %s", r.URL)
	return nil, errors.New("nobody is here")
}

func TestSignOptionsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	const private = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMG\n-----END PRIVATE KEY-----\n"
	c, err := New(Options{Services: unreachable{t}, TrustDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	token := func(context.Context, string) (string, error) {
		t.Error("asked for a token")
		return "", errors.New("nobody is here")
	}
	for name, row := range map[string]struct {
		o    SignOptions
		says string
	}{
		"nothing":               {SignOptions{}, "nothing to sign with"},
		"both":                  {SignOptions{Key: "k", Keyless: true, Token: token}, "use one of them"},
		"no token":              {SignOptions{Keyless: true}, "needs an identity token"},
		"chain alone":           {SignOptions{Key: "k", CertificateChain: "c"}, "without the certificate"},
		"keyless certificate":   {SignOptions{Keyless: true, Token: token, Certificate: "c"}, "by itself"},
		"the key itself":        {SignOptions{Key: private}, "env://VARIABLE"},
		"root without services": {SignOptions{Key: "k", TrustedRoot: "root.json"}, "none is asked"},
		// Everybody would be told what a private instance was meant to see.
		"private root, public services": {SignOptions{Keyless: true, Token: token, TrustedRoot: "root.json"}, "whose services sign"},
	} {
		_, err := c.signer(t.Context(), &row.o)
		if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), row.says) || strings.Contains(err.Error(), "MIGH") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, o := range []SignOptions{
		{Keyless: true, Token: token, TrustedRoot: policy.PublicGood},
		{Keyless: true, Token: token, TrustedRoot: "root.json", SigningConfig: policy.PublicGood},
		{Key: "k", TrustedRoot: "root.json", SigningConfig: "config.json"},
	} {
		if err := o.check(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// A trusted root that nothing is verified with was meant for something.
func TestTrustedRootWithoutUse(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]TrustOptions{
		"key":            {Keys: []string{"k.pub"}},
		"policy":         {PolicyFiles: []string{"policy.yaml"}},
		"default policy": {DefaultPolicyFile: "policy.yaml"},
		"certificate":    {Authorities: "ca.pem", Identity: policy.Match{Exact: "a"}},
	} {
		o.TrustedRoot = "root.json"
		if _, err := o.sources("registry.example.com/m"); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "trusted root") {
			t.Errorf("%s: %v", name, err)
		}
	}
	o := TrustOptions{TrustedRoot: "root.json", Identity: policy.Match{Exact: "a"}, Issuer: policy.Match{Exact: "https://i.example"}}
	if _, err := o.sources("registry.example.com/m"); err != nil {
		t.Error(err)
	}
}

// oneKey is a store in which every reference leads to the same key.
type oneKey struct{ key trust.Key }

func (k oneKey) Signer(context.Context, string, func() ([]byte, error)) (*sign.Signer, error) {
	return nil, errors.New("no private keys here")
}

func (k oneKey) PublicKey(context.Context, string) (trust.Key, error) { return k.key, nil }

// A policy is for all to read.
func TestDraftPolicyHoldsNoPIN(t *testing.T) {
	t.Parallel()
	_, public, err := sign.GenerateKeyPair(sign.P256, nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := trust.ParseKey("k", public)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Options{Keys: oneKey{key}})
	if err != nil {
		t.Fatal(err)
	}
	const reference = "pkcs11:token=t;object=o?module-path=/lib/t.so"
	draft := func(key string) (*PolicyDraft, error) {
		return c.DraftPolicy(t.Context(), PolicyInit{Prefix: "registry.example.com", SignerName: "token", Trust: TrustOptions{Keys: []string{key}}})
	}
	if d, err := draft(reference); err != nil || !strings.Contains(string(d.Text), reference) {
		t.Error(d, err)
	}
	if _, err := draft(reference + "&pin-value=1234"); !errors.Is(err, ErrUsage) || strings.Contains(err.Error(), "1234") {
		t.Error(err)
	}
}
