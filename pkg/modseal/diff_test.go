//go:build unix

package modseal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/modelfile/safetensors"
	"github.com/modseal/modseal/pkg/store"
)

// putFiles stores a model of raw files. Weights are *.safetensors and *.gguf.
func putFiles(t *testing.T, layout *store.Layout, tag string, files map[string][]byte) {
	t.Helper()
	put := func(mediaType string, content []byte) ocispec.Descriptor {
		t.Helper()
		d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
		if err := layout.Push(t.Context(), d, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		return d
	}
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifacttypes.ArtifactTypeModel,
		Config: put(artifacttypes.MediaTypeModelConfig, []byte(`{"descriptor":{},"config":{},"modelfs":{"type":"layers","diffIds":[]}}`)),
	}
	for path, content := range files {
		role := artifacttypes.RoleWeight
		if strings.HasSuffix(path, ".json") {
			role = artifacttypes.RoleWeightConfig
		}
		d := put(artifacttypes.LayerType(role, artifacttypes.EncodingRaw), content)
		d.Annotations = map[string]string{artifacttypes.AnnotationFilePath: path}
		m.Layers = append(m.Layers, d)
	}
	raw, err := artifacttypes.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := layout.Tag(t.Context(), put(ocispec.MediaTypeImageManifest, raw), tag); err != nil {
		t.Fatal(err)
	}
}

func oneTensor(dtype string, n, size int, fill byte) []byte {
	header := fmt.Sprintf(`{"w":{"dtype":%q,"shape":[%d],"data_offsets":[0,%d]}}`, dtype, n, n*size)
	out := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
	return append(out, bytes.Repeat([]byte{fill}, n*size)...)
}

// A stranger's weights are nothing that ends a comparison: what is no header, lies
// about its length or is not there is said, and the rest is compared.
func TestDiffOfHostileAndMissingWeights(t *testing.T) {
	layout, at := newLayout(t)
	long := binary.LittleEndian.AppendUint64(nil, 90_000_000)
	gone := oneTensor("F32", 4, 4, 9)
	putFiles(t, layout, "a", map[string][]byte{
		"good.safetensors": oneTensor("F32", 4, 4, 1), "none.safetensors": []byte("no header at all"),
		"long.safetensors": append(long, '{'), "short.gguf": []byte("GGUF\x03"), "gone.safetensors": gone,
		"deep.json": []byte(`[`), "list.json": []byte(`[1]`), "config.json": []byte(`{"a": 1}`),
	})
	putFiles(t, layout, "b", map[string][]byte{
		// Not added: unknown at a.
		"none.safetensors": oneTensor("F32", 4, 4, 1),
		"good.safetensors": oneTensor("F16", 4, 2, 1), "deep.json": []byte(`{`), "list.json": []byte(`[2]`), "config.json": []byte(`{"a": 2}`),
	})
	if err := os.Remove(filepath.Join(strings.TrimPrefix(at, "oci:"), "blobs", "sha256", digest.FromBytes(gone).Encoded())); err != nil {
		t.Fatal(err)
	}
	res, err := newClient(t).Diff(t.Context(), at+":a", at+":b", DiffOptions{})
	if err != nil {
		t.Fatal(err)
	}
	why := map[string]string{}
	for _, u := range res.Tensors.Unread {
		why[u.Side+" "+u.Path] = u.Why
	}
	for path, want := range map[string]string{
		"a none.safetensors": "larger than", "a long.safetensors": "does not fit", "a short.gguf": "beyond the file", "a gone.safetensors": "not there",
	} {
		if !strings.Contains(why[path], want) {
			t.Errorf("%s: %q, want %q", path, why[path], want)
		}
	}
	if len(why) != 4 || len(res.Tensors.Changes) != 1 || res.Tensors.Changes[0].After.Type != "F16" {
		t.Errorf("unread %v, changes %+v", why, res.Tensors.Changes)
	}
	if len(res.Fields) != 1 || string(res.Fields[0].After) != "2" {
		t.Errorf("fields %+v", res.Fields)
	}
}

