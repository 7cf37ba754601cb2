package referrer_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/referrer"
	"github.com/modseal/modseal/pkg/remote"
)

// hostile starts a registry whose answer to a list of referrers is made by the
// test.
func hostile(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) *remote.Repository {
	return newRepository(t, newRegistry(t, false, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.Path, "/referrers/") {
			w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
			answer(w, r)
			return
		}
		next.ServeHTTP(w, r)
	}))
}

func listing(t *testing.T, entries ...ocispec.Descriptor) []byte {
	return marshal(t, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: entries})
}

func TestTooManyReferrers(t *testing.T) {
	entry := func(i int) ocispec.Descriptor {
		return describe(ocispec.MediaTypeImageManifest, []byte(fmt.Sprint(i)))
	}
	var all []ocispec.Descriptor
	for i := range 10_000 {
		all = append(all, entry(i))
	}
	page := listing(t, all...)
	var pages atomic.Int32
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request){
		"one page": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) },
		"endless pages": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", fmt.Sprintf("<%s?page=%d>; rel=next", r.URL.Path, pages.Add(1)))
			_, _ = w.Write(listing(t, entry(int(pages.Load()))))
		},
		"endless empty pages": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", fmt.Sprintf("<%s>; rel=next", r.URL.Path))
			_, _ = w.Write(listing(t))
		},
	} {
		t.Run(name, func(t *testing.T) {
			repo := hostile(t, answer)
			subject := newSubject(t, repo)
			var tooMany *referrer.TooManyError
			if _, err := referrer.List(t.Context(), repo, subject); !errors.As(err, &tooMany) {
				t.Errorf("List: %v", err)
			}
		})
	}
	if n := pages.Load(); n > limits.ReferrerPages {
		t.Errorf("%d pages were asked for", n)
	}
}

func TestLinkToAnotherOrigin(t *testing.T) {
	var visits atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	defer thief.Close()
	repo := hostile(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "<"+thief.URL+r.URL.Path+`>; rel="next"`)
		_, _ = w.Write(listing(t))
	})
	subject := newSubject(t, repo)
	if _, err := referrer.List(t.Context(), repo, subject); err == nil || visits.Load() != 0 {
		t.Errorf("List: %v, %d requests elsewhere", err, visits.Load())
	}
}

func TestListingThatLies(t *testing.T) {
	for name, c := range map[string]struct {
		lie  func(real ocispec.Descriptor) ocispec.Descriptor
		want func(error) bool
	}{
		"size": {
			func(d ocispec.Descriptor) ocispec.Descriptor { d.Size--; return d },
			func(err error) bool { var e *integrity.Error; return errors.As(err, &e) },
		},
		"larger size": {
			func(d ocispec.Descriptor) ocispec.Descriptor { d.Size++; return d },
			func(err error) bool { var e *integrity.Error; return errors.As(err, &e) },
		},
		"media type": {
			func(d ocispec.Descriptor) ocispec.Descriptor { d.MediaType = ocispec.MediaTypeImageIndex; return d },
			func(err error) bool {
				var e *integrity.Error
				var l *referrer.ListingError
				return errors.As(err, &e) && errors.As(err, &l)
			},
		},
		"malformed digest": {
			func(d ocispec.Descriptor) ocispec.Descriptor { d.Digest = "sha256:../../etc/passwd"; return d },
			func(err error) bool { return err != nil },
		},
		"5 MiB": {
			func(d ocispec.Descriptor) ocispec.Descriptor { d.Size = 5 << 20; return d },
			func(err error) bool { var e *integrity.TooLargeError; return errors.As(err, &e) },
		},
		"gone": {
			func(d ocispec.Descriptor) ocispec.Descriptor { d.Digest = digest.FromString("gone"); return d },
			func(err error) bool { return err == nil },
		},
	} {
		t.Run(name, func(t *testing.T) {
			var entry ocispec.Descriptor
			repo := hostile(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(listing(t, entry)) })
			subject := newSubject(t, repo)
			entry = c.lie(push(t, repo, ocispec.MediaTypeImageManifest, manifest(t, &subject, "r")))
			nodes, err := referrer.List(t.Context(), repo, subject)
			if !c.want(err) || len(nodes) != 0 {
				t.Errorf("List = %v, %v", digests(nodes), err)
			}
		})
	}
}

