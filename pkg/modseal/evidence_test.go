//go:build unix

package modseal

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/referrer"
)

// flood is a registry that lists what the test makes up, and counts what is asked
// for.
type flood struct {
	real http.Handler
	// page answers the page of the list; more says that there is another one.
	page func(page int) (entries []ocispec.Descriptor, more bool)
	// content has manifests and blobs that only the flood has.
	content map[digest.Digest][]byte

	mu     sync.Mutex
	pages  int
	served int64 // bytes of manifests and blobs of its own
	gets   int
}

func (f *flood) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if strings.Contains(r.URL.Path, "/referrers/") {
		entries, more := f.page(f.pages)
		f.pages++
		w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
		if more {
			w.Header().Set("Link", fmt.Sprintf("<%s?page=%d>; rel=next", r.URL.Path, f.pages))
		}
		raw, _ := artifacttypes.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: entries})
		_, _ = w.Write(raw)
		return
	}
	name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	if content, ok := f.content[digest.Digest(name)]; ok {
		w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
		w.Header().Set("Docker-Content-Digest", name)
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		if r.Method == http.MethodGet {
			f.gets++
			f.served += int64(len(content))
			_, _ = w.Write(content)
		}
		return
	}
	f.real.ServeHTTP(w, r)
}

func (f *flood) put(content []byte) digest.Digest {
	d := digest.FromBytes(content)
	f.content[d] = content
	return d
}

// attach makes a referrer of subject up: a bundle that is said to have so many
// bytes.
func (f *flood) attach(t *testing.T, subject ocispec.Descriptor, bundle []byte, size int64) ocispec.Descriptor {
	t.Helper()
	raw, err := artifacttypes.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifacttypes.MediaTypeBundle,
		Config:  ocispec.DescriptorEmptyJSON,
		Layers:  []ocispec.Descriptor{{MediaType: artifacttypes.MediaTypeBundle, Digest: f.put(bundle), Size: size}},
		Subject: &subject,
	})
	if err != nil {
		t.Fatal(err)
	}
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifacttypes.MediaTypeBundle, Digest: f.put(raw), Size: int64(len(raw))}
}

// startFlood serves a model and returns it resolved.
func startFlood(t *testing.T) (*flood, *artifact) {
	t.Helper()
	registry := olareg.New(config.Config{Storage: config.ConfigStorage{StoreType: config.StoreMem}})
	f := &flood{real: registry, content: map[digest.Digest][]byte{}}
	f.page = func(int) ([]ocispec.Descriptor, bool) { return nil, false }
	server := httptest.NewServer(f)
	t.Cleanup(func() {
		server.Close()
		_ = registry.Close()
	})
	c := newClient(t)
	target := strings.TrimPrefix(server.URL, "http://") + "/team/model:v1"
	if _, err := c.Push(t.Context(), makeModel(t), target, PackOptions{}); err != nil {
		t.Fatal(err)
	}
	l, err := c.openTarget(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	a, err := l.resolve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.pages, f.served, f.gets = 0, 0, 0
	return f, a
}

func within(l policy.Limits) policy.Rules { return policy.Rules{Limits: l} }

func TestEvidenceWithinLimits(t *testing.T) {
	f, a := startFlood(t)
	var entries []ocispec.Descriptor
	for i := range 4 {
		bundle := fmt.Appendf(nil, "bundle %d", i)
		entries = append(entries, f.attach(t, a.descriptor, bundle, int64(len(bundle))))
	}
	f.page = func(page int) ([]ocispec.Descriptor, bool) { return entries[2*page : 2*page+2], page == 0 }
	for name, row := range map[string]struct {
		rules []policy.Rules
		want  string // what is exceeded; empty: nothing
		limit int64
	}{
		"none":                     {nil, "", 0},
		"all of them high enough":  {[]policy.Rules{within(policy.Limits{Referrers: 4, Pages: 2, Bytes: 32})}, "", 0},
		"referrers":                {[]policy.Rules{within(policy.Limits{Referrers: 3})}, "referrers", 3},
		"pages":                    {[]policy.Rules{within(policy.Limits{Pages: 1})}, "pages of referrers", 1},
		"bytes":                    {[]policy.Rules{within(policy.Limits{Bytes: 31})}, "together", 31},
		"the lowest of two counts": {[]policy.Rules{within(policy.Limits{Referrers: 3}), within(policy.Limits{Referrers: 9})}, "referrers", 3},
		"none raises the bounds":   {[]policy.Rules{within(policy.Limits{Referrers: 10 * limits.Referrers, Bytes: 10 * limits.EvidenceBytes})}, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			f.pages = 0
			evidence, err := a.evidence(t.Context(), row.rules...)
			if row.want == "" {
				if err != nil || len(evidence) != 4 {
					t.Errorf("%d, %v", len(evidence), err)
				}
				return
			}
			if ClassOf(err) != ClassRefused || evidence != nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), a.at(a.descriptor)) {
				t.Errorf("%d, %v", len(evidence), err)
			}
			var tooMany *referrer.TooManyError
			var tooLarge *integrity.TooLargeError
			if errors.As(err, &tooMany) && int64(tooMany.Limit) != row.limit || errors.As(err, &tooLarge) && tooLarge.Limit != row.limit {
				t.Errorf("another limit: %v", err)
			}
		})
	}
}

