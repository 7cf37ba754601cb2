//go:build unix

package modseal

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
)

type tarMember struct{ name, content string }

// tarOfFiles is an archive of files, filled up with zeros to size bytes, unless that is 0.
func tarOfFiles(t *testing.T, size int, members ...tarMember) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		if err := w.WriteHeader(&tar.Header{Name: m.name, Size: int64(len(m.content)), Mode: 0o644, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return append(b.Bytes(), make([]byte, max(0, size-b.Len()))...)
}

// liar passes everything on to a registry, but that it gives other bytes to whoever
// asks for parts of a blob.
func liar(t *testing.T, host string, blob digest.Digest, lie []byte) string {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") != "" && strings.HasSuffix(r.URL.Path, blob.String()) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(lie))
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// What lies in a tar layer is learned from its headers, which are read in parts. A
// registry that shows other headers than the layer has hides a file from a scan and
// from an SBOM, or has them look at other bytes of the very same layer: nothing is
// signed, and nothing is said to be proven.
func TestHeadersOfATarThatLie(t *testing.T) {
	evil := tarMember{"model.pkl", evilGlobal + strings.Repeat("#", 1024-len(evilGlobal))}
	clean := strings.Repeat("words ", 171)[:1024]
	// At the end of this file lies what looks like a clean model.pkl.
	other := tarMember{"notes.txt", strings.Repeat("n", 3072)}
	truth := tarOfFiles(t, 0, evil, other, tarMember{"a.txt", clean})
	size := len(truth)
	for name, lie := range map[string][]byte{
		"an empty archive": tarOfFiles(t, size),
		"a file hidden":    tarOfFiles(t, size, tarMember{"a.txt", clean}),
		"an end cut off":   tarOfFiles(t, size, evil, other),
		"another size":     tarOfFiles(t, size, tarMember{"model.pkl", evil.content[:1000]}, other, tarMember{"a.txt", clean}),
		"another place":    tarOfFiles(t, size, other, tarMember{"model.pkl", clean}, tarMember{"a.txt", clean}),
		"another name":     tarOfFiles(t, size, tarMember{"model.txt", evil.content}, other, tarMember{"a.txt", clean}),
	} {
		t.Run(name, func(t *testing.T) {
			host, _ := startRegistry(t)
			layout, at := newLayout(t)
			put := func(mediaType string, content []byte) ocispec.Descriptor {
				d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
				if err := layout.Push(t.Context(), d, bytes.NewReader(content)); err != nil {
					t.Fatal(err)
				}
				return d
			}
			m := ocispec.Manifest{
				Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifacttypes.ArtifactTypeModel,
				Config: put(artifacttypes.MediaTypeModelConfig, []byte(`{"descriptor":{},"config":{},"modelfs":{"type":"layers","diffIds":[]}}`)),
				Layers: []ocispec.Descriptor{put(artifacttypes.LayerType(artifacttypes.RoleDoc, artifacttypes.EncodingTar), truth)},
			}
			manifest, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if err := layout.Tag(t.Context(), put(ocispec.MediaTypeImageManifest, manifest), "v1"); err != nil {
				t.Fatal(err)
			}
			client := newClient(t)
			if _, err := client.Copy(t.Context(), at+":v1", host+"/m:v1", CopyOptions{}); err != nil {
				t.Fatal(err)
			}
			target := liar(t, host, digest.FromBytes(truth), lie) + "/m:v1"
			private, _ := makeKey(t)
			var bad *integrity.Error
			if res, err := client.Scan(t.Context(), target, ScanOptions{Sign: &SignOptions{Key: private, Password: password}}); !errors.As(err, &bad) || ClassOf(err) != ClassIntegrity {
				t.Errorf("scan: %+v, %v", res, err)
			}
			if res, err := client.SBOM(t.Context(), target, SBOMOptions{}); !errors.As(err, &bad) {
				t.Errorf("sbom: %+v, %v", res, err)
			}
			tree, err := client.Tree(t.Context(), target, TreeOptions{})
			if err != nil || len(tree.Referrers) != 0 {
				t.Errorf("attached: %+v, %v", tree, err)
			}
		})
	}
}

// What is signed was read of this model: of files that were read in parts the whole
// is fetched, and compared. What is too large for that is named.
func TestPartsThatLieAreNotSigned(t *testing.T) {
	pad := strings.Repeat(" ", limits.ViewWholeBytes)
	for name, row := range map[string]struct{ file, truth, lie string }{
		"a licence":         {"README.md", "---\nlicense: gpl-3.0\n---\n" + pad, "---\nlicense: mit    \n---\n" + pad},
		"what it came from": {"README.md", "---\nbase_model: a/b\n---\n" + pad, "---\nbase_model: c/d\n---\n" + pad},
		"training":          {"trainer_state.json", `{"global_step": 1}` + pad, `{"global_step": 9}` + pad},
	} {
		t.Run(name, func(t *testing.T) {
			host, _ := startRegistry(t)
			layout, at := newLayout(t)
			putFiles(t, layout, "v1", map[string][]byte{row.file: []byte(row.truth), "w.safetensors": oneTensor("F32", 4, 4, 7)})
			client := newClient(t)
			if _, err := client.Copy(t.Context(), at+":v1", host+"/m:v1", CopyOptions{}); err != nil {
				t.Fatal(err)
			}
			private, _ := makeKey(t)
			signer := &SignOptions{Key: private, Password: password}
			target := liar(t, host, digest.FromString(row.truth), []byte(row.lie)) + "/m:v1"
			var bad *integrity.Error
			if res, err := client.Provenance(t.Context(), target, ProvenanceOptions{Attach: signer}); !errors.As(err, &bad) {
				t.Errorf("provenance: %+v, %v", res, err)
			}
			if row.file == "README.md" {
				if res, err := client.SBOM(t.Context(), target, SBOMOptions{Attach: true, Sign: signer}); !errors.As(err, &bad) {
					t.Errorf("sbom: %+v, %v", res, err)
				}
			}
			if tree, err := client.Tree(t.Context(), target, TreeOptions{}); err != nil || len(tree.Referrers) != 0 {
				t.Errorf("attached: %+v, %v", tree, err)
			}
			target = host + "/m:v1" // which does not lie
			if res, err := client.Provenance(t.Context(), target, ProvenanceOptions{Attach: signer}); err != nil || res.Attestation == nil {
				t.Errorf("provenance: %+v, %v", res, err)
			}
			if res, err := client.SBOM(t.Context(), target, SBOMOptions{Attach: true, Sign: signer}); err != nil || len(res.Warnings) != 0 {
				t.Errorf("sbom: %+v, %v", res, err)
			}
		})
	}
}

func TestPartsOfWhatIsTooLargeAreNamed(t *testing.T) {
	layout, at := newLayout(t)
	putFiles(t, layout, "v1", map[string][]byte{"w.safetensors": oneTensor("F32", limits.ViewProofBytes/4, 4, 7)})
	private, _ := makeKey(t)
	res, err := newClient(t).SBOM(t.Context(), at+":v1", SBOMOptions{Attach: true, Sign: &SignOptions{Key: private, Password: password}})
	if err != nil || len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "w.safetensors") {
		t.Errorf("%+v, %v", res, err)
	}
}

const evilGlobal = "cos\nsystem\n(S'id'\ntR."
