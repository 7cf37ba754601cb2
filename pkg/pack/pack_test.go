package pack_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	modelspec "github.com/modelpack/model-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/pack"
	"github.com/modseal/modseal/pkg/source"
)

// memory is an Ingester that keeps what it was given.
type memory struct {
	mu    sync.Mutex
	blobs map[digest.Digest][]byte
	opens map[string]int
}

func (m *memory) Ingest(ctx context.Context, b ingest.Blob) (ocispec.Descriptor, error) {
	r, err := b.Open()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer r.Close()
	var buf bytes.Buffer
	desc, err := ingest.Copy(ctx, &buf, r, b)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.blobs == nil {
		m.blobs, m.opens = map[digest.Digest][]byte{}, map[string]int{}
	}
	m.blobs[desc.Digest] = buf.Bytes()
	m.opens[b.Name]++
	return desc, nil
}

func safetensors(dtype string, elements, bytesEach int) string {
	header := fmt.Sprintf(`{"w":{"dtype":%q,"shape":[%d],"data_offsets":[0,%d]}}`, dtype, elements, elements*bytesEach)
	return string([]byte{byte(len(header)), 0, 0, 0, 0, 0, 0, 0}) + header + strings.Repeat("\x01", elements*bytesEach)
}

func model() map[string]string {
	return map[string]string{
		"model.safetensors": safetensors("BF16", 2000, 2),
		"config.json":       `{"model_type":"llama","architectures":["LlamaForCausalLM"],"num_attention_heads":8}`,
		"README.md":         "---\nlicense: apache-2.0\nbase_model: acme/base\npipeline_tag: text-generation\n---\n# Tiny\n",
		"empty.txt":         "",
		"run/serve.sh":      "#!/bin/sh\n",
	}
}

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		full := filepath.Join(dir, filepath.FromSlash(name))
		must(t, os.MkdirAll(filepath.Dir(full), 0o755))
		must(t, os.WriteFile(full, []byte(content), 0o644))
	}
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func walk(t *testing.T, dir string) *source.Tree {
	t.Helper()
	tree, err := source.Walk(t.Context(), dir, source.Options{})
	must(t, err)
	return tree
}

func packed(t *testing.T, files map[string]string, o pack.Options) (*pack.Artifact, *memory) {
	t.Helper()
	var m memory
	a, err := pack.Pack(t.Context(), walk(t, write(t, files)), &m, o)
	must(t, err)
	return a, &m
}

func TestTheManifestIsWhatTheDesignSays(t *testing.T) {
	a, m := packed(t, model(), pack.Options{})
	parsed, err := artifacttypes.ParseManifest(a.Manifest)
	must(t, err)
	if parsed.Manifest.ArtifactType != artifacttypes.ArtifactTypeModel || parsed.Manifest.Config.MediaType != artifacttypes.MediaTypeModelConfig {
		t.Errorf("types: %+v", parsed.Manifest)
	}
	if digest.FromBytes(a.Manifest) != a.Descriptor.Digest || digest.FromBytes(a.Config) != parsed.Manifest.Config.Digest {
		t.Error("a digest is wrong")
	}
	var got []string
	for _, l := range parsed.Layers {
		got = append(got, l.Path)
		if string(m.blobs[l.Descriptor.Digest]) != model()[l.Path] {
			t.Errorf("%s: the layer is not the file", l.Path)
		}
		if l.Descriptor.Annotations[ocispec.AnnotationTitle] != l.Path {
			t.Errorf("%s: title %q", l.Path, l.Descriptor.Annotations[ocispec.AnnotationTitle])
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(model())), got); diff != "" {
		t.Error(diff)
	}
	for name, n := range m.opens {
		if n != 1 {
			t.Errorf("%s was ingested %d times", name, n)
		}
	}
}

func TestTheConfigSaysWhatTheFilesSay(t *testing.T) {
	a, _ := packed(t, model(), pack.Options{})
	var c modelspec.Model
	must(t, json.Unmarshal(a.Config, &c))
	if diff := cmp.Diff(modelspec.ModelConfig{
		Architecture: "transformer", Format: "safetensors", ParamSize: "2K", Precision: "bfloat16",
		Capabilities: &modelspec.ModelCapabilities{InputTypes: []modelspec.Modality{"text"}, OutputTypes: []modelspec.Modality{"text"}},
	}, c.Config); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(modelspec.ModelDescriptor{Family: "llama", Licenses: []string{"Apache-2.0"}}, c.Descriptor); diff != "" {
		t.Error(diff)
	}
	var m ocispec.Manifest
	must(t, json.Unmarshal(a.Manifest, &m))
	if diff := cmp.Diff(map[string]string{
		"dev.modseal.base-model": "acme/base", "org.opencontainers.image.licenses": "Apache-2.0",
	}, m.Annotations); diff != "" {
		t.Error(diff)
	}
}

