package sign_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/modseal/modseal/pkg/internal/virtual"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/trust"
)

func signatureVerifier(k trust.Key) (signature.Verifier, error) {
	return signature.LoadDefaultVerifier(k.Public)
}

func jsonText(t *testing.T, s string) string {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	authority := virtual.NewAuthority(t, "corp", time.Time{}, time.Time{})
	for curve, c := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()} {
		holder := authority.Issue(t, virtual.Leaf{CommonName: "release", Emails: []string{"release@corp.example"}, Curve: c})
		leaf, intermediate, anchor := block("CERTIFICATE", holder.Chain[0].Raw), authority.Intermediate(), authority.Root()
		for name, texts := range map[string][][]byte{
			"one text":                 {holder.PEM()},
			"with the root":            {holder.PEM(), anchor},
			"leaf and chain":           {leaf, append(bytes.Clone(intermediate), anchor...)},
			"leaf and chain with leaf": {leaf, append(bytes.Clone(holder.PEM()), anchor...)},
		} {
			s, err := load(t, pkcs8(t, holder.Key)).WithCertificate(texts...)
			if err != nil {
				t.Errorf("%s, %s: %v", curve, name, err)
				continue
			}
			who := s.Identity()
			if who.Method != sign.MethodCertificate || who.Subject != "release@corp.example" || !who.Key.Equal(s.Public()) || !who.Certificate.Equal(holder.Chain[0]) {
				t.Errorf("%s: identity is %+v", name, who)
			}
			for _, form := range []sign.Form{sign.FormCosign, sign.FormOMS} {
				text, err := s.Sign(t.Context(), statementText, form)
				if err != nil {
					t.Fatal(err)
				}
				b := parseBundle(t, text)
				chain, single := b.GetVerificationMaterial().GetX509CertificateChain().GetCertificates(), b.GetVerificationMaterial().GetCertificate()
				switch form {
				case sign.FormOMS:
					if len(chain) != 2 || !bytes.Equal(chain[0].RawBytes, holder.Chain[0].Raw) || !bytes.Equal(chain[1].RawBytes, holder.Chain[1].Raw) {
						t.Errorf("%s, %s: %d certificates", curve, name, len(chain))
					}
				case sign.FormCosign:
					if single == nil || !bytes.Equal(single.RawBytes, holder.Chain[0].Raw) {
						t.Errorf("%s, %s: no leaf", curve, name)
					}
				}
				signatureContent, err := b.SignatureContent()
				if err != nil {
					t.Fatal(err)
				}
				verificationContent, err := b.VerificationContent()
				if err != nil {
					t.Fatal(err)
				}
				if err := verify.VerifySignature(signatureContent, verificationContent, &root.BaseTrustedMaterial{}); err != nil {
					t.Errorf("%s, %s: %v", curve, name, err)
				}
			}
		}
	}
}

func TestWitnessedCertificate(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	corp := virtual.NewAuthority(t, "corp", time.Time{}, time.Time{})
	for version, curve := range map[uint32]elliptic.Curve{1: elliptic.P256(), 2: elliptic.P384()} {
		holder := corp.Issue(t, virtual.Leaf{URIs: []string{"https://corp.example/release"}, Curve: curve})
		s, err := load(t, pkcs8(t, holder.Key)).WithCertificate(holder.PEM())
		if err != nil {
			t.Fatal(err)
		}
		if s, err = s.WithServices(i.options(t, true, version)); err != nil {
			t.Fatal(err)
		}
		text, err := s.Sign(t.Context(), statementText, sign.FormOMS)
		if err != nil {
			t.Fatal(err)
		}
		b := parseBundle(t, text)
		if _, err := verify.VerifyTlogEntry(b, i.root.Material(), 1, true); err != nil {
			t.Errorf("log %d: %v", version, err)
		}
		if _, err := verify.VerifySignedTimestampWithThreshold(b, i.root.Material(), 1); err != nil {
			t.Errorf("log %d: %v", version, err)
		}
	}
}

