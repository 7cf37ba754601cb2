//go:build unix

package modseal

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/referrer"
)

const evaluation = "https://example.com/evaluation/v1"

// signedModel is a model in a layout, signed by a key.
func signedModel(t *testing.T) (c *Client, target, private, public string) {
	t.Helper()
	_, layout := newLayout(t)
	private, public = plainKey(t)
	c, target = newClient(t), layout+":v1"
	if _, err := c.Push(t.Context(), makeModel(t), target, PackOptions{Set: map[string]string{"version": "1.0.0"}, Signer: &SignOptions{Key: private, Password: password}}); err != nil {
		t.Fatal(err)
	}
	return c, target, private, public
}

// plainKey is a key without a password, which takes no second to load.
func plainKey(t *testing.T) (private, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	private, public = filepath.Join(t.TempDir(), "key.pem"), filepath.Join(t.TempDir(), "key.pub")
	for file, block := range map[string]*pem.Block{private: {Type: "PRIVATE KEY", Bytes: secret}, public: {Type: "PUBLIC KEY", Bytes: shown}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return private, public
}

func attestWith(key, predicateType, predicate string) AttestOptions {
	return AttestOptions{Sign: SignOptions{Key: key, Password: password}, PredicateType: predicateType, Predicate: strings.NewReader(predicate)}
}

func TestTheSameClaimIsAttachedOnce(t *testing.T) {
	c, target, private, _ := signedModel(t)
	other, _ := plainKey(t)
	seen := map[string]string{}
	for _, row := range []struct {
		key, predicateType, predicate, like string // like: the earlier claim that it is
	}{
		{private, evaluation, `{"a":1}`, ""},
		{private, evaluation, ` {"a":1}` + "\n", `{"a":1}`}, // space around it is not part of it
		{private, evaluation, `{"a":2}`, ""},
		{private, evaluation, `{"a":1.0}`, ""}, // another text is another claim
		{private, evaluation + "1", `{"a":3}`, ""},
		{private, "custom", `{"a":4}`, ""},
		{private, artifacttypes.PredicateCustom, `{"a":4}`, `{"a":4}`}, // the name of the type stands for it
		{private, evaluation, `{"a":2}`, `{"a":2}`},
	} {
		res, err := c.Attest(t.Context(), target, attestWith(row.key, row.predicateType, row.predicate))
		if err != nil {
			t.Fatal(err)
		}
		if res.Attestation.Existed != (row.like != "") || row.like != "" && res.Attestation.Digest != seen[row.like] {
			t.Errorf("%s %s: %+v", row.predicateType, row.predicate, res.Attestation)
		}
		seen[row.predicate] = res.Attestation.Digest
	}
	res, err := c.Attest(t.Context(), target, attestWith(other, evaluation, `{"a":1}`))
	if err != nil || res.Attestation.Existed {
		t.Errorf("by another key: %+v, %v", res, err)
	}
}

// A bundle that claims the same and does not verify must not keep the claim from
// being made.
func TestAClaimThatDoesNotVerifyIsMadeAgain(t *testing.T) {
	c, target, private, _ := signedModel(t)
	if _, err := c.Attest(t.Context(), target, attestWith(private, evaluation, `{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	l, err := c.openTarget(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	a, err := l.resolve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The same model again, to which only a broken copy of the bundle is attached.
	_, layout := newLayout(t)
	if _, err := c.Copy(t.Context(), target, layout+":v1", CopyOptions{WithoutReferrers: true}); err != nil {
		t.Fatal(err)
	}
	evidence, err := a.evidence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	to, err := c.openTarget(t.Context(), layout+":v1")
	if err != nil {
		t.Fatal(err)
	}
	broken := 0
	for _, e := range evidence {
		before, after, found := strings.Cut(string(e.Bundle), `"sig":"ME`)
		if !found {
			t.Fatalf("no signature in %s", e.Bundle)
		}
		if _, err := referrer.Attach(t.Context(), to.repository, a.descriptor, referrer.Attachment{
			ArtifactType: artifacttypes.MediaTypeBundle, Blob: []byte(before + `"sig":"AA` + after),
		}); err != nil {
			t.Fatal(err)
		}
		broken++
	}
	res, err := c.Attest(t.Context(), layout+":v1", attestWith(private, evaluation, `{"a":1}`))
	if err != nil || res.Attestation.Existed || broken == 0 {
		t.Errorf("%d broken; %+v, %v", broken, res, err)
	}
}

type endless struct{ read int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.read += int64(len(p))
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestAttestRefuses(t *testing.T) {
	c, target, private, _ := signedModel(t)
	for name, row := range map[string]struct {
		target, predicateType, predicate string
		class                            Class
		says                             string
	}{
		"a signature's type": {target, artifacttypes.PredicateCosignSign, "{}", ClassUsage, "modseal sign"},
		"the type of OMS":    {target, artifacttypes.PredicateOMS, "{}", ClassUsage, "modseal sign"},
		"an unknown name":    {target, "sbom", "{}", ClassUsage, "cyclonedx"},
		"no JSON":            {target, evaluation, "a: 1", ClassUsage, "not JSON"},
		"nothing":            {target, evaluation, "", ClassUsage, "empty"},
		"a key twice":        {target, evaluation, `{"a":1,"a":1}`, ClassUsage, "twice"},
		"half a provenance":  {target, "slsaprovenance1", `{"buildDefinition":{}}`, ClassUsage, "buildDefinition.buildType"},
		"a directory":        {"./model", evaluation, "{}", ClassUsage, "directory"},
		"no tag":             {strings.TrimSuffix(target, ":v1"), evaluation, "{}", ClassUsage, "no tag"},
		"a tag that is none": {strings.TrimSuffix(target, "v1") + "v2", evaluation, "{}", ClassNotFound, "v2"},
	} {
		_, err := c.Attest(t.Context(), row.target, attestWith(private, row.predicateType, row.predicate))
		if ClassOf(err) != row.class || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: class %d, %v", name, ClassOf(err), err)
		}
	}
	e := &endless{}
	o := attestWith(private, evaluation, "")
	o.Predicate = e
	if _, err := c.Attest(t.Context(), target, o); ClassOf(err) != ClassUsage || e.read > limits.PredicateBytes+64<<10 {
		t.Errorf("without end: %v after %d bytes", err, e.read)
	}
	broken := errors.New("the pipe broke")
	o.Predicate = io.MultiReader(strings.NewReader(`{"a":`), errorReader{broken})
	if _, err := c.Attest(t.Context(), target, o); !errors.Is(err, broken) {
		t.Errorf("a broken pipe: %v", err)
	}
	tree, err := c.Tree(t.Context(), target, TreeOptions{})
	if err != nil || len(tree.Referrers) != 2 {
		t.Errorf("something was attached: %+v, %v", tree, err)
	}
}

type errorReader struct{ err error }

func (e errorReader) Read([]byte) (int, error) { return 0, e.err }

func TestTreeSaysWhoClaims(t *testing.T) {
	c, target, private, public := signedModel(t)
	other, otherPublic := plainKey(t)
	for _, o := range []AttestOptions{
		attestWith(private, evaluation, `{"a":1}`),
		attestWith(other, "cyclonedx", `{"bomFormat":"CycloneDX","specVersion":"1.6"}`),
	} {
		if _, err := c.Attest(t.Context(), target, o); err != nil {
			t.Fatal(err)
		}
	}
	claims := func(o TreeOptions) map[string]*TreeNode {
		t.Helper()
		root, err := c.Tree(t.Context(), target, o)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]*TreeNode{}
		for _, n := range root.Referrers {
			out[n.Claim] = n
		}
		if len(root.Referrers) != 4 || len(out) != 4 {
			t.Fatalf("%+v", out)
		}
		return out
	}
	for claim, n := range claims(TreeOptions{}) {
		if n.Verification != nil {
			t.Errorf("%s: verified by nobody: %+v", claim, n.Verification)
		}
	}
	for claim, n := range claims(TreeOptions{Trust: &TrustOptions{Keys: []string{public}}}) {
		v := n.Verification
		mine := claim != "CycloneDX SBOM"
		if v == nil || v.Verified != mine || mine && (v.Signer != public || v.Fingerprint == "" || v.Why != "") || !mine && (v.Why == "" || v.Signer != "") {
			t.Errorf("%s: %+v", claim, v)
		}
	}
	// Whoever a policy names, for whatever: here the other key only attests.
	file := filepath.Join(t.TempDir(), "policy.yaml")
	text := `version: 1
default: reject
scopes:
  - prefix: '*'
    requirements:
      - signature: {signers: [{name: release, key: ` + public + `}]}
      - attestation: {predicateType: https://example.com/never, signers: [{name: ci, key: ` + otherPublic + `}]}
`
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for claim, n := range claims(TreeOptions{Trust: policyTrust(file)}) {
		want := "release"
		if claim == "CycloneDX SBOM" {
			want = "ci"
		}
		if v := n.Verification; v == nil || !v.Verified || v.Signer != want {
			t.Errorf("%s: %+v", claim, v)
		}
	}
	if _, err := c.Tree(t.Context(), target, TreeOptions{Trust: &TrustOptions{}}); ClassOf(err) != ClassUndecided {
		t.Errorf("nobody to trust: %v", err)
	}
}

// A statement about other files is signed well, and not of this model.
func TestTreeOfMovedClaims(t *testing.T) {
	c, target, _, public := signedModel(t)
	layout, moved := newLayout(t)
	if _, err := c.Copy(t.Context(), target, moved+":good", CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	evil := putModel(t, layout, tarOf(t, "config.json", "evil"), "evil")
	moveBundles(t, layout, "good", evil)
	root, err := c.Tree(t.Context(), moved+":evil", TreeOptions{Trust: &TrustOptions{Keys: []string{public}}})
	if err != nil || len(root.Referrers) == 0 {
		t.Fatalf("%+v, %v", root, err)
	}
	for _, n := range root.Referrers {
		// An OMS statement fits a tar of anything until the tar is looked into,
		// which a tree does not.
		if v := n.Verification; n.Claim == "signature" && (v == nil || v.Verified || !strings.Contains(v.Why, "something else")) {
			t.Errorf("%s: %+v", n.Claim, v)
		}
	}
}

func TestClaimName(t *testing.T) {
	t.Parallel()
	for predicateType, want := range map[string]string{
		artifacttypes.PredicateCosignSign:       "signature",
		artifacttypes.PredicateOMS:              "OMS signature of the files",
		artifacttypes.PredicateSLSAProvenanceV1: "SLSA provenance",
		artifacttypes.PredicateSPDX:             "SPDX SBOM",
		artifacttypes.PredicateSPDX3:            "SPDX 3 SBOM",
		evaluation:                              "attestation",
	} {
		if got := ClaimName(predicateType); got != want {
			t.Errorf("%s: %q", predicateType, got)
		}
	}
}

func policyTrust(file string) *TrustOptions { return &TrustOptions{PolicyFiles: []string{file}} }