// A registry is asked for the headers of what differs, and for no other byte of a
// layer; what is told of it is what was sent.
func TestDiffFetchesNoTensor(t *testing.T) {
	host, registry := startRegistry(t)
	var sent atomic.Int64
	inner := registry.Handler
	registry.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			w = &countedWriter{w, &sent}
		}
		inner.ServeHTTP(w, r)
	})
	layout, at := newLayout(t)
	equal := oneTensor("F32", 100_000, 4, 7)
	putFiles(t, layout, "a", map[string][]byte{"equal.safetensors": equal, "w.safetensors": oneTensor("F32", 100_000, 4, 1)})
	putFiles(t, layout, "b", map[string][]byte{"equal.safetensors": equal, "w.safetensors": oneTensor("F32", 100_000, 4, 2)})
	client := newClient(t)
	for _, tag := range []string{"a", "b"} {
		if _, err := client.Copy(t.Context(), at+":"+tag, host+"/m:"+tag, CopyOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	sent.Store(0)
	res, err := client.Diff(t.Context(), host+"/m:a", host+"/m:b", DiffOptions{})
	if err != nil {
		t.Fatal(err)
	}
	header := int64(binary.LittleEndian.Uint64(equal)) + 8
	if res.Fetched.Headers != 2*header || res.Tensors.Alike != 1 || len(res.Tensors.Changes) != 0 {
		t.Errorf("headers of %d bytes, want %d; %+v", res.Fetched.Headers, 2*header, res.Tensors)
	}
	// Blobs are the config, twice, and the headers.
	if n := sent.Load(); n > 2*header+200 {
		t.Errorf("%d bytes of blobs were sent", n)
	}
	if res.Equal || res.Other || res.Files.Equal != 1 {
		t.Errorf("%+v", res)
	}
}

type countedWriter struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *countedWriter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// What is read of one side is bounded: a stranger may announce a thousand headers
// of 100 MB.
func TestDiffBoundsHeaders(t *testing.T) {
	m := newViewMeter()
	m.budget = limits.DiffHeaderBytes
	r := &meteredAt{zeroReader{}, m}
	p := make([]byte, 64<<20)
	for i := range 10 {
		_, err := r.ReadAt(p, 0)
		if i < 4 && err != nil || i >= 4 && err == nil {
			t.Fatalf("read %d of 64 MiB: %v", i, err)
		}
	}
}

// A file with more tensors than a reader keeps for others is compared all the same.
func TestDiffOfManyTensors(t *testing.T) {
	layout, at := newLayout(t)
	putFiles(t, layout, "a", map[string][]byte{"w.safetensors": manyTensors(safetensors.MaxKept+1, "U8")})
	putFiles(t, layout, "b", map[string][]byte{"w.safetensors": manyTensors(safetensors.MaxKept+1, "I8")})
	res, err := newClient(t).Diff(t.Context(), at+":a", at+":b", DiffOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Tensors.Changes) != safetensors.MaxKept+1 || len(res.Tensors.Unread) != 0 {
		t.Errorf("%d changes, unread %+v", len(res.Tensors.Changes), res.Tensors.Unread)
	}
}

// A side is cut while it is read, by the order of its files alone: one that has more
// than is left is said, and what comes behind it is compared. No more than what is
// kept, and half of that for what is read ahead, is ever held.
func TestDiffCutsWhileReading(t *testing.T) {
	layout, at := newLayout(t)
	const most, large = 4_000, 100_000
	model := func(dtype string) map[string][]byte {
		return map[string][]byte{
			"1.safetensors": manyTensors(2_000, dtype), "2.safetensors": manyTensors(large, dtype), "3.safetensors": manyTensors(large, dtype),
			"4.safetensors": manyTensors(1_500, dtype), "5.safetensors": manyTensors(501, dtype), "6.safetensors": manyTensors(500, dtype),
		}
	}
	putFiles(t, layout, "a", model("U8"))
	putFiles(t, layout, "b", model("I8"))
	compare := func(o DiffOptions) (*DiffResult, uint64) {
		t.Helper()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		res, err := newClient(t).Diff(t.Context(), at+":a", at+":b", o)
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatal(err)
		}
		return res, after.TotalAlloc - before.TotalAlloc
	}
	res, taken := compare(DiffOptions{mostTensors: most})
	var unread []string
	for _, u := range res.Tensors.Unread {
		if u.Why != "there are more than 4000 tensors" {
			t.Errorf("%+v", u)
		}
		unread = append(unread, u.Side+u.Path[:1])
	}
	// All that is compared has another type: 2,000, 1,500 and 500.
	if got := strings.Join(unread, " "); got != "a2 a3 a5 b2 b3 b5" || len(res.Tensors.Changes) != 4_000 {
		t.Errorf("unread %s; %d changes", got, len(res.Tensors.Changes))
	}
	// What is too many is not kept: 400,000 tensors take more than 30 MB.
	if all, whole := compare(DiffOptions{}); len(all.Tensors.Unread) != 0 || taken > whole/2 {
		t.Errorf("%d bytes were allocated, of %d for all of it", taken, whole)
	}
}

// manyTensors are n tensors without data.
func manyTensors(n int, dtype string) []byte {
	out := append(make([]byte, 8), '{')
	for i := range n {
		if i > 0 {
			out = append(out, ',')
		}
		out = fmt.Appendf(out, `"%d":{"dtype":"%s","shape":[0],"data_offsets":[0,0]}`, i, dtype)
	}
	out = append(out, '}')
	binary.LittleEndian.PutUint64(out, uint64(len(out)-8))
	return out
}

type zeroReader struct{}

func (zeroReader) ReadAt(p []byte, _ int64) (int, error) { return len(p), nil }
