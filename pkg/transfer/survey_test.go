package transfer_test

import (
	"bytes"
	"errors"
	"net/http"
	"testing"

	"github.com/olareg/olareg/config"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/transfer"
)

func TestSurvey(t *testing.T) {
	reg := newRegistry(t, config.Config{}, nil)
	src := reg.repository(t, "team/model", remote.Options{})
	g := newGraph(t, src)
	reg.forget()
	s, err := transfer.Survey(t.Context(), src, g.index, transfer.SurveyOptions{Referrers: true})
	if err != nil {
		t.Fatal(err)
	}
	at := map[digest.Digest]int{}
	for i, n := range s.Nodes() {
		at[n.Descriptor.Digest] = i
		if _, err := s.Raw(t.Context(), n); err != nil {
			t.Error(err)
		}
	}
	if len(at) != 6 || at[g.a.Digest] > at[g.index.Digest] || at[g.index.Digest] > at[g.ofIndex.Digest] || at[g.ofIndex.Digest] > at[g.ofSignature.Digest] {
		t.Errorf("the order is %v", at)
	}
	if len(s.Blobs()) != 8 {
		t.Errorf("%d blobs", len(s.Blobs()))
	}
	if n := len(reg.seen(http.MethodGet, "/blobs/")); n != 0 {
		t.Errorf("%d blobs were read", n)
	}
	// Each manifest once: those of referrers come with their list.
	if n := len(reg.seen(http.MethodGet, "/manifests/sha256:")); n != 6 {
		t.Errorf("%d manifests were read, and there are 6", n)
	}
	alone, err := transfer.Survey(t.Context(), src, g.a, transfer.SurveyOptions{})
	if err != nil || len(alone.Nodes()) != 1 {
		t.Errorf("alone: %v, %v", alone, err)
	}
}

// A plan says what a copy does, and does none of it.
func TestPlan(t *testing.T) {
	src := newRegistry(t, config.Config{}, nil).repository(t, "team/model", remote.Options{})
	g := newGraph(t, src)
	s, err := transfer.Survey(t.Context(), src, g.index, transfer.SurveyOptions{Referrers: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		had              []ocispec.Descriptor
		manifests, blobs int // to be copied
	}{
		"nothing": {nil, 6, 8},
		"a part":  {[]ocispec.Descriptor{g.b}, 5, 5},
		"all":     {[]ocispec.Descriptor{g.b, g.index}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			reg := newRegistry(t, noReferrersAPI(), nil)
			dst := reg.repository(t, "mirror/model", remote.Options{})
			for _, d := range c.had {
				if _, err := transfer.Copy(t.Context(), src, dst, d, transfer.CopyOptions{Referrers: d.Digest == g.index.Digest}); err != nil {
					t.Fatal(err)
				}
			}
			reg.forget()
			plan, err := transfer.Plan(t.Context(), dst, s, transfer.CopyOptions{SpoolDir: "/nonexistent/spool"})
			if err != nil {
				t.Fatal(err)
			}
			manifests := count(plan, transfer.KindManifest, transfer.Copied) + count(plan, transfer.KindReferrer, transfer.Copied)
			if blobs := count(plan, transfer.KindBlob, transfer.Copied); manifests != c.manifests || blobs != c.blobs {
				t.Errorf("%d manifests and %d blobs, want %d and %d", manifests, blobs, c.manifests, c.blobs)
			}
			reg.mu.Lock()
			defer reg.mu.Unlock()
			for _, r := range reg.log {
				if r.method != http.MethodGet && r.method != http.MethodHead {
					t.Errorf("it sent %s %s", r.method, r.path)
				}
			}
		})
	}
}

// A referrer that is stored and in no list is neither new nor there.
func TestPlanOfAnUnlistedReferrer(t *testing.T) {
	src := newRegistry(t, config.Config{}, nil).repository(t, "team/model", remote.Options{})
	g := newGraph(t, src)
	dst := newRegistry(t, noReferrersAPI(), nil).repository(t, "mirror/model", remote.Options{})
	for _, d := range []ocispec.Descriptor{g.a, g.ofA} {
		if _, err := transfer.Copy(t.Context(), src, dst, d, transfer.CopyOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	s, err := transfer.Survey(t.Context(), src, g.a, transfer.SurveyOptions{Referrers: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, do := range []func() (*transfer.CopyResult, error){
		func() (*transfer.CopyResult, error) {
			return transfer.Plan(t.Context(), dst, s, transfer.CopyOptions{})
		},
		func() (*transfer.CopyResult, error) {
			return transfer.Send(t.Context(), dst, s, transfer.CopyOptions{})
		},
	} {
		r, err := do()
		if err != nil || count(r, transfer.KindReferrer, transfer.Listed) != 1 {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

func TestPreflight(t *testing.T) {
	large := ocispec.Descriptor{
		MediaType: "application/vnd.cncf.model.weight.v1.raw", Digest: digest.FromString("large"), Size: 11_000_000_000,
		Annotations: map[string]string{artifacttypes.AnnotationFilePath: "model.gguf"},
	}
	src := newMemory(true)
	raw, err := artifacttypes.Marshal(ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{large}})
	if err != nil {
		t.Fatal(err)
	}
	root := describe(ocispec.MediaTypeImageManifest, raw)
	if err := src.Push(t.Context(), root, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	g, err := transfer.Survey(t.Context(), src, root, transfer.SurveyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	client, err := remote.NewClient(remote.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for host, refused := range map[string]bool{
		"ghcr.io": true, "ghcr.io:443": true, "public.ecr.aws": true, "quay.io": false, "1.dkr.ecr.eu-west-1.amazonaws.com": false,
		"registry.example.com": false, "x.azurecr.io": false,
	} {
		repo, err := client.Repository(registry.Reference{Registry: host, Repository: "team/model"})
		if err != nil {
			t.Fatal(err)
		}
		err = transfer.Preflight(repo, g)
		var limit *transfer.LimitError
		if refused != errors.As(err, &limit) || limit != nil && (limit.Name != "model.gguf" || limit.Digest != large.Digest) {
			t.Errorf("%s: %v", host, err)
		}
	}
	if err := transfer.Preflight(newMemory(true), g); err != nil {
		t.Errorf("not a registry: %v", err)
	}
}
