//go:build unix

package modseal

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// manyFiles makes a model of which small files are grouped into tars.
func manyFiles(t *testing.T) (dir string, content map[string][]byte) {
	t.Helper()
	dir = t.TempDir()
	content = map[string][]byte{"model.safetensors": oneTensor("F32", 1_000_000, 4, 7), "config.json": []byte(`{"model_type": "x"}`)}
	for i := range 1010 {
		content[fmt.Sprintf("data/%04d.txt", i)] = []byte(strings.Repeat(fmt.Sprintln(i), i%50))
	}
	content["data/"+strings.Repeat("long", 40)+".txt"] = []byte("a name that needs a header of its own")
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, b := range content {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, content
}

// Wherever a model lies, its files are the same ones: raw layers, and members of
// tar layers.
func TestViewIsTheSameEverywhere(t *testing.T) {
	dir, content := manyFiles(t)
	host, _ := startRegistry(t)
	_, layout := newLayout(t)
	client := newClient(t)
	if _, err := client.Push(t.Context(), dir, layout+":v1", PackOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Copy(t.Context(), layout+":v1", host+"/m:v1", CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{dir, layout + ":v1", host + "/m:v1"} {
		v, a, err := client.viewTarget(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		if a != nil {
			if err := v.hashMembers(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		files := v.files()
		if len(files) != len(content) || len(v.unreadable()) != 0 {
			t.Fatalf("%s: %d files, want %d; %v", target, len(files), len(content), v.unreadable())
		}
		for _, f := range files {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(io.NewSectionReader(r, 0, f.Size+1))
			if err != nil || !bytes.Equal(got, content[f.Path]) || f.Role == "" {
				t.Errorf("%s: %s, role %q: %d bytes, %v", target, f.Path, f.Role, len(got), err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			e, ok := v.entry(f.Path)
			if want := digest.FromBytes(content[f.Path]); !ok || a != nil && e.Digest != want {
				t.Errorf("%s: %s has digest %s, want %s", target, f.Path, e.Digest, want)
			}
		}
	}
}

// The header of a large file costs what it has, and not what the file has.
func TestViewFetchesParts(t *testing.T) {
	dir, content := manyFiles(t)
	host, _ := startRegistry(t)
	client := newClient(t)
	if _, err := client.Push(t.Context(), dir, host+"/m:v1", PackOptions{}); err != nil {
		t.Fatal(err)
	}
	v, _, err := client.viewTarget(t.Context(), host+"/m:v1")
	if err != nil {
		t.Fatal(err)
	}
	listed := v.fetched()
	r, err := v.open(t.Context(), "model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for off := range int64(60) {
		p := make([]byte, 8)
		if _, err := r.ReadAt(p, off); err != nil || !bytes.Equal(p, content["model.safetensors"][off:off+8]) {
			t.Fatal(err)
		}
	}
	if n := v.fetched() - listed; n != 4096 || !v.remote() {
		t.Errorf("%d bytes were fetched", n)
	}
	v.meter.budget = v.fetched() + 100
	if _, err := r.ReadAt(make([]byte, 10_000), 100_000); err == nil || !strings.Contains(err.Error(), "would have to be read") {
		t.Errorf("beyond the budget: %v", err)
	}
}

// A small file is what its digest says, or nothing.
func TestViewComparesSmallFiles(t *testing.T) {
	layout, at := newLayout(t)
	small, large := []byte(`{"a": 1}`), bytes.Repeat([]byte("x"), limits.ViewWholeBytes+1)
	putFiles(t, layout, "v1", map[string][]byte{"config.json": small, "w.safetensors": large})
	blob := filepath.Join(strings.TrimPrefix(at, "oci:"), "blobs", "sha256", digest.FromBytes(small).Encoded())
	if err := os.Chmod(blob, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(blob, []byte(`{"a": 2}`), 0o644); err != nil {
		t.Fatal(err)
	}
	v, _, err := newClient(t).viewTarget(t.Context(), at+":v1")
	if err != nil {
		t.Fatal(err)
	}
	var wrong *integrity.Error
	if _, err := v.open(t.Context(), "config.json"); !errors.As(err, &wrong) {
		t.Errorf("opened: %v", err)
	}
	if _, err := v.readFile(t.Context(), "config.json", 100); !errors.As(err, &wrong) {
		t.Errorf("read: %v", err)
	}
	if _, err := v.readFile(t.Context(), "w.safetensors", 100); err == nil {
		t.Error("a file beyond the limit was read")
	}
	if _, err := v.open(t.Context(), "none"); err == nil {
		t.Error("a file that is not there was opened")
	}
}

func tarWith(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		h.Mode = 0o644
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, h.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What cannot be listed is said with its reason, and what lies beside it is there.
func TestViewOfLayersThatCannotBeListed(t *testing.T) {
	good := tarWith(t, tar.Header{Name: "d/a.txt", Size: 3, Typeflag: tar.TypeReg})
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(good); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		encoding artifacttypes.Encoding
		layer    []byte
		want     string
	}{
		"good":       {artifacttypes.EncodingTar, good, ""},
		"compressed": {artifacttypes.EncodingTarGzip, packed.Bytes(), "compressed"},
		"traversal":  {artifacttypes.EncodingTar, tarWith(t, tar.Header{Name: "../a", Typeflag: tar.TypeReg}), "unsafe"},
		"link":       {artifacttypes.EncodingTar, tarWith(t, tar.Header{Name: "a", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink}), "symbolic link"},
		"twice":      {artifacttypes.EncodingTar, tarWith(t, tar.Header{Name: "config.json", Typeflag: tar.TypeReg}), "named twice"},
		"cut off":    {artifacttypes.EncodingTar, good[:514], "more than there are"},
		"no tar":     {artifacttypes.EncodingTar, bytes.Repeat([]byte("no tar "), 300), "header"},
	} {
		t.Run(name, func(t *testing.T) {
			layout, at := newLayout(t)
			put := func(mediaType string, content []byte) ocispec.Descriptor {
				d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
				if err := layout.Push(t.Context(), d, bytes.NewReader(content)); err != nil {
					t.Fatal(err)
				}
				return d
			}
			raw := put(artifacttypes.LayerType(artifacttypes.RoleWeightConfig, artifacttypes.EncodingRaw), []byte(`{}`))
			raw.Annotations = map[string]string{artifacttypes.AnnotationFilePath: "config.json"}
			m := ocispec.Manifest{
				Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifacttypes.ArtifactTypeModel,
				Config: put(artifacttypes.MediaTypeModelConfig, []byte(`{}`)),
				Layers: []ocispec.Descriptor{raw, put(artifacttypes.LayerType(artifacttypes.RoleDoc, c.encoding), c.layer)},
			}
			manifest, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if err := layout.Tag(t.Context(), put(ocispec.MediaTypeImageManifest, manifest), "v1"); err != nil {
				t.Fatal(err)
			}
			v, _, err := newClient(t).viewTarget(t.Context(), at+":v1")
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := v.entry("config.json"); !ok {
				t.Error("the raw layer is gone")
			}
			if c.want == "" {
				if len(v.unreadable()) != 0 || len(v.entries()) != 2 {
					t.Errorf("%+v", v.unreadable())
				}
				return
			}
			if len(v.entries()) != 1 || len(v.unreadable()) != 1 || !strings.Contains(v.unreadable()[0].Why, c.want) {
				t.Errorf("%v, %+v; want %q", len(v.entries()), v.unreadable(), c.want)
			}
		})
	}
}

// Headers of shards that were fetched ahead are not fetched again.
func TestViewWarms(t *testing.T) {
	host, registry := startRegistry(t)
	var sent atomic.Int64
	inner := registry.Handler
	registry.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			w = &countedWriter{w, &sent}
		}
		inner.ServeHTTP(w, r)
	})
	dir := t.TempDir()
	for i := range 20 {
		name := fmt.Sprintf("m-%05d-of-00020.safetensors", i+1)
		if err := os.WriteFile(filepath.Join(dir, name), oneTensor("F32", 100_000+i, 4, 1), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	client := newClient(t)
	if _, err := client.Push(t.Context(), dir, host+"/m:v1", PackOptions{}); err != nil {
		t.Fatal(err)
	}
	sent.Store(0)
	res, err := client.Inspect(t.Context(), host+"/m:v1", InspectOptions{Tensors: true})
	if err != nil {
		t.Fatal(err)
	}
	// The config, of 2 kB, and a page of each shard.
	if n := sent.Load(); n > 20*4096+3000 || res.Fetched.Files != 20*4096 || len(res.Tensors) != 20 {
		t.Errorf("%d bytes were sent, %d told, %d tensors", n, res.Fetched.Files, len(res.Tensors))
	}
}
