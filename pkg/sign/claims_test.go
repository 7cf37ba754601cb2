package sign_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/internal/virtual"
	"github.com/modseal/modseal/pkg/sign"
)

func TestReadClaims(t *testing.T) {
	t.Parallel()
	c, err := sign.ReadClaims(virtual.Token(t, map[string]any{"iss": "https://i", "sub": "s", "email": "a@b.c", "aud": []string{"x", "sigstore"}, "exp": 1700000000.5, "nbf": 1e300}))
	if err != nil {
		t.Fatal(err)
	}
	if c.Issuer != "https://i" || c.Subject != "s" || c.Email != "a@b.c" || !slices.Equal(c.Audience, []string{"x", "sigstore"}) || c.Expires.Unix() != 1700000000 || !c.NotBefore.IsZero() {
		t.Errorf("%+v", c)
	}
	if one, err := sign.ReadClaims(virtual.Token(t, map[string]any{"aud": "sigstore"})); err != nil || !slices.Equal(one.Audience, []string{"sigstore"}) {
		t.Error(one, err)
	}
	now := time.Unix(1700000000, 0)
	for add, ok := range map[time.Duration]bool{0: true, 30 * time.Second: true, 2 * time.Minute: false, -time.Hour: true} {
		if err := c.CheckTime(now.Add(add)); (err == nil) != ok || err != nil && !errors.Is(err, sign.ErrToken) {
			t.Errorf("%s: %v", add, err)
		}
	}
	for name, token := range map[string]string{
		"empty": "", "two parts": "a.b", "four parts": "a.b.c.d", "empty part": "a..c", "no base64": "a.!.c",
		"no JSON": "a.aGVsbG8.c", "audience": virtual.Token(t, map[string]any{"aud": 1}), "too long": strings.Repeat("a", limits.TokenBytes+1),
	} {
		_, err := sign.ReadClaims(token)
		if !errors.Is(err, sign.ErrToken) {
			t.Errorf("%s: %v", name, err)
		} else if token != "" && strings.Contains(err.Error(), token) {
			t.Errorf("%s: %v shows the token", name, err)
		}
	}
}

func FuzzReadClaims(f *testing.F) {
	f.Add("a.aGVsbG8.c")
	f.Add("e30.eyJpc3MiOiJpIiwic3ViIjoicyIsImF1ZCI6WyJhIl0sImV4cCI6MWUzMDB9.c2ln")
	f.Fuzz(func(t *testing.T, token string) {
		c, err := sign.ReadClaims(token)
		if err != nil {
			if !errors.Is(err, sign.ErrToken) {
				t.Error(err)
			}
			return
		}
		_ = c.String()
		_ = c.CheckTime(time.Unix(0, 0))
	})
}

func TestReferences(t *testing.T) {
	t.Parallel()
	for text, is := range map[string]bool{
		"awskms:///alias/x": true, "k8s://ns/name": true, "pkcs11:token=t;object=o": true, "PKCS11:token=t": true, "https://x/k": true, "own+kms://x": true,
		"release.key": false, "./a://b": false, "C:\\keys\\release.key": false, "/keys/k": false, "": false, "pkcs11": false,
	} {
		if sign.IsReference(text) != is {
			t.Errorf("%q: %t", text, !is)
		}
	}
	for text, want := range map[string]string{
		"pkcs11:token=t;object=o?module-path=/m&pin-value=1234": "pkcs11:token=t;object=o?module-path=/m&pin-value=…",
		"pkcs11:token=t?pin-value=12%2034;module-path=/m":       "pkcs11:token=t?pin-value=…;module-path=/m",
		"awskms:///alias/pin-value=1":                           "awskms:///alias/pin-value=1",
	} {
		if got := sign.Redact(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	err := sign.NewReferenceError("pkcs11:token=t?pin-value=1234", "do this", sign.ErrKey)
	if !errors.Is(err, sign.ErrKey) || strings.Contains(err.Error(), "1234") || !strings.Contains(err.Error(), "do this") {
		t.Error(err)
	}
}

func TestSignersShowNoPIN(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sign.FromSigner("pkcs11:token=t;object=o?pin-value=1234&module-path=/m", key.Public(), func(context.Context, []byte) ([]byte, error) {
		return nil, errors.New("locked")
	})
	if err != nil {
		t.Fatal(err)
	}
	if name := s.Identity().String(); strings.Contains(name, "1234") || !strings.Contains(name, "object=o") {
		t.Errorf("signs as %s", name)
	}
	if _, err := s.Sign(t.Context(), statementText, sign.FormCosign); err == nil || strings.Contains(err.Error(), "1234") {
		t.Error(err)
	}
	if _, err := sign.FromSigner("pkcs11:token=t?pin-value=1234", "no key", nil); !errors.Is(err, sign.ErrKey) || strings.Contains(err.Error(), "1234") {
		t.Error(err)
	}
}
