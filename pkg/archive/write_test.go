package archive_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/archive"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/partial"
)

func describe(mediaType string, raw []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
}

// randomBytes returns bytes that are always the same for a seed.
func randomBytes(seed uint64, n int) []byte {
	raw := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(raw)
	return raw
}

// goods is what an archive is made of, with the bytes of the blobs.
type goods struct {
	in    archive.Input
	blobs map[digest.Digest][]byte
}

const layerType = "application/vnd.cncf.model.weight.v1.raw"

// scattered brings a blob in pieces of any order.
func scattered(raw []byte) func(context.Context, *partial.File, func(int64)) error {
	return func(ctx context.Context, to *partial.File, moved func(int64)) error {
		missing := to.Missing()
		rand.Shuffle(len(missing), func(i, j int) { missing[i], missing[j] = missing[j], missing[i] })
		for _, s := range missing {
			for end := s.End; end > s.Start; { // from behind
				start := max(s.Start, end-300_000)
				if err := ctx.Err(); err != nil {
					return context.Cause(ctx)
				}
				n, err := to.WriteFrom(bytes.NewReader(raw[start:end]), start)
				if err != nil {
					return err
				}
				moved(n)
				end = start
			}
		}
		return nil
	}
}

func (g *goods) blob(mediaType string, raw []byte) ocispec.Descriptor {
	d := describe(mediaType, raw)
	g.blobs[d.Digest] = raw
	g.in.Blobs = append(g.in.Blobs, archive.InputBlob{Descriptor: d, Name: d.Digest.Encoded()[:8], Bring: scattered(raw)})
	return d
}

func (g *goods) manifest(t testing.TB, m ocispec.Manifest) ocispec.Descriptor {
	t.Helper()
	m.Versioned, m.MediaType = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageManifest
	raw, err := artifacttypes.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	d := describe(m.MediaType, raw)
	g.in.Manifests = append(g.in.Manifests, archive.InputManifest{Descriptor: d, Raw: raw})
	return d
}

// model adds a model with layers of the given bytes, and a signature of it that is
// signed itself.
func (g *goods) model(t testing.TB, repository, tag string, layers ...[]byte) ocispec.Descriptor {
	t.Helper()
	m := ocispec.Manifest{ArtifactType: artifacttypes.ArtifactTypeModel, Config: g.blob(artifacttypes.MediaTypeModelConfig, []byte(`{"of":"`+repository+tag+`"}`))}
	for _, raw := range layers {
		m.Layers = append(m.Layers, g.blob(layerType, raw))
	}
	d := g.manifest(t, m)
	g.in.Artifacts = append(g.in.Artifacts, archive.InputArtifact{Descriptor: d, Repository: repository, Tag: tag})
	for subject, n := d, 0; n < 2; n++ {
		empty := ocispec.DescriptorEmptyJSON
		s := subject
		subject = g.manifest(t, ocispec.Manifest{
			ArtifactType: artifacttypes.MediaTypeBundle, Subject: &s, Annotations: map[string]string{"n": "v"},
			Config: g.blob(empty.MediaType, empty.Data), Layers: []ocispec.Descriptor{g.blob(artifacttypes.MediaTypeBundle, []byte(`{"signs":"`+s.Digest+`"}`))},
		})
	}
	return d
}

func newGoods() *goods {
	return &goods{
		in:    archive.Input{Contents: archive.Contents{Tool: archive.Tool{Name: "modseal", Version: "test"}}},
		blobs: map[digest.Digest][]byte{},
	}
}

// sample is two models that share a layer.
func sample(t testing.TB, seed uint64) *goods {
	t.Helper()
	g := newGoods()
	shared := randomBytes(seed, 3<<20+17)
	g.model(t, "registry.example.com/team/llama", "v1", shared, randomBytes(seed+1, 2<<20), nil)
	g.model(t, "registry.example.com/team/llama", "v2", shared, randomBytes(seed+2, 1<<20+511))
	g.in.Trust, g.in.Policy = []byte(`{"roots":[]}`), []byte("version: 1\n")
	return g
}

