package referrer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/referrer"
	"github.com/modseal/modseal/pkg/remote"
)

type front func(w http.ResponseWriter, r *http.Request, next http.Handler)

func newRegistry(t *testing.T, api bool, f front) (host string) {
	t.Helper()
	s := olareg.New(config.Config{
		Storage: config.ConfigStorage{StoreType: config.StoreMem},
		API:     config.ConfigAPI{Referrer: config.ConfigAPIReferrer{Enabled: &api}},
	})
	var h http.Handler = s
	if f != nil {
		h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f(w, r, s) })
	}
	ts := httptest.NewServer(h)
	t.Cleanup(func() {
		ts.Close()
		_ = s.Close()
	})
	return strings.TrimPrefix(ts.URL, "http://")
}

func newRepository(t *testing.T, host string) *remote.Repository {
	t.Helper()
	c, err := remote.NewClient(remote.Options{RetryFor: 600 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	repo, err := c.Repository(registry.Reference{Registry: host, Repository: "team/model"})
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

func describe(mediaType string, raw []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
}

func push(t *testing.T, repo *remote.Repository, mediaType string, raw []byte) ocispec.Descriptor {
	t.Helper()
	d := describe(mediaType, raw)
	if err := repo.Push(t.Context(), d, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	return d
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := artifacttypes.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func manifest(t *testing.T, subject *ocispec.Descriptor, note string) []byte {
	return marshal(t, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: "application/vnd.test", Config: describe(ocispec.MediaTypeEmptyJSON, []byte("{}")),
		Layers:  []ocispec.Descriptor{describe(ocispec.MediaTypeEmptyJSON, []byte("{}"))},
		Subject: subject, Annotations: map[string]string{"note": note},
	})
}

// newSubject pushes a manifest to attach to.
func newSubject(t *testing.T, repo *remote.Repository) ocispec.Descriptor {
	t.Helper()
	push(t, repo, ocispec.MediaTypeEmptyJSON, []byte("{}"))
	return push(t, repo, ocispec.MediaTypeImageManifest, manifest(t, nil, "subject"))
}

func attachment(content string) referrer.Attachment {
	return referrer.Attachment{
		ArtifactType: artifacttypes.MediaTypeBundle,
		MediaType:    artifacttypes.MediaTypeBundle,
		Blob:         []byte(content),
		Annotations: map[string]string{
			artifacttypes.AnnotationBundleContent:       artifacttypes.BundleContentDSSE,
			artifacttypes.AnnotationBundlePredicateType: artifacttypes.PredicateCosignSign,
		},
	}
}

func digests(nodes []referrer.Node) []digest.Digest {
	var ds []digest.Digest
	for _, n := range nodes {
		ds = append(ds, n.Descriptor.Digest)
	}
	return ds
}

var kinds = map[string]bool{"referrers API": true, "fallback tag": false}

func TestAttachAndList(t *testing.T) {
	for name, api := range kinds {
		t.Run(name, func(t *testing.T) {
			repo := newRepository(t, newRegistry(t, api, nil))
			ctx := t.Context()
			subject := newSubject(t, repo)
			if nodes, err := referrer.List(ctx, repo, subject); err != nil || len(nodes) != 0 {
				t.Fatalf("List of nothing = %v, %v", nodes, err)
			}
			first, err := referrer.Attach(ctx, repo, subject, attachment(`{"a":1}`))
			if err != nil {
				t.Fatal(err)
			}
			second, err := referrer.Attach(ctx, repo, subject, attachment(`{"b":2}`))
			if err != nil {
				t.Fatal(err)
			}
			nodes, err := referrer.List(ctx, repo, subject)
			if err != nil || len(nodes) != 2 {
				t.Fatalf("List = %v, %v", digests(nodes), err)
			}
			if nodes[0].Descriptor.Digest > nodes[1].Descriptor.Digest {
				t.Error("not sorted")
			}
			for _, n := range nodes {
				if n.Descriptor.ArtifactType != artifacttypes.MediaTypeBundle || n.Descriptor.Annotations[artifacttypes.AnnotationBundleContent] != "dsse-envelope" {
					t.Errorf("Descriptor = %+v", n.Descriptor)
				}
				if digest.FromBytes(n.Raw) != n.Descriptor.Digest {
					t.Error("Raw is something else")
				}
			}
			// The same blob again, even with other annotations: nothing new.
			again := attachment(`{"a":1}`)
			again.Annotations[ocispec.AnnotationCreated] = "2026-01-02T03:04:05Z"
			if got, err := referrer.Attach(ctx, repo, subject, again); err != nil || got.Digest != first.Digest {
				t.Errorf("second Attach = %v, %v; want %v", got.Digest, err, first.Digest)
			}
			if nodes, _ = referrer.List(ctx, repo, subject); len(nodes) != 2 {
				t.Errorf("List = %v", digests(nodes))
			}
			if first.Digest == second.Digest {
				t.Error("two attachments are one")
			}
		})
	}
}

func TestManifestShape(t *testing.T) {
	repo := newRepository(t, newRegistry(t, true, nil))
	subject := newSubject(t, repo)
	desc, err := referrer.Attach(t.Context(), repo, subject, attachment("BUNDLE"))
	if err != nil {
		t.Fatal(err)
	}
	rc, err := repo.Fetch(t.Context(), desc)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	raw, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json",`+
		`"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},`+
		`"layers":[{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","digest":"%s","size":6}],`+
		`"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"%s","size":%d},`+
		`"annotations":{"dev.sigstore.bundle.content":"dsse-envelope","dev.sigstore.bundle.predicateType":"https://sigstore.dev/cosign/sign/v1"}}`,
		digest.FromString("BUNDLE"), subject.Digest, subject.Size)
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Error(diff)
	}
}

func TestConcurrentAttach(t *testing.T) {
	for name, api := range kinds {
		t.Run(name, func(t *testing.T) {
			const n = 32
			host := newRegistry(t, api, nil)
			repo := newRepository(t, host)
			subject := newSubject(t, repo)
			var wg sync.WaitGroup
			for i := range n {
				own := newRepository(t, host) // its own Client
				wg.Go(func() {
					if _, err := referrer.Attach(t.Context(), own, subject, attachment(fmt.Sprint(i))); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			nodes, err := referrer.List(t.Context(), repo, subject)
			if err != nil || len(nodes) != n {
				t.Errorf("%d of %d listed, %v", len(nodes), n, err)
			}
		})
	}
}

// Two names of one registry have two locks: like two processes.
func TestConcurrentAttachFromElsewhere(t *testing.T) {
	for name, api := range kinds {
		t.Run(name, func(t *testing.T) {
			host := newRegistry(t, api, nil)
			_, port, _ := strings.Cut(host, ":")
			repo := newRepository(t, host)
			subject := newSubject(t, repo)
			var wg sync.WaitGroup
			want := 0
			for p, h := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]"} {
				own := newRepository(t, h+":"+port)
				if _, err := own.Resolve(t.Context(), subject.Digest.String()); err != nil {
					t.Logf("%s: %v", h, err)
					continue
				}
				want += 3
				wg.Go(func() {
					for i := range 3 {
						if _, err := referrer.Attach(t.Context(), own, subject, attachment(fmt.Sprint(p, i))); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			nodes, err := referrer.List(t.Context(), repo, subject)
			if err != nil || want < 6 || len(nodes) != want {
				t.Errorf("%d of %d listed, %v", len(nodes), want, err)
			}
		})
	}
}

// A registry that forgets what it was sent takes it up when it is sent again.
func TestLostUpdateIsRepaired(t *testing.T) {
	var puts atomic.Int32
	repo := newRepository(t, newRegistry(t, true, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
			raw, _ := io.ReadAll(r.Body)
			if bytes.Contains(raw, []byte(`"subject"`)) && puts.Add(1) == 1 {
				w.WriteHeader(http.StatusCreated) // and that was it
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(raw))
		}
		next.ServeHTTP(w, r)
	}))
	subject := newSubject(t, repo)
	desc, err := referrer.Attach(t.Context(), repo, subject, attachment("x"))
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := referrer.List(t.Context(), repo, subject)
	if err != nil || len(nodes) != 1 || nodes[0].Descriptor.Digest != desc.Digest || puts.Load() != 2 {
		t.Errorf("List = %v, %v after %d PUTs", digests(nodes), err, puts.Load())
	}
}

func TestWalk(t *testing.T) {
	repo := newRepository(t, newRegistry(t, true, nil))
	ctx := t.Context()
	subject := newSubject(t, repo)
	a, err := referrer.Attach(ctx, repo, subject, attachment("a"))
	if err != nil {
		t.Fatal(err)
	}
	aa, err := referrer.Attach(ctx, repo, a, attachment("aa"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := referrer.Attach(ctx, repo, subject, attachment("b"))
	if err != nil {
		t.Fatal(err)
	}
	depth := map[digest.Digest]int{}
	var order []digest.Digest
	err = referrer.Walk(ctx, repo, subject, func(d int, n referrer.Node) error {
		depth[n.Descriptor.Digest] = d
		order = append(order, n.Descriptor.Digest)
		return nil
	})
	if err != nil || len(order) != 3 || depth[a.Digest] != 1 || depth[b.Digest] != 1 || depth[aa.Digest] != 2 {
		t.Errorf("Walk: %v, %v", depth, err)
	}
	for i, d := range order {
		if d == a.Digest && order[i+1] != aa.Digest {
			t.Error("not depth first")
		}
	}
	stop := errors.New("enough")
	if err := referrer.Walk(ctx, repo, subject, func(int, referrer.Node) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("err = %v", err)
	}
	// A chain deeper than the limit.
	top := subject
	for i := range limits.ReferrerDepth + 1 {
		if top, err = referrer.Attach(ctx, repo, top, attachment(fmt.Sprint("deep", i))); err != nil {
			t.Fatal(err)
		}
	}
	var tooMany *referrer.TooManyError
	if err := referrer.Walk(ctx, repo, subject, func(int, referrer.Node) error { return nil }); !errors.As(err, &tooMany) {
		t.Errorf("deep chain: %v", err)
	}
}

func TestAttachIsCancelled(t *testing.T) {
	block := make(chan struct{})
	repo := newRepository(t, newRegistry(t, true, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.Path, "/referrers/") {
			select {
			case <-block:
			case <-r.Context().Done():
			}
			return
		}
		next.ServeHTTP(w, r)
	}))
	defer close(block)
	subject := newSubject(t, repo)
	cause := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	var wg sync.WaitGroup
	// One that waits for the registry, one that waits for the first one's lock.
	for i := range 2 {
		wg.Go(func() {
			if _, err := referrer.Attach(ctx, repo, subject, attachment(fmt.Sprint(i))); !errors.Is(err, cause) {
				t.Errorf("Attach: %v", err)
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	cancel(cause)
	wg.Wait() // for ever, if they do not notice
}
