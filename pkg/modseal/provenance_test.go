//go:build unix

package modseal

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/provenance"
)

func dependenciesOf(t *testing.T, predicate []byte) []provenance.Resource {
	t.Helper()
	var p provenance.Predicate
	if err := json.Unmarshal(predicate, &p); err != nil {
		t.Fatal(err)
	}
	return p.BuildDefinition.ResolvedDependencies
}

// Where things lie on this machine is nobody's business: of a layout, an archive and
// a file the digest alone is told.
func TestProvenanceTellsNoPathOfThisMachine(t *testing.T) {
	c, base, _, _ := signedModel(t)
	l, err := c.openTarget(t.Context(), base)
	if err != nil {
		t.Fatal(err)
	}
	desc, err := l.Resolve(t.Context(), l.Reference)
	if err != nil {
		t.Fatal(err)
	}
	dir := writeTree(t, map[string]string{"config.json": "{}", "repo/.git/HEAD": strings.Repeat("a", 40), "data.csv": "a,b\n"})
	res, err := c.Provenance(t.Context(), "dir:"+dir, ProvenanceOptions{
		BaseModels: []string{base}, Datasets: []string{filepath.Join(dir, "data.csv")}, Source: filepath.Join(dir, "repo"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []provenance.Resource{
		{Name: "source", Digest: map[string]string{"gitCommit": strings.Repeat("a", 40)}, Annotations: map[string]any{"workTree": "not compared with the commit"}},
		{Name: "base-model", Digest: map[string]string{"sha256": desc.Digest.Encoded()}, MediaType: desc.MediaType},
		{Name: "dataset", Digest: map[string]string{"sha256": digest.FromString("a,b\n").Encoded()}, Annotations: map[string]any{"reference": "data.csv"}},
	}
	if diff := cmp.Diff(want, dependenciesOf(t, res.Predicate)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, path := range []string{dir, strings.TrimSuffix(strings.TrimPrefix(base, "oci:"), ":v1"), os.TempDir()} {
		if strings.Contains(string(res.Predicate), path) {
			t.Errorf("%s is told in %s", path, res.Predicate)
		}
	}
}

// From the directory, from a layout and while it is pushed the same is said.
func TestProvenanceIsTheSameFromEverywhere(t *testing.T) {
	private, _ := plainKey(t)
	c := newClient(t)
	_, layout := newLayout(t)
	dir := writeTree(t, map[string]string{
		"config.json": "{}", "trainer_state.json": `{"global_step": 3}`, "README.md": "---\nbase_model: [a/b, c/d]\ndatasets: [e/f]\n---\n",
	})
	sign := SignOptions{Key: private, Password: password}
	o := ProvenanceOptions{Parameters: map[string]string{"epochs": "3"}}
	pushed, err := c.Push(t.Context(), dir, layout+":v1", PackOptions{Signer: &sign, Say: []Saying{SayProvenance(o)}})
	if err != nil {
		t.Fatal(err)
	}
	if last := pushed.Signatures[len(pushed.Signatures)-1]; last.PredicateType != artifacttypes.PredicateSLSAProvenanceV1 {
		t.Errorf("signed: %+v", pushed.Signatures)
	}
	attached, err := c.AttachedProvenance(t.Context(), layout+":v1", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{dir, layout + ":v1"} {
		res, err := c.Provenance(t.Context(), target, o)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(attached.Claims[0].Predicate), string(res.Predicate)); diff != "" {
			t.Errorf("%s: -attached +made:\n%s", target, diff)
		}
	}
	o.Attach = &sign
	res, err := c.Provenance(t.Context(), layout+":v1", o)
	if err != nil || !res.Attestation.Existed {
		t.Errorf("the same again: %+v, %v", res, err)
	}
}

func TestProvenanceRefuses(t *testing.T) {
	c := newClient(t)
	dir := writeTree(t, map[string]string{"config.json": "{}"})
	private, _ := plainKey(t)
	for name, row := range map[string]struct {
		o    ProvenanceOptions
		want string
	}{
		"a base model that is none":     {ProvenanceOptions{BaseModels: []string{"a b"}}, "no name of a model"},
		"a base model that is a path":   {ProvenanceOptions{BaseModels: []string{"./model"}}, "no name of a model"},
		"a registry without a tag":      {ProvenanceOptions{BaseModels: []string{"localhost:1/base"}}, "no tag or digest"},
		"a digest of the wrong length":  {ProvenanceOptions{Datasets: []string{"https://example.com/d@sha256:0123456789"}}, "has not 10 digits"},
		"a directory of data":           {ProvenanceOptions{Datasets: []string{dir}}, "no regular file"},
		"an own one that is none":       {ProvenanceOptions{Predicate: strings.NewReader("[]")}, "not an object"},
		"an own one of another type":    {ProvenanceOptions{Predicate: strings.NewReader("{}"), PredicateType: "cyclonedx"}, "bomFormat"},
		"attaching to a directory":      {ProvenanceOptions{Attach: &SignOptions{Key: private}}, "is a directory"},
		"a builder that is no URI":      {ProvenanceOptions{BuilderID: "me"}, "builder.id"},
		"a job that contradicts itself": {ProvenanceOptions{Getenv: func(n string) string { return map[string]string{"GITLAB_CI": "true"}[n] }}, "CI_PROJECT_URL is not set"},
	} {
		res, err := c.Provenance(t.Context(), dir, row.o)
		if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), row.want) || res != nil {
			t.Errorf("%s: %+v, %v", name, res, err)
		}
	}
	if err := SayProvenance(ProvenanceOptions{}).prepare(t.Context(), c, nil, false); !errors.Is(err, ErrUsage) {
		t.Errorf("unsigned: %v", err)
	}
}

func TestIsArtifactName(t *testing.T) {
	for text, want := range map[string]bool{
		"registry.example.com/a:v1": true, "localhost/a:v1": true, "localhost:5000/a@sha256:00": true, "oci:./l:v1": true,
		"archive:f.tar": true, "oci://registry.example.com/a:v1": true,
		"org/name": false, "org/name@v1.2": false, "gpt2": false, "./a.b/c": false, "../a/b": false, "/a.b/c": false,
		"https://example.com/a": false, "pkg:huggingface/a/b": false, "git+https://example.com/a": false, "s3://bucket/a": false, "": false, ".": false,
	} {
		if got := isArtifactName(text); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// What a claim says is told in one line that no terminal obeys, whatever it is.
func TestTreeSaysWhatClaimsSay(t *testing.T) {
	c, target, private, public := signedModel(t)
	const bom = `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"type":"file","name":"a"},{"type":"file","name":"b"}]}`
	const hostile = `{"buildDefinition":{"buildType":"https://example.com/b","externalParameters":{},"resolvedDependencies":[` +
		`{"name":"source","uri":"git+https://example.com/\u001b[2J\u202Er@main","digest":{"gitCommit":"00"}}]},` +
		`"runDetails":{"builder":{"id":"https://example.com/ci"}}}`
	for predicateType, predicate := range map[string]string{"cyclonedx": bom, "slsaprovenance1": hostile, evaluation: `{"a":1}`} {
		if _, err := c.Attest(t.Context(), target, attestWith(private, predicateType, predicate)); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := c.Tree(t.Context(), target, TreeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	says := map[string]string{}
	for _, n := range tree.Referrers {
		says[n.PredicateType] = n.Says
		if n.Verification != nil || n.Unsigned {
			t.Errorf("%s: nobody was named: %+v", n.Claim, n)
		}
		if n.ClaimedBy == "" && n.Claim != "OMS signature of the files" {
			t.Errorf("%s is by nobody", n.Claim)
		}
		if strings.ContainsFunc(n.Says, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q is not harmless", n.Says)
		}
	}
	want := map[string]string{
		artifacttypes.PredicateCosignSign: "", artifacttypes.PredicateOMS: "", evaluation: "",
		artifacttypes.PredicateCycloneDX:        "CycloneDX 1.6, 2 components",
		artifacttypes.PredicateSLSAProvenanceV1: "built by https://example.com/ci from git+https://example.com/[2Jr@main commit 00",
	}
	if diff := cmp.Diff(want, says); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	shown, err := c.AttachedProvenance(t.Context(), target, &TrustOptions{Keys: []string{public}})
	if err != nil || len(shown.Claims) != 1 || !shown.Claims[0].Verification.Verified {
		t.Errorf("shown: %+v, %v", shown, err)
	}
}

// Provenance of another model that somebody attached is not that of this one.
func TestAttachedProvenanceIsOfThisModel(t *testing.T) {
	c, target, private, _ := signedModel(t)
	const predicate = `{"buildDefinition":{"buildType":"https://example.com/b","externalParameters":{"a":1}},"runDetails":{"builder":{"id":"https://example.com/ci"}}}`
	if _, err := c.Attest(t.Context(), target, attestWith(private, "slsaprovenance1", predicate)); err != nil {
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
	evidence, err := a.evidence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	types := []string{artifacttypes.PredicateSLSAProvenanceV1}
	found := 0
	for _, e := range evidence {
		if _, ok := readAttached(a, e, types); ok {
			found++
		}
		other := *a
		other.descriptor.Digest = "sha256:" + "00" + a.descriptor.Digest[len("sha256:")+2:]
		if claim, ok := readAttached(&other, e, types); ok {
			t.Errorf("taken for that of another model: %+v", claim)
		}
	}
	if found != 1 {
		t.Errorf("found %d", found)
	}
}
