package artifacttypes_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/artifacttypes"
)

const someDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func manifest(layers string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
"artifactType":"application/vnd.cncf.model.manifest.v1+json",
"config":{"mediaType":"application/vnd.cncf.model.config.v1+json","digest":%q,"size":2},"layers":[%s]}`, someDigest, layers)
}

func layer(mediaType, digest string, size int64, annotations map[string]string) string {
	a, _ := json.Marshal(annotations)
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d,"annotations":%s}`, mediaType, digest, size, a)
}

func rawLayer(path string) string {
	return layer("application/vnd.cncf.model.weight.v1.raw", someDigest, 0, map[string]string{artifacttypes.AnnotationFilePath: path})
}

func TestParseManifestReadsModelPack(t *testing.T) {
	meta, err := artifacttypes.NewFileMetadata("run/serve.sh", 7, true, time.Unix(0, 0)).Encode()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"name":"serve.sh","mode":493,"uid":0,"gid":0,"size":7,"mtime":"1970-01-01T00:00:00Z","typeflag":0}`
	if meta != want {
		t.Errorf("metadata is %s, not %s", meta, want)
	}
	m, err := artifacttypes.ParseManifest([]byte(manifest(strings.Join([]string{
		layer("application/vnd.cncf.model.weight.v1.raw", someDigest, 5, map[string]string{
			artifacttypes.AnnotationFilePath: "model.safetensors", artifacttypes.AnnotationUntested: "false",
		}),
		layer("application/vnd.cncf.model.weight.config.v1.raw", someDigest, 6, map[string]string{"org.opencontainers.image.title": "config.json"}),
		layer("application/vnd.cncf.model.code.v1.raw", someDigest, 7, map[string]string{
			artifacttypes.AnnotationFilePath: "run/serve.sh", artifacttypes.AnnotationFileMetadata: meta,
		}),
		layer("application/vnd.cncf.model.doc.v1.tar", someDigest, 8, map[string]string{artifacttypes.AnnotationFilePath: "doc.tar"}),
		layer("application/vnd.cnai.model.dataset.v1.raw", someDigest, 9, map[string]string{"org.cnai.model.filepath": "data.csv"}),
		layer("application/octet-stream", someDigest, 10, map[string]string{"org.opencontainers.image.title": "orasfile"}),
	}, ","))))
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		Path       string
		Role       artifacttypes.Role
		Encoding   artifacttypes.Encoding
		Executable bool
		Untested   bool
	}
	var got []row
	for _, l := range m.Layers {
		got = append(got, row{l.Path, l.Role, l.Encoding, l.Executable, l.Untested})
	}
	wantRows := []row{
		{"model.safetensors", artifacttypes.RoleWeight, artifacttypes.EncodingRaw, false, false},
		{"config.json", artifacttypes.RoleWeightConfig, artifacttypes.EncodingRaw, false, true},
		{"run/serve.sh", artifacttypes.RoleCode, artifacttypes.EncodingRaw, true, true},
		{"doc.tar", artifacttypes.RoleDoc, artifacttypes.EncodingTar, false, true},
		{"data.csv", artifacttypes.RoleDataset, artifacttypes.EncodingRaw, false, true},
		{"orasfile", "", artifacttypes.EncodingRaw, false, true},
	}
	if diff := cmp.Diff(wantRows, got); diff != "" {
		t.Error(diff)
	}
	if m.Size() != 45 {
		t.Errorf("size is %d", m.Size())
	}
}

func TestParseManifestRefuses(t *testing.T) {
	raw := "application/vnd.cncf.model.weight.v1.raw"
	with := func(meta string) string {
		return layer(raw, someDigest, 5, map[string]string{artifacttypes.AnnotationFilePath: "x", artifacttypes.AnnotationFileMetadata: meta})
	}
	for name, tt := range map[string]struct {
		text string
		want error
	}{
		"no JSON":                  {"{", artifacttypes.ErrInvalidManifest},
		"too large":                {manifest(rawLayer("a")) + strings.Repeat(" ", artifacttypes.MaxManifestBytes), artifacttypes.ErrInvalidManifest},
		"schema version":           {strings.Replace(manifest(rawLayer("a")), `n":2`, `n":1`, 1), artifacttypes.ErrInvalidManifest},
		"index by its media type":  {strings.Replace(manifest(rawLayer("a")), "image.manifest", "image.index", 1), artifacttypes.ErrInvalidManifest},
		"no layers":                {manifest(""), artifacttypes.ErrNotAModel},
		"image layer":              {manifest(layer("application/vnd.oci.image.layer.v1.tar+gzip", someDigest, 5, nil)), artifacttypes.ErrNotAModel},
		"digest with a path":       {manifest(layer(raw, "sha256:../../etc/passwd", 5, map[string]string{artifacttypes.AnnotationFilePath: "x"})), artifacttypes.ErrInvalidManifest},
		"digest of a weak hash":    {manifest(layer(raw, "md5:d41d8cd98f00b204e9800998ecf8427e", 5, map[string]string{artifacttypes.AnnotationFilePath: "x"})), artifacttypes.ErrInvalidManifest},
		"negative size":            {manifest(layer(raw, someDigest, -1, map[string]string{artifacttypes.AnnotationFilePath: "x"})), artifacttypes.ErrInvalidManifest},
		"a size that no blob has":  {manifest(layer(raw, someDigest, artifacttypes.MaxBlobBytes+1, map[string]string{artifacttypes.AnnotationFilePath: "x"})), artifacttypes.ErrInvalidManifest},
		"no name":                  {manifest(layer(raw, someDigest, 5, nil)), artifacttypes.ErrUnsafePath},
		"../x":                     {manifest(rawLayer("../x")), artifacttypes.ErrUnsafePath},
		"/x":                       {manifest(rawLayer("/x")), artifacttypes.ErrUnsafePath},
		"a/../../x":                {manifest(rawLayer("a/../../x")), artifacttypes.ErrUnsafePath},
		`C:\x`:                     {manifest(rawLayer(`C:\x`)), artifacttypes.ErrUnsafePath},
		"one path twice":           {manifest(rawLayer("a") + "," + rawLayer("a")), artifacttypes.ErrUnsafePath},
		"paths that fold together": {manifest(rawLayer("A") + "," + rawLayer("a")), artifacttypes.ErrUnsafePath},
		"metadata that lies":       {manifest(with(`{"size":6}`)), artifacttypes.ErrInvalidManifest},
		"metadata of a link":       {manifest(with(`{"size":5,"typeflag":2}`)), artifacttypes.ErrInvalidManifest},
		"metadata of no shape":     {manifest(with(`[]`)), artifacttypes.ErrInvalidManifest},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := artifacttypes.ParseManifest([]byte(tt.text))
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v and %v, not %v", m, err, tt.want)
			}
		})
	}
}

func TestLayerTypes(t *testing.T) {
	for _, r := range artifacttypes.Roles() {
		for _, e := range []artifacttypes.Encoding{artifacttypes.EncodingRaw, artifacttypes.EncodingTar, artifacttypes.EncodingTarGzip, artifacttypes.EncodingTarZstd} {
			role, encoding, ok := artifacttypes.ParseLayerType(artifacttypes.LayerType(r, e))
			if !ok || role != r || encoding != e {
				t.Errorf("%s %s came back as %s %s %v", r, e, role, encoding, ok)
			}
		}
	}
	for _, mt := range []string{
		"application/vnd.cncf.model.weight.v1.raw+gzip", "application/vnd.cncf.model.weight.v2.raw",
		"application/vnd.cncf.model.weights.v1.raw", "application/vnd.cncf.model.config.v1+json", "",
	} {
		if _, _, ok := artifacttypes.ParseLayerType(mt); ok {
			t.Errorf("%q is taken for a layer type", mt)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(manifest(rawLayer("a"))))
	f.Add([]byte(manifest(rawLayer("../a"))))
	f.Add([]byte(manifest(layer("application/vnd.cncf.model.doc.v1.tar+zstd", someDigest, 1<<62, nil))))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := artifacttypes.ParseManifest(raw)
		if err != nil {
			return
		}
		set := artifacttypes.NewPathSet()
		for _, l := range m.Layers {
			if l.Descriptor.Size < 0 || artifacttypes.ValidateDigest(l.Descriptor.Digest) != nil {
				t.Fatalf("layer %+v was accepted", l.Descriptor)
			}
			if l.Encoding == artifacttypes.EncodingRaw {
				if err := set.Add(l.Path); err != nil {
					t.Fatal(err)
				}
			}
		}
		if m.Size() < 0 {
			t.Fatal("the size overflowed")
		}
	})
}