func TestTheSameFilesGiveTheSameDigest(t *testing.T) {
	first, _ := packed(t, model(), pack.Options{})
	dir := write(t, model())
	must(t, filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if err == nil {
			err = os.Chtimes(p, time.Time{}, time.Unix(1_000_000, 5))
		}
		return err
	}))
	must(t, os.Chmod(filepath.Join(dir, "config.json"), 0o600))
	second, err := pack.Pack(t.Context(), walk(t, dir), &memory{}, pack.Options{Concurrency: 1})
	must(t, err)
	if first.Descriptor.Digest != second.Descriptor.Digest {
		t.Errorf("%s\n%s", first.Manifest, second.Manifest)
	}
	must(t, os.Chmod(filepath.Join(dir, "config.json"), 0o755))
	third, err := pack.Pack(t.Context(), walk(t, dir), &memory{}, pack.Options{})
	must(t, err)
	if third.Descriptor.Digest == first.Descriptor.Digest {
		t.Error("an executable file gives the same digest as one that is not")
	}
}

func TestATimeIsWrittenOnlyWhenAsked(t *testing.T) {
	plain, _ := packed(t, model(), pack.Options{})
	if bytes.Contains(plain.Manifest, []byte(ocispec.AnnotationCreated)) || bytes.Contains(plain.Config, []byte("createdAt")) {
		t.Error("a time was written")
	}
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	dated, _ := packed(t, model(), pack.Options{Created: &created})
	for _, want := range []string{`"org.opencontainers.image.created":"2026-01-02T03:04:05Z"`, `\"mtime\":\"2026-01-02T03:04:05Z\"`} {
		if !bytes.Contains(dated.Manifest, []byte(want)) {
			t.Errorf("%s is missing in %s", want, dated.Manifest)
		}
	}
	if !bytes.Contains(dated.Config, []byte(`"createdAt":"2026-01-02T03:04:05Z"`)) {
		t.Errorf("config %s", dated.Config)
	}
}

func TestWhatTheUserSaysWins(t *testing.T) {
	fromFile, err := pack.ParseOverrides([]byte("model:\n  name: tiny\n  licenses: [MIT, Apache-2.0]\n  toolUsage: true\nannotations:\n  a: b\nroles:\n  - path: run/**\n    role: dataset\n"))
	must(t, err)
	o := fromFile.Merge(pack.Overrides{Set: map[string]string{"name": "tinier"}, Annotations: map[string]string{"dev.modseal.base-model": ""}})
	a, _ := packed(t, model(), pack.Options{Overrides: o})
	var c modelspec.Model
	must(t, json.Unmarshal(a.Config, &c))
	if c.Descriptor.Name != "tinier" || !slices.Equal(c.Descriptor.Licenses, []string{"MIT", "Apache-2.0"}) || c.Config.Capabilities.ToolUsage == nil {
		t.Errorf("config %s", a.Config)
	}
	var m ocispec.Manifest
	must(t, json.Unmarshal(a.Manifest, &m))
	if m.Annotations["a"] != "b" || m.Annotations["dev.modseal.base-model"] != "" || m.Annotations[ocispec.AnnotationTitle] != "tinier" {
		t.Errorf("annotations %v", m.Annotations)
	}
}

func TestOverridesAreStrict(t *testing.T) {
	for name, text := range map[string]string{
		"unknown key":       "modle: {}",
		"unknown field":     "model: {nmae: x}",
		"doubled key":       "model: {name: a}\nmodel: {name: b}",
		"nested value":      "model: {name: {a: b}}",
		"number for a text": "model: {version: 1.5}",
		"unknown role":      "roles: [{path: a, role: weights}]",
		"unknown modality":  "model: {inputTypes: [smell]}",
		"no bool":           "model: {toolUsage: perhaps}",
		"no YAML":           "{",
	} {
		t.Run(name, func(t *testing.T) {
			if o, err := pack.ParseOverrides([]byte(text)); !errors.Is(err, pack.ErrOverrides) {
				t.Errorf("%+v, %v", o, err)
			}
		})
	}
	if _, err := pack.ParseOverrides([]byte("annotations: {a: b}\nmodle: {}")); !strings.Contains(fmt.Sprint(err), `line 2: unknown field "modle"; known are model, annotations, exclude, `) {
		t.Error(err)
	}
	if o, err := pack.ParseOverrides(nil); err != nil || len(o.Set) != 0 {
		t.Errorf("an empty file: %+v, %v", o, err)
	}
}

