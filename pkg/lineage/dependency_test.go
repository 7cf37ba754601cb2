package lineage_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/lineage"
)

const (
	some  = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	other = "sha256:243cdc30d8182001ccbd3c04f1214b5765e4c9880b2cdd626a19488436b014e0"
)

func v1(dependencies string) string {
	return `{"buildDefinition":{"resolvedDependencies":[` + dependencies + `]}}`
}

func TestDependencies(t *testing.T) {
	hex := strings.TrimPrefix(some, "sha256:")
	for name, tt := range map[string]struct {
		text string
		want lineage.Dependency
	}{
		"a base model by digest": {
			`{"name":"base-model","uri":"oci://r.example.com/a/b@` + some + `","digest":{"sha256":"` + hex + `"},"annotations":{"relation":"Finetune","reference":"r.example.com/a/b:v1"}}`,
			lineage.Dependency{Kind: lineage.KindModel, Relation: "finetune", Reference: "r.example.com/a/b@" + some, Digest: some},
		},
		"the digest of the URI alone": {
			`{"name":"base-model","uri":"oci://r.example.com/a/b@` + some + `"}`,
			lineage.Dependency{Kind: lineage.KindModel, Relation: "base model", Reference: "r.example.com/a/b@" + some, Digest: some},
		},
		"the field of the digest wins": {
			`{"name":"base-model","uri":"oci://r.example.com/a/b@` + other + `","digest":{"sha256":"` + hex + `"}}`,
			lineage.Dependency{Kind: lineage.KindModel, Relation: "base model", Reference: "r.example.com/a/b@" + other, Digest: some},
		},
		"a tag": {
			`{"uri":"oci://r.example.com/a/b:v1","annotations":{"role":"base-model","relation":"no such"}}`,
			lineage.Dependency{Kind: lineage.KindModel, Relation: "base model", Reference: "r.example.com/a/b:v1"},
		},
		"an artifact without a role": {
			`{"uri":"oci://r.example.com/a/b:v1"}`,
			lineage.Dependency{Kind: lineage.KindOther, Relation: "other", Reference: "r.example.com/a/b:v1"},
		},
		"a package URL of type oci": {
			`{"name":"base-model","uri":"pkg:oci/b@sha256%3A` + hex + `?repository_url=r.example.com/a/b&tag=v1"}`,
			lineage.Dependency{Kind: lineage.KindModel, Relation: "base model", Reference: "r.example.com/a/b", Digest: some},
		},
		"a package URL with a tag": {
			`{"name":"base-model","uri":"pkg:oci/b?repository_url=r.example.com/a/b&tag=v1"}`,
			lineage.Dependency{Kind: lineage.KindModel, Relation: "base model", Reference: "r.example.com/a/b:v1"},
		},
		"a hub": {
			`{"uri":"pkg:huggingface/org/base@main"}`,
			lineage.Dependency{Kind: lineage.KindModel, Relation: "base model", Name: "org/base", Version: "main"},
		},
		"a page of a hub": {
			`{"uri":"https://huggingface.co/org/base/tree/main"}`,
			lineage.Dependency{Kind: lineage.KindModel, Relation: "base model", Name: "org/base", Version: "main"},
		},
		"a path of a hub that is no name": {
			`{"uri":"https://huggingface.co/../../etc"}`,
			lineage.Dependency{Kind: lineage.KindModel, Relation: "base model", Name: "https://huggingface.co/../../etc"},
		},
		"a data set of a hub": {
			`{"uri":"https://huggingface.co/datasets/org/corpus"}`,
			lineage.Dependency{Kind: lineage.KindDataset, Relation: "dataset", Name: "org/corpus"},
		},
		"a data set of a hub as a repository": {
			`{"name":"dataset","uri":"git+https://huggingface.co/datasets/org/corpus@main"}`,
			lineage.Dependency{Kind: lineage.KindDataset, Relation: "dataset", Name: "org/corpus", Version: "main"},
		},
		"a data set that is a file": {
			`{"name":"dataset","digest":{"sha256":"` + hex + `"},"annotations":{"reference":"train.jsonl"}}`,
			lineage.Dependency{Kind: lineage.KindDataset, Relation: "dataset", Name: "train.jsonl", Digest: some},
		},
		"a data set": {
			`{"name":"dataset","uri":"https://data.example.com/x","digest":{"sha256":"` + hex + `"}}`,
			lineage.Dependency{Kind: lineage.KindDataset, Relation: "dataset", Name: "https://data.example.com/x", Digest: some},
		},
		"source": {
			`{"uri":"git+https://git.example.com/a/b@refs/heads/main","digest":{"gitCommit":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"}}`,
			lineage.Dependency{Kind: lineage.KindSource, Relation: "source", Name: "git+https://git.example.com/a/b@refs/heads/main"},
		},
		"source from nowhere": {
			`{"name":"source","digest":{"gitCommit":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"}}`,
			lineage.Dependency{Kind: lineage.KindSource, Relation: "source", Name: "commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"},
		},
		"a commit that is none": {
			`{"name":"source","digest":{"gitCommit":"main"}}`,
			lineage.Dependency{Kind: lineage.KindSource, Relation: "source", Name: "source"},
		},
		"a digest that is none": {
			`{"name":"dataset","uri":"x","digest":{"sha256":"../../etc/passwd"}}`,
			lineage.Dependency{Kind: lineage.KindDataset, Relation: "dataset", Name: "x"},
		},
		"nothing but a name": {
			`{"name":"something"}`,
			lineage.Dependency{Kind: lineage.KindOther, Relation: "other", Name: "something"},
		},
		"nothing at all": {`{}`, lineage.Dependency{Kind: lineage.KindOther, Relation: "other"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := lineage.Dependencies(artifacttypes.PredicateSLSAProvenanceV1, []byte(v1(tt.text)))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff([]lineage.Dependency{tt.want}, got); d != "" {
				t.Error(d)
			}
			old, err := lineage.Dependencies(artifacttypes.PredicateSLSAProvenanceV02, []byte(`{"materials":[`+tt.text+`]}`))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(got, old); d != "" {
				t.Errorf("as material of version 0.2: %s", d)
			}
		})
	}
}

func TestDependenciesRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":             `{`,
		"a list":              `[]`,
		"of another shape":    `{"buildDefinition":{"resolvedDependencies":{}}}`,
		"a name of no text":   v1(`{"name":[]}`),
		"a digest of no text": v1(`{"digest":{"sha256":1}}`),
		"too many":            v1(strings.Repeat(`{},`, limits.LineageDependencies) + `{}`),
		"too large":           strings.Repeat(" ", limits.PredicateBytes+1),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := lineage.Dependencies(artifacttypes.PredicateSLSAProvenanceV1, []byte(text))
			if !errors.Is(err, lineage.ErrPredicate) {
				t.Errorf("got %v and %v, not %v", got, err, lineage.ErrPredicate)
			}
		})
	}
}

func TestBaseModels(t *testing.T) {
	got := lineage.BaseModels(map[string]string{
		"org.opencontainers.image.base.name":         "r.example.com/a/b:v1",
		"org.opencontainers.image.base.digest":       some,
		artifacttypes.AnnotationBaseModel:            "org/a, org/b\x1b[2J,,",
		artifacttypes.AnnotationBaseModelRelation:    "merge",
		"org.opencontainers.image.base.digest.other": "x",
	})
	want := []lineage.Dependency{
		{Kind: lineage.KindModel, Relation: "merge", Reference: "r.example.com/a/b:v1", Digest: some},
		{Kind: lineage.KindModel, Relation: "merge", Name: "org/a"},
		{Kind: lineage.KindModel, Relation: "merge", Name: "org/b[2J"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got := lineage.BaseModels(map[string]string{"org.opencontainers.image.base.digest": "sha256:../x"}); got != nil {
		t.Errorf("a digest that is none: %v", got)
	}
	if got := lineage.BaseModels(map[string]string{artifacttypes.AnnotationBaseModel: strings.Repeat("a,", 10*limits.LineageDependencies)}); len(got) != limits.LineageDependencies {
		t.Errorf("%d names are taken, not %d", len(got), limits.LineageDependencies)
	}
}

func FuzzDependencies(f *testing.F) {
	f.Add([]byte(v1(`{"name":"base-model","uri":"oci://r.example.com/a/b@` + some + `"}`)))
	f.Add([]byte(v1(`{"uri":"pkg:oci/b@sha256%3A00?repository_url=%zz"},{"uri":"pkg:huggingface/%2e%2e@x"}`)))
	f.Add([]byte(`{"materials":[{"uri":"git+https://x"}]}`))
	f.Fuzz(func(t *testing.T, predicate []byte) {
		for _, predicateType := range []string{artifacttypes.PredicateSLSAProvenanceV1, artifacttypes.PredicateSLSAProvenanceV02} {
			list, err := lineage.Dependencies(predicateType, predicate)
			if err != nil {
				continue
			}
			g := lineage.New(lineage.Node{Kind: lineage.KindModel, Digest: some, State: lineage.Accepted})
			for _, d := range list {
				if d.Digest != "" && artifacttypes.ValidateDigest(d.Digest) != nil {
					t.Fatalf("digest %q", d.Digest)
				}
				n := g.Add(lineage.Node{Kind: d.Kind, Name: d.Name, Version: d.Version, Reference: d.Reference, Digest: d.Digest.String(), State: lineage.Named})
				g.Link(lineage.Edge{From: g.Root, To: n.ID, Relation: d.Relation})
			}
			g.Judge()
			checkDrawings(t, g)
		}
	})
}
