package trust_test

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/modseal/modseal/pkg/trust"
)

func TestParseAuthority(t *testing.T) {
	t.Parallel()
	top := issue(t, "root", nil, nil)
	middle := issue(t, "intermediate", top, nil)
	a, err := trust.ParseAuthority("corp", certificatePEM(top), certificatePEM(middle))
	if err != nil || len(a.Roots) != 1 || len(a.Intermediates) != 1 {
		t.Fatalf("%+v, %v", a, err)
	}
	if a, err := trust.ParseAuthority("corp", certificatePEM(top), nil); err != nil || len(a.Intermediates) != 0 {
		t.Errorf("without intermediates: %+v, %v", a, err)
	}
	// A chain in any order.
	for _, text := range [][]byte{certificatePEM(middle, top), certificatePEM(top, middle)} {
		c, err := trust.ParseChain("corp", text)
		if err != nil || len(c.Roots) != 1 || !c.Roots[0].Equal(top.cert) || len(c.Intermediates) != 1 || !c.Intermediates[0].Equal(middle.cert) {
			t.Errorf("%+v, %v", c, err)
		}
	}
}

func TestParseAuthorityRefuses(t *testing.T) {
	t.Parallel()
	top := issue(t, "root", nil, nil)
	middle := issue(t, "intermediate", top, nil)
	leaf := issue(t, "leaf", top, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature })
	selfLeaf := issue(t, "self", nil, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature })
	noSign := issue(t, "no signing", nil, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })
	// Looks as if it had issued itself: subject and issuer are the same.
	impostor := issue(t, "root", top, nil)
	for name, row := range map[string]struct {
		roots, intermediates []byte
		want                 string
	}{
		"intermediate as root":    {certificatePEM(middle), nil, "is no root but an intermediate"},
		"one of several":          {certificatePEM(top, middle), nil, "is no root but an intermediate"},
		"root by name only":       {certificatePEM(impostor), nil, "is no root but an intermediate"},
		"leaf as root":            {certificatePEM(selfLeaf), nil, "may not issue certificates (basicConstraints)"},
		"leaf as intermediate":    {certificatePEM(top), certificatePEM(leaf), "basicConstraints"},
		"root that may not sign":  {certificatePEM(noSign), nil, "keyUsage"},
		"broken intermediate":     {certificatePEM(top), []byte("x"), "no PEM block"},
		"too many of them":        {[]byte(strings.Repeat(string(certificatePEM(top)), 129)), nil, "more than 128"},
		"nothing":                 {nil, nil, "no PEM block"},
		"key instead of that":     {exampleKey(t), nil, "is no certificate"},
		"certificate and garbage": {append(certificatePEM(top), exampleKey(t)...), nil, "is no certificate"},
	} {
		_, err := trust.ParseAuthority("corp", row.roots, row.intermediates)
		if !errors.Is(err, trust.ErrInvalidCertificate) || !strings.Contains(err.Error(), row.want) || !strings.HasPrefix(err.Error(), "corp: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string][]byte{"without root": certificatePEM(middle), "impostor": certificatePEM(impostor, middle)} {
		if _, err := trust.ParseChain("corp", text); !errors.Is(err, trust.ErrInvalidCertificate) || !strings.Contains(err.Error(), `the root is missing; add the certificate of "CN=root"`) {
			t.Errorf("chain %s: %v", name, err)
		}
	}
	if _, err := trust.ParseChain("corp", certificatePEM(leaf, top)); !errors.Is(err, trust.ErrInvalidCertificate) {
		t.Errorf("chain with a leaf: %v", err)
	}
}

func TestDescribeAuthority(t *testing.T) {
	t.Parallel()
	top := issue(t, "root", nil, nil)
	middle := issue(t, "intermediate", top, func(c *x509.Certificate) { c.NotAfter = day })
	a, err := trust.ParseChain("corp", certificatePEM(top, middle))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		at       time.Time
		state    trust.State
		warnings int
	}{
		{day, trust.StateValid, 0},
		{day.Add(time.Second), trust.StateValid, 1},
		{day.Add(year + time.Second), trust.StateExpired, 2},
		{day.Add(-2 * year), trust.StateNotYet, 2},
	} {
		if s := a.Describe(row.at); s.State != row.state || len(s.Warnings) != row.warnings {
			t.Errorf("%s: %s, %q", row.at, s.State, s.Warnings)
		}
	}
	s := a.Describe(day)
	if s.Roots[0].Subject != "CN=root" || s.Roots[0].Fingerprint == s.Roots[0].Digest || s.Intermediates[0].Issuer != "CN=root" {
		t.Errorf("%+v", s)
	}
}

func FuzzParseChain(f *testing.F) {
	top := issue(f, "root", nil, nil)
	f.Add(certificatePEM(issue(f, "intermediate", top, nil), top))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := trust.ParseChain("fuzz", data)
		if err != nil {
			if !errors.Is(err, trust.ErrInvalidCertificate) {
				t.Fatal(err)
			}
			return
		}
		if len(a.Roots) == 0 {
			t.Fatal("an authority without a root was taken")
		}
		a.Describe(day)
	})
}
