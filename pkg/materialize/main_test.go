package materialize_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/materialize"
	"github.com/modseal/modseal/pkg/store"
	"github.com/modseal/modseal/pkg/verify"
)

// layer is one layer of a model under test.
type layer struct {
	desc    ocispec.Descriptor
	content []byte
	diffID  digest.Digest
}

// raw is a file as one layer.
func raw(path, content string) layer {
	return typedRaw(artifacttypes.RoleWeight, path, content, false)
}

func typedRaw(role artifacttypes.Role, path, content string, executable bool) layer {
	meta, err := artifacttypes.NewFileMetadata(path, int64(len(content)), executable, time.Unix(0, 0)).Encode()
	if err != nil {
		panic(err)
	}
	return layer{content: []byte(content), desc: ocispec.Descriptor{
		MediaType: artifacttypes.LayerType(role, artifacttypes.EncodingRaw),
		Digest:    digest.FromString(content), Size: int64(len(content)),
		Annotations: map[string]string{artifacttypes.AnnotationFilePath: path, artifacttypes.AnnotationFileMetadata: meta},
	}}
}

// member is an entry of a tar layer; a zero Header is a regular file.
type member struct {
	name, content string
	header        tar.Header
}

func tarBytes(members ...member) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, m := range members {
		h := m.header
		h.Name, h.Size = m.name, int64(len(m.content))
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(&h); err != nil {
			panic(err)
		}
		if _, err := io.WriteString(w, m.content); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return buf.Bytes()
}

func tarLayer(members ...member) layer {
	content := tarBytes(members...)
	return blobLayer(artifacttypes.RoleWeightConfig, artifacttypes.EncodingTar, content, content)
}

func gzipLayer(plain []byte) layer {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(plain); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return blobLayer(artifacttypes.RoleWeightConfig, artifacttypes.EncodingTarGzip, buf.Bytes(), plain)
}

func blobLayer(role artifacttypes.Role, encoding artifacttypes.Encoding, content, plain []byte) layer {
	return layer{content: content, diffID: digest.FromBytes(plain), desc: ocispec.Descriptor{
		MediaType: artifacttypes.LayerType(role, encoding), Digest: digest.FromBytes(content), Size: int64(len(content)),
		Annotations: map[string]string{artifacttypes.AnnotationFilePath: string(role) + ".tar"},
	}}
}

// model is a model in a layout on disk, which is also what it is fetched from.
type model struct {
	layout   *store.Layout
	manifest []byte
	desc     ocispec.Descriptor
	verified verify.Verified
	source   *source
	record   string
}

// newModel stores the layers and verifies nothing, as --no-verify does.
func newModel(t testing.TB, layers ...layer) *model {
	t.Helper()
	m := storeModel(t, layers...)
	m.verified = verified(t, m)
	return m
}

func verified(t testing.TB, m *model) verify.Verified {
	t.Helper()
	v, err := verify.SkipUnsafe(t.Context(), verify.Subject{Name: "oci:test", Descriptor: m.desc, Manifest: m.manifest})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func storeModel(t testing.TB, layers ...layer) *model {
	t.Helper()
	layout, err := store.Create(filepath.Join(t.TempDir(), "layout"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = layout.Close() })
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: artifacttypes.ArtifactTypeModel,
	}
	var ids []digest.Digest
	for _, l := range layers {
		if err := layout.Push(t.Context(), l.desc, bytes.NewReader(l.content)); err != nil {
			t.Fatal(err)
		}
		manifest.Layers = append(manifest.Layers, l.desc)
		if l.diffID == "" {
			l.diffID = l.desc.Digest
		}
		ids = append(ids, l.diffID)
	}
	config, err := json.Marshal(map[string]any{"modelfs": map[string]any{"type": "layers", "diffIds": ids}})
	if err != nil {
		t.Fatal(err)
	}
	manifest.Config = ocispec.Descriptor{MediaType: artifacttypes.MediaTypeModelConfig, Digest: digest.FromBytes(config), Size: int64(len(config))}
	if err := layout.Push(t.Context(), manifest.Config, bytes.NewReader(config)); err != nil {
		t.Fatal(err)
	}
	m := &model{layout: layout, source: &source{layout: layout}, record: filepath.Join(t.TempDir(), "state", "record.json")}
	if m.manifest, err = json.Marshal(manifest); err != nil {
		t.Fatal(err)
	}
	m.desc = ocispec.Descriptor{MediaType: manifest.MediaType, Digest: digest.FromBytes(m.manifest), Size: int64(len(m.manifest))}
	return m
}

