package modseal

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/promotion"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/store"
	"github.com/modseal/modseal/pkg/transfer"
	"github.com/modseal/modseal/pkg/verify"
)

// What was not accepted is neither copied nor tagged, whatever else is right.
func TestPromotedIsAccepted(t *testing.T) {
	ctx := context.Background()
	c, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	from, err := store.Create(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	manifest, desc := smallModel(t, from)
	to, err := c.open(ctx, Target{Kind: KindLayout, Path: t.TempDir(), Reference: "v1"}, true)
	if err != nil {
		t.Fatal(err)
	}
	graph, err := transfer.Survey(ctx, from, desc, transfer.SurveyOptions{Referrers: true})
	if err != nil {
		t.Fatal(err)
	}
	skipped, err := verify.SkipUnsafe(ctx, verify.Subject{Name: "oci:/x", Descriptor: desc, Manifest: manifest})
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]verify.Verified{"nothing": {}, "skipped": skipped} {
		if _, err := c.carry(ctx, v, graph, to, CopyOptions{}); err == nil {
			t.Errorf("%s: it was copied", name)
		}
	}
	if _, err := tagVerified(ctx, verify.Verified{}, to, CopyOptions{}); err == nil {
		t.Error("what was not verified got a tag")
	}
	for _, d := range append(graph.Blobs(), desc) {
		if there, err := to.Exists(ctx, d); there || err != nil {
			t.Errorf("%s is at the destination (%v)", d.Digest, err)
		}
	}
}

