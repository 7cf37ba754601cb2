package store_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/store"
)

// TestMain lets the test binary be one of many processes that use a layout.
func TestMain(m *testing.M) {
	if dir := os.Getenv("MODSEAL_TEST_LAYOUT"); dir != "" {
		if err := play(os.Getenv("MODSEAL_TEST_ROLE"), dir, os.Getenv("MODSEAL_TEST_WORKER")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func play(role, dir, worker string) error {
	switch role {
	case "push":
		return pushOneByOne(dir, worker)
	case "collect":
		return collectAllTheTime(dir)
	case "write":
		return writeForever(dir)
	}
	return pushMany(dir, worker)
}

const testArtifact = "application/vnd.test.artifact.v1"

// manifest is a small artifact: an empty config, one layer of text, and maybe a
// subject.
type manifest struct {
	raw    []byte
	desc   ocispec.Descriptor
	config []byte
	layer  []byte
	parsed ocispec.Manifest
}

func newManifest(text, artifactType string, subject *ocispec.Descriptor) manifest {
	m := manifest{config: []byte("{}"), layer: []byte(text)}
	m.parsed = ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType,
		Config: blobOf(ocispec.MediaTypeEmptyJSON, m.config), Layers: []ocispec.Descriptor{blobOf("text/plain", m.layer)},
		Subject: subject, Annotations: map[string]string{"about": text},
	}
	m.raw, _ = json.Marshal(m.parsed)
	m.desc = blobOf(ocispec.MediaTypeImageManifest, m.raw)
	return m
}

func blobOf(mediaType string, raw []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
}

func (m manifest) push(ctx context.Context, l *store.Layout) error {
	if err := l.Push(ctx, m.parsed.Config, bytes.NewReader(m.config)); err != nil {
		return err
	}
	if err := l.Push(ctx, m.parsed.Layers[0], bytes.NewReader(m.layer)); err != nil {
		return err
	}
	return l.Push(ctx, m.desc, bytes.NewReader(m.raw))
}

func mustPush(t *testing.T, l *store.Layout, m manifest) ocispec.Descriptor {
	t.Helper()
	if err := m.push(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	return m.desc
}

func mustCreate(t *testing.T, path string) *store.Layout {
	t.Helper()
	l, err := store.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func allReferrers(t *testing.T, l *store.Layout, subject ocispec.Descriptor, artifactType string) []ocispec.Descriptor {
	t.Helper()
	var all []ocispec.Descriptor
	err := l.Referrers(t.Context(), subject, artifactType, func(page []ocispec.Descriptor) error {
		all = append(all, page...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func allTags(t *testing.T, l *store.Layout, last string) []string {
	t.Helper()
	var all []string
	if err := l.Tags(t.Context(), last, func(tags []string) error { all = append(all, tags...); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}
