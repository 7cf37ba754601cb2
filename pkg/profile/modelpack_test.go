package profile_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/profile"
)

const metadata = `{"name":"a","mode":420,"uid":0,"gid":0,"size":1,"mtime":"1970-01-01T00:00:00Z","typeflag":0}`

var blobs = []digest.Digest{digest.FromString("0"), digest.FromString("1")}

// packed is a manifest of two layers as the specification wants it.
func packed() *ocispec.Manifest {
	m := &ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifacttypes.ArtifactTypeModel,
		Config: ocispec.Descriptor{MediaType: artifacttypes.MediaTypeModelConfig, Digest: digest.FromString("{}"), Size: 2},
	}
	for i, path := range []string{"a.gguf", "b.gguf"} {
		m.Layers = append(m.Layers, ocispec.Descriptor{MediaType: artifacttypes.LayerType(artifacttypes.RoleWeight, artifacttypes.EncodingRaw), Digest: blobs[i], Size: 1, Annotations: map[string]string{
			artifacttypes.AnnotationFilePath: path, artifacttypes.AnnotationFileMetadata: metadata, artifacttypes.AnnotationUntested: "false",
		}})
	}
	return m
}

func configWith(descriptor, config, modelfs string) string {
	return `{"descriptor":{` + descriptor + `},"config":{` + config + `},"modelfs":{` + modelfs + `}}`
}

// told is each deviation as LEVEL where: found.
func told(t *testing.T, m *ocispec.Manifest, config []byte) []string {
	t.Helper()
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	model, err := artifacttypes.ParseManifest(raw)
	if err != nil {
		t.Fatal("not read at all: ", err)
	}
	var out []string
	for _, d := range profile.Deviations(model, config) {
		if d.Clause == "" || d.Found == "" {
			t.Errorf("%+v", d)
		}
		out = append(out, string(d.Level)+" "+d.Where+": "+d.Found)
	}
	return out
}