// blobFile is where the layout keeps a blob, to damage it.
func (m *model) blobFile(d digest.Digest) string {
	return filepath.Join(m.layout.Path(), "blobs", "sha256", d.Encoded())
}

// source reads from the layout, counts, and lets a test interfere.
type source struct {
	layout  *store.Layout
	mu      sync.Mutex
	fetched []digest.Digest
	// on, when set, may change what a fetch gives.
	on func(ctx context.Context, desc ocispec.Descriptor, rc io.ReadCloser) (io.ReadCloser, error)
}

func (s *source) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	s.mu.Lock()
	s.fetched = append(s.fetched, desc.Digest)
	s.mu.Unlock()
	rc, err := s.layout.Fetch(ctx, desc)
	if err == nil && s.on != nil {
		return s.on(ctx, desc, rc)
	}
	return rc, err
}

func (s *source) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.fetched)
	s.fetched = nil
	return n
}

// pull materializes into dir with a record.
func (m *model) pull(t testing.TB, dir string, o materialize.Options) (*materialize.Result, error) {
	t.Helper()
	if o.StateFile == "" {
		o.StateFile = m.record
	}
	return materialize.Materialize(t.Context(), m.verified, m.source, dir, o)
}

func (m *model) mustPull(t testing.TB, dir string, o materialize.Options) *materialize.Result {
	t.Helper()
	r, err := m.pull(t, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// tree reads a directory: path → content.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		p, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		p = filepath.ToSlash(p)
		if !e.Type().IsRegular() {
			files[p] = e.Type().String()
			return nil
		}
		content, err := os.ReadFile(name)
		files[p] = string(content)
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return files
}

func wantTree(t testing.TB, dir string, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, tree(t, dir)); diff != "" {
		t.Errorf("the files in the directory differ (-want +got):\n%s", diff)
	}
}

// wantNothing says that no file has its final name; layers may be kept.
func wantNothing(t testing.TB, dir string) {
	t.Helper()
	for name := range tree(t, dir) {
		if !strings.HasPrefix(name, materialize.StagingName+"/") {
			t.Errorf("%s is there", name)
		}
	}
}

func outcomes(r *materialize.Result) map[string]materialize.Outcome {
	all := map[string]materialize.Outcome{}
	for _, f := range r.Files {
		all[f.Path] = f.Outcome
	}
	return all
}

func wantOutcomes(t testing.TB, r *materialize.Result, want map[string]materialize.Outcome) {
	t.Helper()
	if diff := cmp.Diff(want, outcomes(r)); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if !slices.IsSortedFunc(r.Files, func(a, b materialize.FileResult) int { return strings.Compare(a.Path, b.Path) }) {
		t.Error("the files are not in order")
	}
}

func every(o materialize.Outcome, paths ...string) map[string]materialize.Outcome {
	all := map[string]materialize.Outcome{}
	for _, p := range paths {
		all[p] = o
	}
	return all
}

func with(a, b map[string]materialize.Outcome) map[string]materialize.Outcome {
	c := maps.Clone(a)
	maps.Copy(c, b)
	return c
}

func put(t testing.TB, dir, name, content string) {
	t.Helper()
	full := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func flip(t testing.TB, name string) {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(name, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func numbered(n int) []member {
	members := make([]member, n)
	for i := range members {
		members[i] = member{name: fmt.Sprintf("d%02d/f%05d.json", i%50, i), content: fmt.Sprint(i)}
	}
	return members
}