func TestAConfigThatTheSpecificationRefusesIsFoundBeforeAByteMoves(t *testing.T) {
	for key, value := range map[string]string{"precision": "int4", "paramSize": "7.25B", "inputTypes": "smell", "colour": "red"} {
		var m memory
		_, err := pack.Pack(t.Context(), walk(t, write(t, model())), &m, pack.Options{Overrides: pack.Overrides{Set: map[string]string{key: value}}})
		if !errors.Is(err, pack.ErrOverrides) || len(m.blobs) > 0 {
			t.Errorf("%s=%s: %v, %d blobs", key, value, err, len(m.blobs))
		}
	}
}

func TestManySmallFilesAreGrouped(t *testing.T) {
	files := model()
	long := strings.Repeat("very-long-directory-name/", 6) + "é.txt"
	files[long] = "found below a path of more than a hundred bytes"
	for i := range 30 {
		files[fmt.Sprintf("docs/%03d.md", i)] = strings.Repeat("x", i*37)
	}
	a, m := packed(t, files, pack.Options{GroupAbove: 10, GroupBelow: 2000})
	parsed, err := artifacttypes.ParseManifest(a.Manifest)
	must(t, err)
	found := map[string]string{}
	for _, l := range parsed.Layers {
		blob := m.blobs[l.Descriptor.Digest]
		if int64(len(blob)) != l.Descriptor.Size {
			t.Errorf("%s: %d bytes, announced %d", l.Path, len(blob), l.Descriptor.Size)
		}
		if l.Encoding == artifacttypes.EncodingRaw {
			found[l.Path] = string(blob)
			continue
		}
		r := tar.NewReader(bytes.NewReader(blob))
		for {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			must(t, err)
			content, err := io.ReadAll(r)
			must(t, err)
			found[h.Name] = string(content)
			if h.Uid != 0 || h.Gid != 0 || !h.ModTime.Equal(time.Unix(0, 0)) || h.Uname != "" {
				t.Errorf("%s: header %+v", h.Name, h)
			}
		}
	}
	if diff := cmp.Diff(files, found); diff != "" {
		t.Error(diff)
	}
	for _, f := range a.Files {
		if f.Digest != digest.FromString(files[f.Path]) {
			t.Errorf("%s: digest %s", f.Path, f.Digest)
		}
	}
	if len(a.Files) != len(files) {
		t.Errorf("%d files of %d have a digest", len(a.Files), len(files))
	}
	again, _ := packed(t, files, pack.Options{GroupAbove: 10, GroupBelow: 2000, Concurrency: 1})
	if again.Descriptor.Digest != a.Descriptor.Digest {
		t.Error("packed again, it has another digest")
	}
}

func TestABrokenWeightIsRefused(t *testing.T) {
	files := model()
	files["model.safetensors"] = files["model.safetensors"][:60]
	_, err := pack.Pack(t.Context(), walk(t, write(t, files)), &memory{}, pack.Options{})
	if err == nil || !strings.Contains(err.Error(), "model.safetensors") {
		t.Fatal(err)
	}
}

func TestAFileThatChangesWhileItIsReadIsNoticed(t *testing.T) {
	dir := write(t, model())
	name := filepath.Join(dir, "config.json")
	changing := ingesterFunc(func(ctx context.Context, b ingest.Blob) (ocispec.Descriptor, error) {
		desc, err := ingest.Digests{}.Ingest(ctx, b)
		if b.Name == "config.json" {
			err = errors.Join(err, os.Chtimes(name, time.Time{}, time.Unix(5, 0)))
		}
		return desc, err
	})
	if _, err := pack.Pack(t.Context(), walk(t, dir), changing, pack.Options{}); !errors.Is(err, source.ErrChanged) {
		t.Fatal(err)
	}
}

type ingesterFunc func(context.Context, ingest.Blob) (ocispec.Descriptor, error)

func (f ingesterFunc) Ingest(ctx context.Context, b ingest.Blob) (ocispec.Descriptor, error) {
	return f(ctx, b)
}

func TestAManifestThatNoRegistryTakesIsRefused(t *testing.T) {
	files := map[string]string{}
	for i := range 9000 {
		files[fmt.Sprintf("shards/%05d.json", i)] = "{}"
	}
	_, err := pack.Pack(t.Context(), walk(t, write(t, files)), ingest.Digests{}, pack.Options{GroupAbove: -1})
	if !errors.Is(err, pack.ErrManifestTooLarge) {
		t.Fatal(err)
	}
	a, err := pack.Pack(t.Context(), walk(t, write(t, files)), ingest.Digests{}, pack.Options{})
	must(t, err)
	if len(a.Manifest) > 1<<20 {
		t.Errorf("grouped, the manifest has %d bytes", len(a.Manifest))
	}
}