func TestDeviations(t *testing.T) {
	fs := `"type":"layers","diffIds":["` + blobs[0].String() + `","` + blobs[1].String() + `"]`
	good := configWith(`"name":"a","createdAt":"2026-01-01T00:00:00Z","licenses":["MIT"]`, `"paramSize":"1.1b","precision":"int8,bool","capabilities":{"inputTypes":["text"],"more":1}`, fs)
	annotate := func(key, value string) func(*ocispec.Manifest) {
		return func(m *ocispec.Manifest) {
			if m.Layers[0].Annotations[key] = value; value == "" {
				delete(m.Layers[0].Annotations, key)
			}
		}
	}
	for name, row := range map[string]struct {
		change func(*ocispec.Manifest)
		config string
		want   []string // the beginning and another part of each, around …
	}{
		"nothing":                 {nil, good, nil},
		"config is not looked at": {nil, "", nil},
		"no types": {func(m *ocispec.Manifest) { m.MediaType, m.ArtifactType = "", "" }, good, []string{
			"MUST mediaType: it is missing", "MUST artifactType: it is missing",
		}},
		"types of before": {func(m *ocispec.Manifest) {
			m.ArtifactType, m.Config.MediaType = "application/vnd.cnai.model.manifest.v1+json", "application/vnd.cnai.model.config.v1+json"
			for i := range m.Layers {
				m.Layers[i].MediaType = "application/vnd.cnai.model.weight.v1.raw"
				m.Layers[i].Annotations = map[string]string{"org.cnai.model.filepath": m.Layers[i].Annotations[artifacttypes.AnnotationFilePath]}
			}
		}, good, []string{
			"MUST artifactType: …before 2026", "MUST config.mediaType: …before 2026", "SHOULD layers[].mediaType: layer 0 (a.gguf)…before 2026",
			"SHOULD layers[].annotations: layer 0…before 2026", "SHOULD layers[].annotations: layer 0…no org.cncf.model.filepath", "SHOULD layers[].annotations: layer 0…no org.cncf.model.file.metadata+json",
		}},
		"titles alone": {func(m *ocispec.Manifest) {
			for i := range m.Layers {
				m.Layers[i].MediaType = "application/x-gguf"
				m.Layers[i].Annotations = map[string]string{ocispec.AnnotationTitle: m.Layers[i].Annotations[artifacttypes.AnnotationFilePath]}
			}
		}, "", []string{"SHOULD layers[].mediaType: …none of the 20", "SHOULD layers[].annotations: …filepath", "SHOULD layers[].annotations: …metadata"}},
		"an empty config":        {func(m *ocispec.Manifest) { m.Config = ocispec.DescriptorEmptyJSON }, "", []string{"MUST config.mediaType: \"application/vnd.oci.empty"}},
		"untested":               {annotate(artifacttypes.AnnotationUntested, "no"), good, []string{`SHOULD layers[].annotations: …"no", and neither`}},
		"untested is not needed": {annotate(artifacttypes.AnnotationUntested, ""), good, nil},
		"metadata that lack":     {annotate(artifacttypes.AnnotationFileMetadata, `{"name":"a","size":1}`), good, []string{"SHOULD " + artifacttypes.AnnotationFileMetadata + ": …it has no mode, uid, gid, mtime, typeflag"}},
		"mtime":                  {annotate(artifacttypes.AnnotationFileMetadata, strings.Replace(metadata, "1970-01-01T", "yesterday ", 1)), good, []string{"SHOULD " + artifacttypes.AnnotationFileMetadata + ": …no time of RFC 3339"}},
		"packed weights": {func(m *ocispec.Manifest) {
			m.Layers[1].MediaType = artifacttypes.LayerType(artifacttypes.RoleWeight, artifacttypes.EncodingTarGzip)
		}, good, []string{"SHOULD layers[].mediaType: layer 1…without compression", "MUST config blob: modelfs.diffIds: layer 1…of the compressed layer"}},
		"no JSON":             {nil, `x`, []string{"MUST config blob: it is no JSON object"}},
		"a config of nothing": {nil, `{}`, []string{"MUST config blob: config: …missing", "MUST config blob: descriptor: …missing", "MUST config blob: modelfs: …missing"}},
		"no diffIds":          {nil, configWith("", "", `"type":"layers","diffIDs":[]`), []string{"MUST config blob: modelfs.diffIds: …missing", `MUST config blob: modelfs: …"diffIDs"`}},
		"few diffIds":         {nil, configWith("", "", `"type":"layer","diffIds":[]`), []string{`MUST config blob: modelfs.type: "layer"`, "MUST config blob: modelfs.diffIds: 0 digests of 2"}},
		"another diffId":      {nil, strings.Replace(good, blobs[0].String(), blobs[1].String(), 1), []string{"MUST config blob: modelfs.diffIds: layer 0 (a.gguf)"}},
		"unknown properties":  {nil, strings.Replace(good, `"name":"a"`, `"title":"t","x":1,"datasetsURL":[]`, 1), []string{`MUST config blob: descriptor: …"datasetsURL", "x"`}},
		"values": {nil, configWith(`"name":"","createdAt":"now","licenses":"MIT","version":null`, `"paramSize":"7 billion","precision":"bf16","capabilities":{"inputTypes":["smell"],"reasoning":"yes"}`, fs), []string{
			"MUST config blob: descriptor.createdAt: \"now\"", "MUST config blob: descriptor.licenses: …array of strings", "MUST config blob: descriptor.name: …not empty", "MUST config blob: descriptor.version: null",
			"MUST config blob: config.paramSize: \"7 billion\"", "MUST config blob: config.precision: \"bf16\"", "MUST config blob: config.capabilities.inputTypes: ", "MUST config blob: config.capabilities.reasoning: ",
		}},
		"another shape": {nil, `{"descriptor":[],"config":null,"modelfs":{` + fs + `},"files":[]}`, []string{"MUST config blob: config: null", "MUST config blob: descriptor: []", `MUST config blob: …"files"`}},
	} {
		t.Run(name, func(t *testing.T) {
			m := packed()
			if row.change != nil {
				row.change(m)
			}
			var config []byte
			if row.config != "" {
				config = []byte(row.config)
			}
			got := told(t, m, config)
			if len(got) != len(row.want) {
				t.Fatalf("%d deviations, not %d:\n%s", len(got), len(row.want), strings.Join(got, "\n"))
			}
			for i, want := range row.want {
				begin, part, _ := strings.Cut(want, "…")
				if !strings.HasPrefix(got[i], begin) || !strings.Contains(got[i], part) {
					t.Errorf("%q, not %q", got[i], want)
				}
			}
		})
	}
}

// What layers have in common is told once, whatever others choose to write.
func TestDeviationsAreBounded(t *testing.T) {
	m := packed()
	first := m.Layers[0]
	m.Layers = nil
	for i := range 1_000 {
		l := first
		l.Annotations = maps.Clone(first.Annotations)
		l.Annotations[artifacttypes.AnnotationFilePath] = strings.Repeat("x", i%200) + "/" + digest.FromString(string(rune('a'+i))).Encoded()
		l.Annotations[artifacttypes.AnnotationUntested] = strings.Repeat("\x1b[2J", 100)
		m.Layers = append(m.Layers, l)
	}
	m.Layers[0].Annotations[artifacttypes.AnnotationFilePath] = "a"
	m.Layers = slices.DeleteFunc(m.Layers, func(d ocispec.Descriptor) bool {
		return strings.HasPrefix(d.Annotations[artifacttypes.AnnotationFilePath], "/")
	})
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	model, err := artifacttypes.ParseManifest(raw)
	if err != nil {
		t.Fatal(err)
	}
	unknown := map[string]int{}
	for i := range 1_000 {
		unknown[strings.Repeat("k", 1_000)+string(rune('a'+i))] = i
	}
	config, err := json.Marshal(unknown)
	if err != nil {
		t.Fatal(err)
	}
	list := append(profile.Deviations(model, config), profile.UnreadConfig(errors.New(strings.Repeat("\x1b", 5_000)+strings.Repeat("e", 5_000))))
	if len(list) > 10 || list[0].Layers != len(m.Layers) {
		t.Errorf("%d deviations; %d of %d layers", len(list), list[0].Layers, len(m.Layers))
	}
	for _, d := range list {
		if len(d.Found) > 1_100 || strings.Contains(d.Found, "\x1b") {
			t.Errorf("%d bytes: %q", len(d.Found), d.Found)
		}
	}
}