// Whatever a registry makes up, no more is asked of it than the policy allows.
func TestEvidenceOfAHostileRegistry(t *testing.T) {
	huge := make([]byte, 1<<20)
	for name, row := range map[string]struct {
		flood func(t *testing.T, f *flood, a *artifact)
		want  string
		pages int
		gets  int
	}{
		"thousands of referrers in one page": {
			func(_ *testing.T, f *flood, _ *artifact) {
				entries := make([]ocispec.Descriptor, 10_000)
				for i := range entries {
					entries[i] = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(fmt.Sprint(i)), Size: 700}
				}
				f.page = func(int) ([]ocispec.Descriptor, bool) { return entries, false }
			}, "more than 50 referrers", 1, 0,
		},
		"pages without end": {
			func(_ *testing.T, f *flood, _ *artifact) {
				f.page = func(page int) ([]ocispec.Descriptor, bool) {
					return []ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(fmt.Sprint(page)), Size: 700}}, true
				}
			}, "more than 5 pages", 5, 0,
		},
		"empty pages without end": {
			func(_ *testing.T, f *flood, _ *artifact) {
				f.page = func(int) ([]ocispec.Descriptor, bool) { return nil, true }
			}, "more than 5 pages", 5, 0,
		},
		"bundles that say how large they are": {
			func(t *testing.T, f *flood, a *artifact) {
				entry := f.attach(t, a.descriptor, huge, 1<<40)
				f.page = func(int) ([]ocispec.Descriptor, bool) { return []ocispec.Descriptor{entry}, false }
			}, "together", 1, 1,
		},
		"bundles that are large together": {
			func(t *testing.T, f *flood, a *artifact) {
				var entries []ocispec.Descriptor
				for i := range 10 {
					bundle := bytes.Repeat([]byte{byte('a' + i)}, 400<<10)
					entries = append(entries, f.attach(t, a.descriptor, bundle, int64(len(bundle))))
				}
				f.page = func(int) ([]ocispec.Descriptor, bool) { return entries, false }
			}, "together", 1, 12,
		},
		"manifests that are too large": {
			func(_ *testing.T, f *flood, _ *artifact) {
				entry := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("x"), Size: artifacttypes.MaxManifestBytes + 1}
				f.page = func(int) ([]ocispec.Descriptor, bool) { return []ocispec.Descriptor{entry}, false }
			}, "referrer", 1, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, a := startFlood(t)
			row.flood(t, f, a)
			evidence, err := a.evidence(t.Context(), within(policy.Limits{Referrers: 50, Pages: 5, Bytes: 1 << 20}))
			if ClassOf(err) != ClassRefused || evidence != nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%d, %v", len(evidence), err)
			}
			if f.pages > row.pages || f.gets > row.gets || f.served > 2<<20 {
				t.Errorf("%d pages, %d fetches, %d bytes", f.pages, f.gets, f.served)
			}
		})
	}
}

// A bundle whose bytes are not what it says is evidence that counts for nothing:
// it must not keep the others from being read.
func TestEvidenceThatIsDamaged(t *testing.T) {
	f, a := startFlood(t)
	short := f.attach(t, a.descriptor, []byte("shorter than said"), 1000)
	large := f.attach(t, a.descriptor, []byte("larger than any bundle"), limits.BundleBytes+1)
	good := f.attach(t, a.descriptor, []byte("good"), 4)
	f.page = func(int) ([]ocispec.Descriptor, bool) { return []ocispec.Descriptor{short, large, good}, false }
	evidence, err := a.evidence(t.Context())
	if err != nil || len(evidence) != 3 {
		t.Fatalf("%d, %v", len(evidence), err)
	}
	for _, e := range evidence {
		var wrong *integrity.Error
		var tooLarge *integrity.TooLargeError
		switch e.Digest {
		case short.Digest:
			if !errors.As(e.Err, &wrong) {
				t.Errorf("short: %v", e.Err)
			}
		case large.Digest:
			if !errors.As(e.Err, &tooLarge) {
				t.Errorf("large: %v", e.Err)
			}
		default:
			if e.Err != nil || string(e.Bundle) != "good" {
				t.Errorf("good: %q, %v", e.Bundle, e.Err)
			}
		}
	}
}
