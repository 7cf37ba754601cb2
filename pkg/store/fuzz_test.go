package store_test

import (
	"os"
	"path/filepath"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/store"
)

// FuzzIndex opens layouts with any index.json. Opening must not panic; what
// opens can be asked for anything, and survives a push.
func FuzzIndex(f *testing.F) {
	m := newManifest("one", testArtifact, nil)
	digest := m.desc.Digest.String()
	for _, seed := range []string{
		`{"schemaVersion":2,"manifests":[]}`,
		`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + digest + `","size":10,"annotations":{"org.opencontainers.image.ref.name":"v1"}}],"annotations":{"org.olareg.referrer.convert":"true"}}`,
		`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"` + digest + `","size":1,"annotations":{"org.olareg.referrer.subject":"` + digest + `"}}]}`,
		`{"schemaVersion":2,"manifests":[{"digest":"sha512:","size":-1}]}`,
		`{"schemaVersion":2,"manifests":null,"subject":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		dir := t.TempDir()
		for name, content := range map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`), "index.json": raw} {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		l, err := store.Open(dir)
		if err != nil {
			return
		}
		defer func() { _ = l.Close() }()
		ctx := t.Context()
		_ = l.Tags(ctx, "", func(tags []string) error {
			for _, tag := range tags {
				_, _ = l.Resolve(ctx, tag)
			}
			return nil
		})
		_, _ = l.Resolve(ctx, digest)
		if err := l.Referrers(ctx, m.desc, "", func([]ocispec.Descriptor) error { return nil }); err != nil {
			t.Errorf("referrers: %v", err)
		}
		signature := newManifest("signature", testArtifact, &m.desc)
		if err := signature.push(ctx, l); err != nil {
			t.Fatalf("push: %v", err)
		}
		again, err := store.Open(dir)
		if err != nil {
			t.Fatalf("what was written cannot be opened: %v", err)
		}
		defer func() { _ = again.Close() }()
		found := 0
		err = again.Referrers(ctx, m.desc, "", func(page []ocispec.Descriptor) error { found += len(page); return nil })
		if err != nil || found == 0 {
			t.Errorf("the pushed referrer is not found: %v", err)
		}
	})
}
