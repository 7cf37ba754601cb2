//go:build unix

package modseal

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/referrer"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/verify"
)

const promoterID = "https://promoter.example.com/prod"

// promoted attaches a verification summary of the model in a layout, by private.
func promoted(t *testing.T, c *Client, target, private string) (*artifact, *statement.VSA) {
	t.Helper()
	l, err := c.openTarget(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	a, err := l.resolve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v := &statement.VSA{
		Verifier: promoterID, TimeVerified: time.Now().UTC().Truncate(time.Second),
		Resource: statement.ResourceURI(a.Scope(), a.descriptor.Digest), Policy: statement.ResourceDescriptor{URI: "prod.yaml"},
		Result: statement.ResultPassed, Levels: []string{statement.LevelUnevaluated},
	}
	predicate, err := v.Predicate()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Attest(t.Context(), target, attestWith(private, "vsa", string(predicate))); err != nil {
		t.Fatal(err)
	}
	return a, v
}

// What a promoter has said of a layout, a policy beside it accepts, and the tree
// tells it.
func TestVSAOfALayout(t *testing.T) {
	t.Parallel()
	c, target, private, public := signedModel(t)
	_, v := promoted(t, c, target, private)
	file := filepath.Join(t.TempDir(), "policy.yaml")
	text := fmt.Sprintf("version: 1\ndefault: reject\nscopes:\n- prefix: 'oci:'\n  requirements:\n  - vsa: {maxAge: 1h, verifiers: [{id: %q, signers: [{name: promoter, key: %q}]}]}\n", promoterID, public)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	res, err := c.Verify(t.Context(), target, *policyTrust(file))
	if err != nil {
		t.Fatal(err)
	}
	told := *verify.NewSummary(v)
	requirements := res.Verification.Requirements
	if len(requirements) == 0 || requirements[0].Kind != verify.KindVSA {
		t.Fatalf("%+v", requirements)
	}
	found := false
	for _, e := range requirements[0].Evidence {
		if e.Outcome == verify.Counted {
			found = e.Summary.String() == told.String() && e.Signer == "promoter"
		}
	}
	if !found {
		t.Errorf("%+v", requirements[0])
	}
	tree, err := c.Tree(t.Context(), target, TreeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	summaries := 0
	for _, n := range tree.Referrers {
		if n.Summary == nil {
			continue
		}
		summaries++
		if n.Summary.String() != told.String() || n.Claim != "verification summary" || n.PredicateType != artifacttypes.PredicateVSA || n.Problem != "" {
			t.Errorf("%+v", n)
		}
	}
	if summaries != 1 {
		t.Errorf("%d summaries", summaries)
	}
}

// The summary that a signer has attached is recognised as its own, and neither
// that of another verifier nor one for another place.
func TestVSAOfTheSigner(t *testing.T) {
	t.Parallel()
	c, target, private, _ := signedModel(t)
	a, v := promoted(t, c, target, private)
	s, err := c.signer(t.Context(), &SignOptions{Key: private, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	evidence, err := a.evidence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	decide := func(id, scope string) error {
		ruling, ok := s.recognised()
		if !ok {
			t.Fatal("nothing can tell")
		}
		ruling.Rules.Requirements = []policy.Requirement{{VSA: &policy.VSARequirement{
			Verifiers: []policy.Verifier{{ID: id, Signers: ruling.Rules.Signers()}}, Threshold: 1, Resource: policy.Resources{Here: true},
		}}}
		subject := a.subject()
		subject.Name = scope
		_, err := verify.Verify(t.Context(), subject, evidence, ruling)
		return err
	}
	if err := decide(promoterID, a.Scope()); err != nil {
		t.Error(err)
	}
	if err := decide("https://promoter.example.com/test", a.Scope()); ClassOf(err) != ClassRefused {
		t.Errorf("as another verifier: %v", err)
	}
	if err := decide(promoterID, "registry.example.com/team/demo"); ClassOf(err) != ClassRefused {
		t.Errorf("in another place: %v", err)
	}
	for _, e := range evidence {
		if got, err := statement.ParseVSA(claimedPayload(e.Bundle)); err == nil && !got.Same(v) {
			t.Errorf("%+v is another claim than %+v", got, v)
		}
	}
}

// What cannot be read as a summary is a problem of that node, and of no other.
func TestTreeOfASummaryThatIsNone(t *testing.T) {
	t.Parallel()
	c, target, private, _ := signedModel(t)
	a, _ := promoted(t, c, target, private)
	payload := fmt.Sprintf(`{"_type":%q,"subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{"verifier":{"id":"\u001b[31m"}}}`,
		artifacttypes.StatementTypeV1, a.descriptor.Digest.Encoded(), artifacttypes.PredicateVSA)
	bundle := fmt.Sprintf(`{"mediaType":%q,"dsseEnvelope":{"payload":%q,"payloadType":%q,"signatures":[{"sig":"AA=="}]}}`,
		artifacttypes.MediaTypeBundle, base64.StdEncoding.EncodeToString([]byte(payload)), artifacttypes.PayloadTypeInToto)
	if _, err := referrer.Attach(t.Context(), a.repository, a.descriptor, referrer.Attachment{
		ArtifactType: artifacttypes.MediaTypeBundle, MediaType: artifacttypes.MediaTypeBundle, Blob: []byte(bundle),
	}); err != nil {
		t.Fatal(err)
	}
	tree, err := c.Tree(t.Context(), target, TreeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	problems, summaries := 0, 0
	for _, n := range tree.Referrers {
		if n.Summary != nil {
			summaries++
		}
		if n.Problem == "" {
			continue
		}
		problems++
		if n.Summary != nil || n.Claim != "verification summary" || !strings.Contains(n.Problem, "resourceUri is missing") {
			t.Errorf("%+v", n)
		}
	}
	if problems != 1 || summaries != 1 {
		t.Errorf("%d problems, %d summaries", problems, summaries)
	}
}