// smallModel puts the smallest model there is into a layout.
func smallModel(t *testing.T, l *store.Layout) ([]byte, ocispec.Descriptor) {
	t.Helper()
	config := []byte(`{"descriptor":{},"modelfs":{"type":"layers","diffIds":[]},"config":{}}`)
	configDesc := ocispec.Descriptor{MediaType: artifacttypes.MediaTypeModelConfig, Digest: digest.FromBytes(config), Size: int64(len(config))}
	weights := []byte("weights")
	layerDesc := ocispec.Descriptor{
		MediaType: "application/vnd.cncf.model.weight.v1.raw", Digest: digest.FromBytes(weights), Size: int64(len(weights)),
		Annotations: map[string]string{artifacttypes.AnnotationFilePath: "model.bin"},
	}
	if err := l.Push(context.Background(), layerDesc, bytes.NewReader(weights)); err != nil {
		t.Fatal(err)
	}
	raw, err := artifacttypes.Marshal(ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifacttypes.ArtifactTypeModel, Config: configDesc, Versioned: specs.Versioned{SchemaVersion: 2}, Layers: []ocispec.Descriptor{layerDesc},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Push(context.Background(), configDesc, bytes.NewReader(config)); err != nil {
		t.Fatal(err)
	}
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	if err := l.Push(context.Background(), desc, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	return raw, desc
}

func TestVerifierID(t *testing.T) {
	workflow, err := url.Parse("https://github.com/example/model/.github/workflows/promote.yaml@refs/heads/main")
	if err != nil {
		t.Fatal(err)
	}
	for want, who := range map[string]sign.Identity{
		workflow.String():                    {Method: sign.MethodKeyless, Certificate: &x509.Certificate{URIs: []*url.URL{workflow}}},
		"mailto:alice@example.com":           {Method: sign.MethodCertificate, Certificate: &x509.Certificate{EmailAddresses: []string{"alice@example.com"}}},
		"dns:ci.example.com":                 {Method: sign.MethodCertificate, Certificate: &x509.Certificate{DNSNames: []string{"ci.example.com"}}},
		"modseal:identity:user%21domain%2Fx": {Method: sign.MethodKeyless, Certificate: &x509.Certificate{}, Subject: "user!domain/x"},
	} {
		got := verifierID(who)
		if u, err := url.Parse(got); got != want || err != nil || !u.IsAbs() {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The policy of a summary is the one that was chosen; what the site asks besides
// is no part of it, unless nothing was chosen.
func TestDecidingPolicy(t *testing.T) {
	source := func(name string, site bool) ruleSource {
		return ruleSource{rules: policy.Rules{Name: name}, file: "dir/" + name, digest: digest.FromString(name), site: site}
	}
	a, b, site := source("a.yaml", false), source("b.yaml", false), source("site.yaml", true)
	list := digest.FromString(minOf(a, b) + "\n" + maxOf(a, b) + "\n").Encoded()
	for name, row := range map[string]struct {
		sources     []ruleSource
		uri, sha256 string
	}{
		"one":          {[]ruleSource{a}, "a.yaml", a.digest.Encoded()},
		"and the site": {[]ruleSource{a, site}, "a.yaml", a.digest.Encoded()},
		"the site":     {[]ruleSource{site}, "site.yaml", site.digest.Encoded()},
		"two":          {[]ruleSource{a, b, site}, "modseal:policies", list},
		"two reversed": {[]ruleSource{b, a}, "modseal:policies", list},
	} {
		p := &promoting{source: &trusted{sources: row.sources}}
		if got := p.decidingPolicy(); got.URI != row.uri || got.Digest["sha256"] != row.sha256 {
			t.Errorf("%s: %+v, want %s %s", name, got, row.uri, row.sha256)
		}
	}
}

func minOf(a, b ruleSource) string { return min(a.digest.Encoded(), b.digest.Encoded()) }
func maxOf(a, b ruleSource) string { return max(a.digest.Encoded(), b.digest.Encoded()) }

func daysOf(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

// A summary that is as old as the strictest rule takes is too old.
func TestSummaryAge(t *testing.T) {
	vsa := func(days int) verify.Ruling {
		return verify.Ruling{Rules: policy.Rules{Requirements: []policy.Requirement{{VSA: &policy.VSARequirement{MaxAge: daysOf(days)}}}}}
	}
	for want, p := range map[int]*promoting{
		0:  {gate: &trusted{}},
		30: {o: PromoteOptions{Renew: daysOf(30)}, gate: &trusted{rulings: []verify.Ruling{vsa(0), vsa(90)}}},
		7:  {o: PromoteOptions{Renew: daysOf(30)}, gate: &trusted{rulings: []verify.Ruling{vsa(90), vsa(7)}}},
		90: {gate: &trusted{rulings: []verify.Ruling{vsa(90)}}},
	} {
		if got := p.mostAge(); got != daysOf(want) {
			t.Errorf("%v, want %d days", got, want)
		}
	}
}

// What a failed promotion says of the tag is what it has seen last, and not what it
// planned for.
func TestPromotionState(t *testing.T) {
	to, err := ParseTarget("prod.example.com/team/model:v1")
	if err != nil {
		t.Fatal(err)
	}
	planned, now := digest.FromString("planned").String(), digest.FromString("now").String()
	for name, row := range map[string]struct {
		previous string
		err      error
		want     string
	}{
		"another error":     {planned, errors.New("no"), "still holds " + planned},
		"and no tag":        {"", errors.New("no"), "has no tag v1"},
		"set by others":     {"", &DriftError{Have: now}, "holds " + now + ","},
		"moved by others":   {planned, fmt.Errorf("x: %w", &DriftError{Have: now, Expected: planned}), "holds " + now + ","},
		"deleted by others": {planned, &DriftError{Expected: planned}, "has lost its tag"},
	} {
		p := &promoting{to: to, tag: TagChange{Previous: row.previous}, res: &PromoteResult{Destination: to.String()}}
		for _, step := range []string{StepSign, StepReread} {
			if got := p.state(step, row.err); !strings.HasPrefix(got, to.String()+" "+row.want) {
				t.Errorf("%s, %s: %q", name, step, got)
			}
		}
	}
}

// What no summary may say is refused before anything is copied, and by a dry run too.
func TestPromoteOptionsAreChecked(t *testing.T) {
	for name, o := range map[string]PromoteOptions{
		"two levels of a track": {Levels: []string{"SLSA_BUILD_LEVEL_3", "SLSA_BUILD_LEVEL_2"}},
		"an unknown level":      {Levels: []string{"SLSA_BUILD_3"}},
		"a failure":             {Levels: []string{"FAILED"}},
		"an empty level":        {Levels: []string{""}},
		"no URI":                {VerifierID: "production gate"},
		"no digest":             {Expect: "latest"},
	} {
		if o.DryRun = true; !errors.Is(o.check(), ErrUsage) {
			t.Errorf("%s: %v", name, o.check())
		}
	}
	o := PromoteOptions{DryRun: true, Levels: []string{"SLSA_BUILD_LEVEL_3", "SLSA_BUILD_LEVEL_3", LevelPolicyPassed}, VerifierID: "https://ci.example.com/production"}
	if err := o.check(); err != nil {
		t.Error(err)
	}
}

// The policy of an entry stands in the place of everybody whom the command line
// trusts; the policies of the site hold all the same.
func TestPlanNamesItsPolicy(t *testing.T) {
	all := PromotePlanOptions{PromoteOptions: PromoteOptions{Trust: TrustOptions{
		Keys: []string{"a.pub"}, Identity: policy.Match{Exact: "a"}, Issuer: policy.Match{Exact: "b"}, Authorities: "c.pem",
		TrustedRoot: "d.json", PolicyFiles: []string{"e.yaml"}, DefaultPolicyFile: "f.yaml", SitePolicyFiles: []string{"site.yaml"}, Offline: true,
	}}}
	got := optionsOf("plans/x.yaml", promotion.Promotion{Policies: []string{"gate.yaml"}}, all).Trust
	want := TrustOptions{PolicyFiles: []string{filepath.Join("plans", "gate.yaml")}, SitePolicyFiles: []string{"site.yaml"}, Offline: true}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if got := optionsOf("plans/x.yaml", promotion.Promotion{}, all).Trust; !reflect.DeepEqual(got, all.Trust) {
		t.Errorf("%+v", got)
	}
}

// What claims to be the summary that is wanted is tried newest first; what claims to
// have FAILED may take it back, and what says something else is no matter.
func TestClaimedSummaries(t *testing.T) {
	subject := digest.FromString("model")
	vsa := func(at int, change func(*statement.VSA)) *statement.VSA {
		v := &statement.VSA{
			Verifier: "https://ci.example.com/production", Resource: "oci://prod.example.com/a", Policy: statement.ResourceDescriptor{URI: "gate.yaml"},
			Result: statement.ResultPassed, Levels: []string{LevelPolicyPassed}, TimeVerified: time.Unix(int64(at), 0).UTC(),
		}
		change(v)
		return v
	}
	none := func(*statement.VSA) {}
	var evidence []verify.Evidence
	for i, v := range []*statement.VSA{
		vsa(10, none), vsa(30, none), vsa(20, none),
		vsa(40, func(v *statement.VSA) { v.Levels = append(v.Levels, "EXAMPLE_REVIEWED") }),
		vsa(50, func(v *statement.VSA) { v.Result, v.Levels = statement.ResultFailed, []string{"FAILED"} }),
	} {
		payload, err := v.Payload(subject)
		if err != nil {
			t.Fatal(err)
		}
		bundle := fmt.Appendf(nil, `{"dsseEnvelope":{"payload":%q,"payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AA=="}]}}`, base64.StdEncoding.EncodeToString(payload))
		evidence = append(evidence, verify.Evidence{Digest: digest.FromString(fmt.Sprint(i)), Bundle: bundle})
	}
	same, failed := claimedSummaries(append(evidence, verify.Evidence{Bundle: []byte("{}")}), vsa(0, none))
	if len(same) != 3 || same[0].evidence.Digest != evidence[1].Digest || same[2].evidence.Digest != evidence[0].Digest {
		t.Errorf("%d are the same: %+v", len(same), same)
	}
	if len(failed) != 1 || failed[0].Digest != evidence[4].Digest {
		t.Errorf("%d have failed", len(failed))
	}
}
