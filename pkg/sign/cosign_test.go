package sign_test

import (
	"crypto/elliptic"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/modseal/modseal/pkg/internal/virtual"
	"github.com/modseal/modseal/pkg/sign"
)

// cosign returns the cosign of make peers, or that of PATH.
func cosign(t *testing.T) string {
	t.Helper()
	if name, err := filepath.Abs("../../bin/peers/cosign"); err == nil {
		if _, err := os.Stat(name); err == nil {
			return name
		}
	}
	name, err := exec.LookPath("cosign")
	if err != nil {
		t.Skip("cosign is neither in bin/peers (make peers) nor on PATH")
	}
	return name
}

func writeFile(t *testing.T, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// cosign accepts what each method makes in its form, offline, with a trusted root.
func TestCosignVerifies(t *testing.T) {
	t.Parallel()
	program := cosign(t)
	i := newInstance(t)
	corp := virtual.NewAuthority(t, "corp", time.Time{}, time.Time{})
	// A name with the characters of regular expressions.
	holder := corp.Issue(t, virtual.Leaf{URIs: []string{"https://corp.example/a.b+c(d)"}})
	key := load(t, pkcs8(t, ecKey(t, elliptic.P256())))
	certified, err := load(t, pkcs8(t, holder.Key)).WithCertificate(holder.PEM())
	if err != nil {
		t.Fatal(err)
	}
	options := i.options(t, true, 2)
	witness := func(s *sign.Signer) *sign.Signer {
		t.Helper()
		s, err := s.WithServices(options)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	keyless, err := sign.NewKeyless(t.Context(), sign.KeylessOptions{ServiceOptions: options, Token: i.token(t, "")})
	if err != nil {
		t.Fatal(err)
	}
	root := i.Root(t, virtual.RootOptions{})
	for name, row := range map[string]struct {
		signer *sign.Signer
		root   []byte
		args   []string
		wrong  []string // in place of the first two
	}{
		"key":     {witness(key), root, []string{"--key", writeFile(t, key.Public().PEM())}, []string{"--key", writeFile(t, certified.Public().PEM())}},
		"keyless": {keyless, root, []string{"--certificate-identity", ciSubject, "--certificate-oidc-issuer", ciIssuer}, []string{"--certificate-identity", ciSubject + "2"}},
		// The issuer that cosign insists on is Fulcio's to write: a certificate of a
		// site has none.
		"certificate": {witness(certified), withAuthority(t, root, corp), []string{
			"--certificate-identity", "https://corp.example/a.b+c(d)", "--certificate-oidc-issuer-regexp", ".*", "--insecure-ignore-sct",
		}, []string{"--certificate-identity", "https://corp.example/aXb+c(d)"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := row.signer.Sign(t.Context(), statementText, sign.FormCosign)
			if err != nil {
				t.Fatal(err)
			}
			bundle := []string{
				"verify-blob-attestation", "--bundle", writeFile(t, text), "--trusted-root", writeFile(t, row.root), "--use-signed-timestamps",
				"--type", "https://sigstore.dev/cosign/sign/v1", "--digest", strings.Repeat("ab", 32), "--digestAlg", "sha256",
			}
			verify := func(args ...string) ([]byte, error) {
				return exec.CommandContext(t.Context(), program, append(slices.Clone(bundle), args...)...).CombinedOutput()
			}
			if out, err := verify(row.args...); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			if out, err := verify(append(slices.Clone(row.wrong), row.args[2:]...)...); err == nil {
				t.Errorf("accepted of another signer\n%s", out)
			}
		})
	}
}

// withAuthority adds an authority with its intermediate to a trusted root.
func withAuthority(t *testing.T, data []byte, a *virtual.Authority) []byte {
	t.Helper()
	root := &prototrustroot.TrustedRoot{}
	if err := protojson.Unmarshal(data, root); err != nil {
		t.Fatal(err)
	}
	root.CertificateAuthorities = append(root.CertificateAuthorities, authorityOf(t, a))
	out, err := protojson.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func authorityOf(t *testing.T, a *virtual.Authority) *prototrustroot.CertificateAuthority {
	t.Helper()
	chain := &protocommon.X509CertificateChain{}
	for _, text := range [][]byte{a.Intermediate(), a.Root()} {
		block, _ := pem.Decode(text)
		chain.Certificates = append(chain.Certificates, &protocommon.X509Certificate{RawBytes: block.Bytes})
	}
	return &prototrustroot.CertificateAuthority{
		CertChain: chain, ValidFor: &protocommon.TimeRange{Start: timestamppb.New(a.RootCertificate().NotBefore)},
	}
}
