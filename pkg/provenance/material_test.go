package provenance_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/provenance"
)

func TestHub(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]provenance.Resource{
		"meta-llama/Llama-3.1-8B": {URI: "pkg:huggingface/meta-llama/Llama-3.1-8B"},
		"gpt2":                    {URI: "pkg:huggingface/gpt2"},
		"a/b@main":                {URI: "pkg:huggingface/a/b@main"},
		"a/b@refs/pr/1":           {URI: "pkg:huggingface/a/b@refs%2Fpr%2F1"},
		"a/b@" + commit1:          {URI: "pkg:huggingface/a/b@" + commit1, Digest: map[string]string{"gitCommit": commit1}},
		"a/b@C27D339EE6075C1F744C5D4B200F7901AAD2C369": {URI: "pkg:huggingface/a/b@" + commit1, Digest: map[string]string{"gitCommit": commit1}},
	} {
		want.Name = provenance.NameBaseModel
		got, err := provenance.Hub(provenance.NameBaseModel, name)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v, -want +got:\n%s", name, err, diff)
		}
		if got.Pinned() != (len(want.Digest) > 0) {
			t.Errorf("%s: pinned: %v", name, got.Pinned())
		}
	}
	if got, err := provenance.Hub(provenance.NameDataset, "squad/v2"); err != nil || got.URI != "git+https://huggingface.co/datasets/squad/v2" {
		t.Errorf("a data set: %+v, %v", got, err)
	}
	for _, bad := range []string{"", "/", "a/b/c", "a/../b", "..", "-a/b", "a b", "a/b@", "a/b@x y", "a\n/b", "a/b@\x1b", "ä/b"} {
		if got, err := provenance.Hub(provenance.NameBaseModel, bad); !errors.Is(err, provenance.ErrMaterial) {
			t.Errorf("%q: %+v, %v", bad, got, err)
		}
	}
}

func TestMaterial(t *testing.T) {
	t.Parallel()
	const sum = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	for uri, want := range map[string]provenance.Resource{
		"https://example.com/d.tar":                      {URI: "https://example.com/d.tar"},
		"https://example.com/d.tar@sha256:" + sum:        {URI: "https://example.com/d.tar", Digest: map[string]string{"sha256": sum}},
		"https://bob:pw@example.com/d.tar?token=t#f":     {URI: "https://example.com/d.tar"},
		"git+https://example.com/r@gitCommit:" + commit1: {URI: "git+https://example.com/r", Digest: map[string]string{"gitCommit": commit1}},
		"git+https://bob@example.com/r":                  {URI: "git+https://example.com/r"},
		"s3://bucket/key":                                {URI: "s3://bucket/key"},
		"s3://AKIA:secret@bucket/key":                    {URI: "s3://bucket/key"},
		"postgres://bob:pw@db.example.com/t?sslmode=off": {URI: "postgres://db.example.com/t?sslmode=off"},
		"git+ssh://git:pw@example.com/r":                 {URI: "git+ssh://example.com/r"},
		"mailto:a@example.com":                           {URI: "mailto:a@example.com"},
		"pkg:huggingface/a/b@" + commit1:                 {URI: "pkg:huggingface/a/b@" + commit1},
	} {
		want.Name = provenance.NameDataset
		got, ok, err := provenance.Material(provenance.NameDataset, uri)
		if diff := cmp.Diff(want, got); err != nil || !ok || diff != "" {
			t.Errorf("%s: %v, %v, -want +got:\n%s", uri, ok, err, diff)
		}
	}
	for _, other := range []string{"", "a/b", "./d", "registry.example.com/a", "https://example.com/a b", "https://example.com/\x1b", "x:"} {
		if got, ok, err := provenance.Material(provenance.NameDataset, other); ok || err != nil {
			t.Errorf("%q: %+v, %v", other, got, err)
		}
	}
	for _, bad := range []string{
		"https://example.com/d@sha256:0123456789", "https://example.com/d@sha1:" + sum,
		"https://bob:p%zz@example.com/d", "s3://AKIA:se%cret@bucket/key", "git+https://bob:p%zz@example.com/r",
	} {
		if _, _, err := provenance.Material(provenance.NameDataset, bad); !errors.Is(err, provenance.ErrMaterial) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
