package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/olareg/olareg/config"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/referrer"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/transfer"
)

func noReferrersAPI() config.Config {
	off := false
	return config.Config{API: config.ConfigAPI{Referrer: config.ConfigAPIReferrer{Enabled: &off}}}
}

func pushRaw(t *testing.T, repo *remote.Repository, mediaType string, raw []byte) ocispec.Descriptor {
	t.Helper()
	d := describe(mediaType, raw)
	if err := repo.Push(t.Context(), d, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	return d
}

func pushJSON(t *testing.T, repo *remote.Repository, mediaType string, v any) ocispec.Descriptor {
	t.Helper()
	raw, err := artifacttypes.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return pushRaw(t, repo, mediaType, raw)
}

func pushModel(t *testing.T, repo *remote.Repository, layers ...[]byte) ocispec.Descriptor {
	t.Helper()
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: artifacttypes.ArtifactTypeModel, Config: pushRaw(t, repo, artifacttypes.MediaTypeModelConfig, []byte("{}")),
	}
	for _, l := range layers {
		m.Layers = append(m.Layers, pushRaw(t, repo, "application/vnd.cncf.model.weight.v1.raw", l))
	}
	return pushJSON(t, repo, ocispec.MediaTypeImageManifest, m)
}

func attach(t *testing.T, target referrer.Target, subject ocispec.Descriptor, content string) ocispec.Descriptor {
	t.Helper()
	d, err := referrer.Attach(t.Context(), target, subject, referrer.Attachment{
		ArtifactType: artifacttypes.MediaTypeBundle, Blob: []byte(content), Annotations: map[string]string{"content": content},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// graph is an index of two models, everything of it signed, one signature of it
// signed again.
type graph struct {
	index, a, b    ocispec.Descriptor
	ofIndex, ofA   ocispec.Descriptor
	ofSignature    ocispec.Descriptor
	layerA, layerB []byte
}

func newGraph(t *testing.T, repo *remote.Repository) *graph {
	t.Helper()
	g := &graph{layerA: randomBytes(300_000), layerB: randomBytes(200_000)}
	shared := randomBytes(1000)
	g.a = pushModel(t, repo, g.layerA, shared, nil)
	g.b = pushModel(t, repo, g.layerB, shared)
	g.index = pushJSON(t, repo, ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{g.a, g.b},
	})
	g.ofIndex = attach(t, repo, g.index, "signature of the index")
	g.ofA = attach(t, repo, g.a, "signature of a")
	g.ofSignature = attach(t, repo, g.ofIndex, "signature of the signature")
	return g
}

// check looks at the copy with eyes of its own.
func (g *graph) check(t *testing.T, dst referrer.Source) {
	t.Helper()
	for _, want := range []struct{ subject, referrer ocispec.Descriptor }{{g.index, g.ofIndex}, {g.a, g.ofA}, {g.ofIndex, g.ofSignature}} {
		nodes, err := referrer.List(t.Context(), dst, want.subject)
		if err != nil || len(nodes) != 1 || nodes[0].Descriptor.Digest != want.referrer.Digest {
			t.Errorf("referrers of %s: %v, %v", want.subject.Digest, nodes, err)
		}
	}
	for _, raw := range [][]byte{g.layerA, g.layerB, nil} {
		rc, err := dst.Fetch(t.Context(), describe("application/x", raw))
		if err != nil {
			t.Error(err)
			continue
		}
		if got, err := io.ReadAll(rc); err != nil || !bytes.Equal(got, raw) {
			t.Errorf("a layer of %d bytes is another: %v", len(raw), err)
		}
		_ = rc.Close()
	}
}

func count(r *transfer.CopyResult, kind transfer.Kind, outcome transfer.Outcome) int {
	n := 0
	for _, i := range r.Items {
		if i.Kind == kind && i.Outcome == outcome {
			n++
		}
	}
	return n
}

func TestCopy(t *testing.T) {
	for name, confs := range map[string][2]config.Config{
		"API to API":           {{}, {}},
		"API to fallback tag":  {{}, noReferrersAPI()},
		"fallback tag to API":  {noReferrersAPI(), {}},
		"fallback to fallback": {noReferrersAPI(), noReferrersAPI()},
	} {
		t.Run(name, func(t *testing.T) {
			srcReg, dstReg := newRegistry(t, confs[0], nil), newRegistry(t, confs[1], nil)
			src := srcReg.repository(t, "team/model", remote.Options{})
			dst := dstReg.repository(t, "mirror/model", remote.Options{})
			g := newGraph(t, src)
			p := newReporter()
			result, err := transfer.Copy(t.Context(), src, dst, g.index, transfer.CopyOptions{Referrers: true, Progress: p})
			if err != nil {
				t.Fatal(err)
			}
			g.check(t, dst)
			// a, b and the index; three signatures; {} as both configs, two layers,
			// a shared one, an empty one, three bundles.
			if m, r, b := count(result, transfer.KindManifest, transfer.Copied), count(result, transfer.KindReferrer, transfer.Copied), count(result, transfer.KindBlob, transfer.Copied); m != 3 || r != 3 || b != 8 {
				t.Errorf("copied %d manifests, %d referrers, %d blobs: %+v", m, r, b, result.Items)
			}
			var tags []string
			if err := dst.Tags(t.Context(), "", func(page []string) error { tags = append(tags, page...); return nil }); err != nil {
				t.Fatal(err)
			}
			for _, tag := range tags {
				if !strings.HasPrefix(tag, "sha256-") {
					t.Errorf("tag %s was written", tag)
				}
			}
			checkOrder(t, dstReg, g)

			// Once more: nothing moves.
			dstReg.forget()
			result, err = transfer.Copy(t.Context(), src, dst, g.index, transfer.CopyOptions{Referrers: true})
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range result.Items {
				if i.Outcome != transfer.Existed {
					t.Errorf("second copy: %+v", i)
				}
			}
			for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch} {
				if n := len(dstReg.seen(method, "")); n != 0 {
					t.Errorf("second copy: %d %s", n, method)
				}
			}
		})
	}
}

// checkOrder checks that nothing was written before what it names.
func checkOrder(t *testing.T, reg *testRegistry, g *graph) {
	t.Helper()
	at := func(d digest.Digest) int {
		return slices.IndexFunc(reg.log, func(r *request) bool {
			return r.method == http.MethodPut && (strings.HasSuffix(r.path, "/manifests/"+d.String()) || strings.Contains(r.query, "digest="+strings.Replace(d.String(), ":", "%3A", 1)))
		})
	}
	order := []digest.Digest{digest.FromBytes(g.layerA), g.a.Digest, g.index.Digest, g.ofIndex.Digest, g.ofSignature.Digest}
	for i, d := range order {
		if at(d) < 0 || i > 0 && at(order[i-1]) > at(d) {
			t.Errorf("%s was written as request %d, what comes before it as %d", d, at(d), at(order[max(0, i-1)]))
		}
	}
	if at(g.b.Digest) > at(g.index.Digest) || at(g.a.Digest) > at(g.ofA.Digest) {
		t.Error("an index before its child, or a referrer before its subject")
	}
}

func TestCopyWithoutReferrers(t *testing.T) {
	src := newRegistry(t, config.Config{}, nil).repository(t, "team/model", remote.Options{})
	dst := newRegistry(t, config.Config{}, nil).repository(t, "team/model", remote.Options{})
	g := newGraph(t, src)
	if _, err := transfer.Copy(t.Context(), src, dst, g.a, transfer.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	if nodes, err := referrer.List(t.Context(), dst, g.a); err != nil || len(nodes) != 0 {
		t.Errorf("List = %v, %v", nodes, err)
	}
	if _, err := dst.Resolve(t.Context(), g.b.Digest.String()); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("something else was copied: %v", err)
	}
}

// That a manifest is there does not mean that all below it is (oras#2072).
func TestCopyRepairs(t *testing.T) {
	sparse := true
	src := newRegistry(t, config.Config{}, nil).repository(t, "team/model", remote.Options{})
	dst := newRegistry(t, config.Config{API: config.ConfigAPI{Manifest: config.ConfigAPIManifest{SparseImage: &sparse, SparseIndex: &sparse}}}, nil).repository(t, "team/model", remote.Options{})
	g := newGraph(t, src)
	rc, err := src.Fetch(t.Context(), g.index)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if err := dst.Push(t.Context(), g.index, rc); err != nil {
		t.Fatal(err)
	}
	if _, err := transfer.Copy(t.Context(), src, dst, g.index, transfer.CopyOptions{Referrers: true}); err != nil {
		t.Fatal(err)
	}
	g.check(t, dst)
}

func TestCopyMounts(t *testing.T) {
	for name, fault := range map[string]front{
		"mounts": nil,
		"begins a session instead": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, "mount=", "x=")
			next.ServeHTTP(w, r)
		},
		"refuses": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if strings.Contains(r.URL.RawQuery, "mount=") {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			next.ServeHTTP(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			reg := newRegistry(t, config.Config{}, nil)
			src := reg.repository(t, "team/model", remote.Options{})
			dst := reg.repository(t, "prod/model", remote.Options{})
			g := newGraph(t, src)
			reg.setFault(fault)
			result, err := transfer.Copy(t.Context(), src, dst, g.index, transfer.CopyOptions{Referrers: true})
			if err != nil {
				t.Fatal(err)
			}
			g.check(t, dst)
			if mounted := count(result, transfer.KindBlob, transfer.Mounted); (mounted == 0) != (fault != nil) {
				t.Errorf("%d blobs mounted: %+v", mounted, result.Items)
			}
		})
	}
}