// A registry that sends other bytes than those of the digest, however it dresses
// them up.
func TestManifestIsAnother(t *testing.T) {
	var entry ocispec.Descriptor
	fake := manifest(t, nil, "fake")
	repo := newRepository(t, newRegistry(t, true, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if entry.Digest != "" && r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, entry.Digest.String()) && strings.Contains(r.URL.Path, "/manifests/") {
			w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
			w.Header().Set("Docker-Content-Digest", entry.Digest.String())
			_, _ = w.Write(append(fake, bytes.Repeat([]byte(" "), max(0, int(entry.Size)-len(fake)))...)[:entry.Size])
			return
		}
		next.ServeHTTP(w, r)
	}))
	subject := newSubject(t, repo)
	entry = push(t, repo, ocispec.MediaTypeImageManifest, manifest(t, &subject, "r"))
	var bad *integrity.Error
	if _, err := referrer.List(t.Context(), repo, subject); !errors.As(err, &bad) || bad.Got == "" {
		t.Errorf("List: %v", err)
	}
}

func TestForeignSubjectIsDropped(t *testing.T) {
	var entries []ocispec.Descriptor
	repo := hostile(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(listing(t, entries...)) })
	subject := newSubject(t, repo)
	other := push(t, repo, ocispec.MediaTypeImageManifest, manifest(t, nil, "other"))
	entries = []ocispec.Descriptor{
		push(t, repo, ocispec.MediaTypeImageManifest, manifest(t, &other, "of other")),
		other,
		push(t, repo, ocispec.MediaTypeImageManifest, manifest(t, &subject, "mine")),
	}
	entries = append(entries, entries[2]) // twice
	nodes, err := referrer.List(t.Context(), repo, subject)
	if err != nil || len(nodes) != 1 || nodes[0].Descriptor.Digest != entries[2].Digest {
		t.Errorf("List = %v, %v", digests(nodes), err)
	}
}

func TestCycle(t *testing.T) {
	lists := map[string][]ocispec.Descriptor{}
	repo := hostile(t, func(w http.ResponseWriter, r *http.Request) {
		_, d, _ := strings.Cut(r.URL.Path, "/referrers/")
		_, _ = w.Write(listing(t, lists[d]...))
	})
	subject := newSubject(t, repo)
	lists[subject.Digest.String()] = []ocispec.Descriptor{subject}
	var cycle *referrer.CycleError
	if _, err := referrer.List(t.Context(), repo, subject); !errors.As(err, &cycle) {
		t.Errorf("subject listed as its own referrer: %v", err)
	}
	a := push(t, repo, ocispec.MediaTypeImageManifest, manifest(t, &subject, "a"))
	lists[subject.Digest.String()] = []ocispec.Descriptor{a}
	lists[a.Digest.String()] = []ocispec.Descriptor{subject}
	cycle = nil
	err := referrer.Walk(t.Context(), repo, subject, func(int, referrer.Node) error { return nil })
	if !errors.As(err, &cycle) || cycle.Referrer != subject.Digest {
		t.Errorf("ancestor listed as a referrer: %v", err)
	}
}

func FuzzReferrerIndex(f *testing.F) {
	d := digest.FromString("x")
	f.Add([]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"m","digest":"` + d.String() + `","size":1,"x":[1]}]}`))
	f.Add([]byte(`{"manifests":null}`))
	f.Add([]byte(`{"manifests":[null,{}]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		entry := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d, Size: 1}
		before, after, err := referrer.MergeIndex(d, raw, entry)
		if err != nil {
			return
		}
		// Whatever is read can be written, and nothing of it is lost.
		again, _, err := referrer.MergeIndex(d, after, entry)
		if err != nil && len(before) < limits.Referrers {
			t.Fatalf("%q: what was written does not read: %v", after, err)
		}
		if err == nil {
			if len(again) != len(before)+1 {
				t.Fatalf("%d entries became %d", len(before), len(again))
			}
			if diff := cmp.Diff(before, again[:len(before)]); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}