func TestCertificateRefuses(t *testing.T) {
	t.Parallel()
	now := time.Now()
	corp := virtual.NewAuthority(t, "corp", time.Time{}, time.Time{})
	ended := virtual.NewAuthority(t, "ended", now.AddDate(-2, 0, 0), now.AddDate(-1, 0, 0))
	other := virtual.NewAuthority(t, "other", time.Time{}, time.Time{})
	holder := corp.Issue(t, virtual.Leaf{Emails: []string{"a@b.c"}})
	leaf := block("CERTIFICATE", holder.Chain[0].Raw)
	of := func(a *virtual.Authority, l virtual.Leaf) ([]byte, []byte) {
		h := a.Issue(t, l)
		return pkcs8(t, h.Key), h.PEM()
	}
	row := func(key []byte, says string, texts ...[]byte) struct {
		key   []byte
		texts [][]byte
		says  string
	} {
		return struct {
			key   []byte
			texts [][]byte
			says  string
		}{key, texts, says}
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	key := pkcs8(t, holder.Key)
	expiredKey, expired := of(corp, virtual.Leaf{NotBefore: now.AddDate(0, -2, 0), NotAfter: now.AddDate(0, -1, 0)})
	earlyKey, early := of(corp, virtual.Leaf{NotBefore: now.AddDate(0, 1, 0), NotAfter: now.AddDate(0, 2, 0)})
	serverKey, server := of(corp, virtual.Leaf{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	agreeKey, agree := of(corp, virtual.Leaf{KeyUsage: x509.KeyUsageKeyAgreement})
	noneKey, none := of(corp, virtual.Leaf{NoUsage: true})
	endedKey, endedChain := of(ended, virtual.Leaf{})
	caKey := ecKey(t, elliptic.P256())
	for name, row := range map[string]struct {
		key   []byte
		texts [][]byte
		says  string
	}{
		"nothing":             row(key, "none was given"),
		"no PEM":              row(key, "no PEM block", []byte("hello")),
		"a key":               row(key, "is no certificate", key),
		"another key's":       row(pkcs8(t, ecKey(t, elliptic.P256())), "another key", holder.PEM()),
		"root first":          row(key, "number 3 of 3", join(corp.Root(), corp.Intermediate(), leaf)),
		"out of order":        row(key, "is a root", join(leaf, corp.Root(), corp.Intermediate())),
		"another authority":   row(key, "did not issue", join(leaf, other.Intermediate())),
		"intermediate absent": row(key, "did not issue", join(leaf, corp.Root())),
		"after the root":      row(key, "is a root", join(leaf, corp.Intermediate(), corp.Root(), other.Root())),
		"root twice":          row(key, "is a root", join(leaf, corp.Intermediate(), corp.Root(), corp.Root())),
		"too many":            row(key, "more than", join(leaf, bytes.Repeat(corp.Intermediate(), 20))),
		"expired":             row(expiredKey, "expired", expired),
		"not valid yet":       row(earlyKey, "valid only from", early),
		"issuer expired":      row(endedKey, "ended intermediate expired", endedChain),
		"for servers":         row(serverKey, "codeSigning", server),
		"for agreement":       row(agreeKey, "digitalSignature", agree),
		"for nothing":         row(noneKey, "neither", none),
		"of an authority":     row(pkcs8(t, caKey), "CA:TRUE", selfSignedAuthority(t, caKey)),
	} {
		_, err := load(t, row.key).WithCertificate(row.texts...)
		if !errors.Is(err, sign.ErrCertificate) || !strings.Contains(err.Error(), row.says) || !strings.Contains(err.Error(), "test.key") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func selfSignedAuthority(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return block("CERTIFICATE", der)
}

// A certificate that ends while a model is uploaded signs nothing any more.
func TestCertificateEndsBeforeSigning(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	holder := virtual.NewAuthority(t, "corp", time.Time{}, time.Time{}).Issue(t, virtual.Leaf{NotAfter: time.Now().Add(time.Hour)})
	s, err := load(t, pkcs8(t, holder.Key)).WithCertificate(holder.PEM())
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{}
	o := i.options(t, true, 1)
	o.Now = c.now
	if s, err = s.WithServices(o); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sign(t.Context(), statementText, sign.FormOMS); err != nil {
		t.Fatal(err)
	}
	c.move(2 * time.Hour)
	if _, err := s.Sign(t.Context(), statementText, sign.FormOMS); !errors.Is(err, sign.ErrCertificate) || !strings.Contains(err.Error(), "expired") {
		t.Error(err)
	}
}