func TestCopyChecksBytesInFlight(t *testing.T) {
	srcReg := newRegistry(t, config.Config{}, nil)
	src := srcReg.repository(t, "team/model", remote.Options{})
	dstReg := newRegistry(t, config.Config{}, nil)
	dst := dstReg.repository(t, "team/model", remote.Options{})
	g := newGraph(t, src)
	bad := digest.FromBytes(g.layerA).String()
	srcReg.setFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, bad) {
			wrong := slices.Clone(g.layerA)
			wrong[1000] ^= 1
			_, _ = w.Write(wrong)
			return
		}
		next.ServeHTTP(w, r)
	})
	_, err := transfer.Copy(t.Context(), src, dst, g.index, transfer.CopyOptions{Referrers: true})
	var broken *integrity.Error
	if !errors.As(err, &broken) || broken.Want.String() != bad {
		t.Errorf("err = %v", err)
	}
	for _, d := range []ocispec.Descriptor{g.index, g.a, describe("x/y", g.layerA)} {
		if ok, err := dst.Exists(t.Context(), d); err != nil || ok {
			t.Errorf("%s is at the destination: %v, %v", d.Digest, ok, err)
		}
	}
	// The body was never whole: the last bytes are held back until the digest is
	// known to be right.
	for _, put := range dstReg.seen(http.MethodPut, "/uploads/") {
		if strings.Contains(put.query, strings.TrimPrefix(bad, "sha256:")) && put.received.Load() >= int64(len(g.layerA)) {
			t.Error("a wrong blob was sent whole")
		}
	}
}