func (g *goods) plan(t testing.TB) *archive.Plan {
	t.Helper()
	p, err := archive.NewPlan(g.in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func write(t testing.TB, p *archive.Plan, file string, o archive.WriteOptions) *archive.Written {
	t.Helper()
	w, err := archive.Write(t.Context(), p, file, o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// untar reads an archive with the tar of Go's library, and checks what every entry
// must be.
func untar(t *testing.T, raw []byte) (order []string, files map[string][]byte) {
	t.Helper()
	files = map[string][]byte{}
	r := tar.NewReader(bytes.NewReader(raw))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return order, files
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg || h.Mode != 0o644 || h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" || h.ModTime.Unix() != 0 || h.Format != tar.FormatGNU {
			t.Errorf("%+v", h)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := files[h.Name]; twice {
			t.Errorf("%s is there twice", h.Name)
		}
		order, files[h.Name] = append(order, h.Name), content
	}
}

func entryOf(d digest.Digest) string { return "blobs/" + d.Algorithm().String() + "/" + d.Encoded() }

func TestLayout(t *testing.T) {
	g := sample(t, 1)
	file := filepath.Join(t.TempDir(), "a.tar")
	w := write(t, g.plan(t), file, archive.WriteOptions{})
	raw := readFile(t, file)
	if w.Size != int64(len(raw)) || w.File != file || w.Existed || w.Resumed != 0 {
		t.Errorf("%+v, and %d bytes", w, len(raw))
	}
	order, files := untar(t, raw)
	last := len(order) - 1
	if order[0] != "oci-layout" || order[last] != "index.json" || string(files["oci-layout"]) != `{"imageLayoutVersion":"1.0.0"}` {
		t.Errorf("%s first, %s last: %s", order[0], order[last], files["oci-layout"])
	}
	for d, want := range g.blobs {
		if !bytes.Equal(files[entryOf(d)], want) {
			t.Errorf("%s has other bytes", d)
		}
	}
	var ix ocispec.Index
	if err := json.Unmarshal(files["index.json"], &ix); err != nil {
		t.Fatal(err)
	}
	// Blobs first, in order; then manifests, in order.
	first := slices.IndexFunc(order, func(n string) bool { return isManifest(files[n]) })
	for i, n := range order[1:last] {
		if i+1 > 1 && i+1 != first && n < order[i] {
			t.Errorf("%s comes after %s", n, order[i])
		}
		if isManifest(files[n]) != (i+1 >= first) {
			t.Errorf("%s is in the wrong place", n)
		}
	}
	checkIndex(t, g, w, ix, files)
}

func isManifest(raw []byte) bool {
	return bytes.Contains(raw[:min(len(raw), 200)], []byte(`"schemaVersion"`))
}

func checkIndex(t *testing.T, g *goods, w *archive.Written, ix ocispec.Index, files map[string][]byte) {
	t.Helper()
	tags, untagged := map[string]ocispec.Descriptor{}, map[digest.Digest]ocispec.Descriptor{}
	for _, e := range ix.Manifests {
		if ref := e.Annotations[ocispec.AnnotationRefName]; ref != "" {
			tags[ref] = e
		} else {
			untagged[e.Digest] = e
		}
		if int64(len(files[entryOf(e.Digest)])) != e.Size {
			t.Errorf("%s has %d bytes", e.Digest, len(files[entryOf(e.Digest)]))
		}
	}
	for _, a := range g.in.Artifacts {
		e := tags[a.Tag]
		if e.Digest != a.Descriptor.Digest || e.Annotations[artifacttypes.AnnotationImageName] != a.Repository+":"+a.Tag {
			t.Errorf("%s is %+v", a.Tag, e)
		}
		list := tags["sha256-"+a.Descriptor.Digest.Encoded()]
		var referrers ocispec.Index
		if err := json.Unmarshal(files[entryOf(list.Digest)], &referrers); err != nil || len(referrers.Manifests) != 1 {
			t.Fatalf("%s has the referrers %+v (%v)", a.Tag, referrers, err)
		}
		r := referrers.Manifests[0]
		if u := untagged[r.Digest]; u.ArtifactType != artifacttypes.MediaTypeBundle || u.Annotations["n"] != "v" || r.ArtifactType != u.ArtifactType {
			t.Errorf("a referrer is listed as %+v", u)
		}
	}
	own := untagged[w.Digest]
	if own.ArtifactType != artifacttypes.ArtifactTypeArchive {
		t.Errorf("the archive's own manifest is listed as %+v", own)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(files[entryOf(own.Digest)], &m); err != nil || len(m.Layers) != 3 {
		t.Fatalf("%v: %+v", err, m)
	}
	var c archive.Contents
	if err := json.Unmarshal(files[entryOf(m.Layers[0].Digest)], &c); err != nil {
		t.Fatal(err)
	}
	if len(c.Artifacts) != 2 || c.Artifacts[0].Name != "registry.example.com/team/llama:v1" || len(c.Artifacts[0].Referrers) != 2 || c.Tool.Version != "test" {
		t.Errorf("contents: %+v", c)
	}
	if string(files[entryOf(m.Layers[1].Digest)]) != string(g.in.Trust) || string(files[entryOf(m.Layers[2].Digest)]) != string(g.in.Policy) {
		t.Error("trust and policy are others")
	}
}

// The order of what is handed over, and what is there twice, changes no byte.
func TestSameInputSameBytes(t *testing.T) {
	dir := t.TempDir()
	var want []byte
	for i := range 5 {
		g := sample(t, 1)
		g.in.Blobs = append(g.in.Blobs, g.in.Blobs[:3]...)
		g.in.Artifacts = append(g.in.Artifacts, g.in.Artifacts[0])
		rand.Shuffle(len(g.in.Blobs), func(i, j int) { g.in.Blobs[i], g.in.Blobs[j] = g.in.Blobs[j], g.in.Blobs[i] })
		rand.Shuffle(len(g.in.Manifests), func(i, j int) { g.in.Manifests[i], g.in.Manifests[j] = g.in.Manifests[j], g.in.Manifests[i] })
		rand.Shuffle(len(g.in.Artifacts), func(i, j int) { g.in.Artifacts[i], g.in.Artifacts[j] = g.in.Artifacts[j], g.in.Artifacts[i] })
		file := filepath.Join(dir, string(rune('a'+i)))
		write(t, g.plan(t), file, archive.WriteOptions{Concurrency: 1 + i%3})
		raw := readFile(t, file)
		if want == nil {
			want = raw
		}
		if !bytes.Equal(raw, want) {
			t.Fatal("the bytes are others")
		}
	}
}

// Tags of several repositories are written out.
func TestNamesOfSeveralRepositories(t *testing.T) {
	g := newGoods()
	g.model(t, "a.example.com/one", "v1", []byte("1"))
	g.model(t, "b.example.com/two", "v1", []byte("2"))
	byDigest := g.model(t, "b.example.com/two", "", []byte("3"))
	file := filepath.Join(t.TempDir(), "a.tar")
	write(t, g.plan(t), file, archive.WriteOptions{})
	_, files := untar(t, readFile(t, file))
	var ix ocispec.Index
	if err := json.Unmarshal(files["index.json"], &ix); err != nil {
		t.Fatal(err)
	}
	var refs []string
	for _, e := range ix.Manifests {
		if ref := e.Annotations[ocispec.AnnotationRefName]; ref != "" && !strings.HasPrefix(ref, "sha256-") {
			refs = append(refs, ref)
		}
		if e.Digest == byDigest.Digest && (e.Annotations[ocispec.AnnotationRefName] != "" || e.Annotations[artifacttypes.AnnotationImageName] != "b.example.com/two@"+byDigest.Digest.String()) {
			t.Errorf("what was saved by digest: %+v", e)
		}
	}
	if !slices.Equal(refs, []string{"a.example.com/one:v1", "b.example.com/two:v1"}) {
		t.Errorf("tags: %v", refs)
	}
}

func TestWhatIsNotThere(t *testing.T) {
	missing := func(in archive.Input) error {
		_, err := archive.NewPlan(in)
		return err
	}
	var incomplete *archive.IncompleteError
	g := sample(t, 1)
	lost := g.in.Blobs[1].Descriptor
	g.in.Blobs = slices.DeleteFunc(g.in.Blobs, func(b archive.InputBlob) bool { return b.Descriptor.Digest == lost.Digest })
	if err := missing(g.in); !errors.As(err, &incomplete) || incomplete.Names.Digest != lost.Digest {
		t.Errorf("a layer is missing: %v", err)
	}
	g.in.Contents.Omitted = []archive.Omitted{{Digest: lost.Digest, Size: lost.Size, Artifact: g.in.Artifacts[0].Descriptor.Digest, Reason: archive.OmittedBase}}
	if err := missing(g.in); err != nil {
		t.Errorf("a layer is omitted: %v", err)
	}
	g.in.Contents.Omitted[0].Size++
	var bad *integrity.Error
	if err := missing(g.in); !errors.As(err, &bad) {
		t.Errorf("what is omitted has another size: %v", err)
	}
	g = sample(t, 1)
	g.in.Manifests[1].Raw = append(slices.Clone(g.in.Manifests[1].Raw), ' ')
	if err := missing(g.in); !errors.As(err, &bad) {
		t.Errorf("a manifest has other bytes: %v", err)
	}
	g = sample(t, 1)
	g.in.Artifacts[0].Descriptor = describe("x", []byte("nowhere"))
	if err := missing(g.in); err == nil {
		t.Error("an artifact is missing")
	}
	g = sample(t, 1)
	g.in.Artifacts[1].Tag = g.in.Artifacts[0].Tag
	if err := missing(g.in); err == nil {
		t.Error("one tag for two artifacts")
	}
	g = sample(t, 1)
	g.in.Blobs[1].Descriptor.Size++
	if err := missing(g.in); !errors.As(err, &bad) {
		t.Errorf("a blob has another size than its manifest says: %v", err)
	}
}

// What is written is read back: opened by any of its names, every byte of it good.
func TestWrittenIsReadBack(t *testing.T) {
	for _, part := range []int64{0, 1 << 20} {
		g := sample(t, 1)
		g.in.Contents.Bases = []archive.Base{{Kind: "inventory", Name: "site", Digest: digest.FromString("site")}}
		w := write(t, g.plan(t), filepath.Join(t.TempDir(), "a.tar"), archive.WriteOptions{PartSize: part})
		report, err := archive.Check(t.Context(), w.File, archive.CheckOptions{})
		if err != nil || !report.Good() {
			t.Fatalf("%+v, %v", report, err)
		}
		a, err := archive.Open(t.Context(), w.File, archive.OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		if own, ok := a.Manifest(); !ok || own.Digest != w.Digest {
			t.Errorf("its own manifest is %+v", own)
		}
		if c, ok := a.Contents(); !ok || len(c.Artifacts) != 2 || len(c.Bases) != 1 {
			t.Errorf("contents: %+v", c)
		}
		for _, in := range g.in.Artifacts {
			if d, err := a.Resolve(t.Context(), in.Tag); err != nil || d.Digest != in.Descriptor.Digest {
				t.Errorf("%s is %+v (%v)", in.Tag, d, err)
			}
		}
		again, err := archive.Resplit(t.Context(), a, filepath.Join(t.TempDir(), "b.tar"), archive.WriteOptions{PartSize: 1<<20 - part})
		if err != nil || !bytes.Equal(joined(t, again), joined(t, w)) {
			t.Errorf("split otherwise it has other bytes (%v)", err)
		}
	}
}

// What is there is not replaced, unless it is to be; the same is proven.
func TestWhatIsThere(t *testing.T) {
	for _, part := range []int64{0, 1 << 20} {
		dir := t.TempDir()
		file := filepath.Join(dir, "a.tar")
		o := archive.WriteOptions{PartSize: part}
		first := write(t, sample(t, 1).plan(t), file, o)
		before := names(t, dir)
		again := write(t, sample(t, 1).plan(t), file, o)
		if !again.Existed || again.File != first.File || len(again.Parts) != len(first.Parts) {
			t.Errorf("again: %+v", again)
		}
		var exists *archive.ExistsError
		if _, err := archive.Write(t.Context(), sample(t, 5).plan(t), file, o); !errors.As(err, &exists) || !errors.Is(err, fs.ErrExist) || exists.Err != nil {
			t.Errorf("another one: %v", err)
		}
		flip(t, filepath.Join(dir, before[len(before)/2]), 1000)
		if _, err := archive.Write(t.Context(), sample(t, 1).plan(t), file, o); !errors.As(err, &exists) {
			t.Errorf("a damaged one: %v", err)
		}
		o.Overwrite = true
		if w := write(t, sample(t, 1).plan(t), file, o); w.Existed {
			t.Error("a damaged one is taken for the right one")
		}
		g := newGoods() // a smaller one, with fewer parts
		g.model(t, "a.example.com/one", "v1", randomBytes(9, 1<<20))
		w := write(t, g.plan(t), file, o)
		if got := names(t, dir); part > 0 && len(got) != len(w.Parts)+1 || part == 0 && len(got) != 1 {
			t.Errorf("left are %v", got)
		}
	}
}

func flip(t testing.TB, name string, at int64) {
	t.Helper()
	raw := readFile(t, name)
	raw[at%int64(len(raw))] ^= 1
	if err := os.WriteFile(name, raw, 0o644); err != nil {
		t.Fatal(err)
	}
}