func TestCopyToAndFromOtherTargets(t *testing.T) {
	for _, native := range []bool{true, false} {
		t.Run(fmt.Sprintf("native %v", native), func(t *testing.T) {
			src := newRegistry(t, config.Config{}, nil).repository(t, "team/model", remote.Options{})
			g := newGraph(t, src)
			mem := newMemory(native)
			p := newReporter()
			if _, err := transfer.Copy(t.Context(), src, mem, g.index, transfer.CopyOptions{Referrers: true, Progress: p}); err != nil {
				t.Fatal(err)
			}
			g.check(t, mem)
			for name, size := range p.started {
				if p.moved[name] != size {
					t.Errorf("progress of %s: %d of %d", name, p.moved[name], size)
				}
			}
			dst := newRegistry(t, noReferrersAPI(), nil).repository(t, "team/model", remote.Options{})
			if _, err := transfer.Copy(t.Context(), mem, dst, g.index, transfer.CopyOptions{Referrers: true}); err != nil {
				t.Fatal(err)
			}
			g.check(t, dst)
		})
	}
}

func TestCopyRefusesOddManifests(t *testing.T) {
	src := newMemory(true)
	dst := newMemory(true)
	both := []byte(`{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"manifests":[]}`)
	badDigest := []byte(`{"schemaVersion":2,"layers":[{"mediaType":"a/b","digest":"sha256:../x","size":2}]}`)
	negative := []byte(`{"schemaVersion":2,"layers":[{"mediaType":"a/b","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":-2}]}`)
	for name, c := range map[string]struct {
		mediaType string
		raw       []byte
	}{
		"image and index":  {ocispec.MediaTypeImageManifest, both},
		"malformed digest": {ocispec.MediaTypeImageManifest, badDigest},
		"negative size":    {ocispec.MediaTypeImageManifest, negative},
		"other media type": {ocispec.MediaTypeImageManifest, []byte(`{"mediaType":"application/vnd.oci.image.index.v1+json"}`)},
		"no manifest type": {"text/plain", []byte(`{}`)},
		"no JSON":          {ocispec.MediaTypeImageManifest, []byte(`{`)},
	} {
		root := describe(c.mediaType, c.raw)
		if err := src.Push(t.Context(), root, bytes.NewReader(c.raw)); err != nil {
			t.Fatal(err)
		}
		if _, err := transfer.Copy(t.Context(), src, dst, root, transfer.CopyOptions{}); err == nil {
			t.Errorf("%s: copied", name)
		}
	}
	// Indexes of indexes without end.
	top := describe(ocispec.MediaTypeImageIndex, []byte(`{"schemaVersion":2,"manifests":[]}`))
	_ = src.Push(t.Context(), top, strings.NewReader(`{"schemaVersion":2,"manifests":[]}`))
	for range 20 {
		raw := fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, top.MediaType, top.Digest, top.Size)
		top = describe(ocispec.MediaTypeImageIndex, raw)
		_ = src.Push(t.Context(), top, bytes.NewReader(raw))
	}
	var tooMany *referrer.TooManyError
	if _, err := transfer.Copy(t.Context(), src, dst, top, transfer.CopyOptions{}); !errors.As(err, &tooMany) {
		t.Errorf("deep indexes: %v", err)
	}
}

func TestCancelledCopy(t *testing.T) {
	checkGoroutines(t)
	srcReg := newRegistry(t, config.Config{}, nil)
	src := srcReg.repository(t, "team/model", remote.Options{})
	dst := newRegistry(t, config.Config{}, nil).repository(t, "team/model", remote.Options{})
	g := newGraph(t, src)
	ctx, cancel := context.WithCancelCause(t.Context())
	srcReg.setFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if isBlobGet(r) {
			cancel(errInterrupted)
			srcReg.stall(r)
			return
		}
		next.ServeHTTP(w, r)
	})
	if _, err := transfer.Copy(ctx, src, dst, g.index, transfer.CopyOptions{Referrers: true}); !errors.Is(err, errInterrupted) {
		t.Errorf("err = %v", err)
	}
}
