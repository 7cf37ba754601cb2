package referrer_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/referrer"
)

const dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"

// legacyImage is an image as cosign 2 writes it for signatures.
func legacyImage(t *testing.T, mediaType string, layers ...ocispec.Descriptor) []byte {
	return marshal(t, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: mediaType,
		Config: describe(ocispec.MediaTypeEmptyJSON, []byte("{}")), Layers: layers,
	})
}

func TestLegacy(t *testing.T) {
	d := digest.FromString("model")
	signed := describe(artifacttypes.MediaTypeSimpleSigning, []byte("{}"))
	signed.Annotations = map[string]string{artifacttypes.AnnotationLegacySignature: "AAAA"}
	other := describe("application/vnd.other", []byte("{}"))
	envelope := describe(artifacttypes.MediaTypeDSSE, []byte("{}"))
	many := make([]ocispec.Descriptor, 11)
	for i := range many {
		many[i] = signed
	}
	malformed := signed
	malformed.Digest = "sha256:../../etc/passwd"
	index := marshal(t, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex})
	for name, c := range map[string]struct {
		mediaType string
		raw       []byte
		suffix    string
		layers    int
		want      func(error) bool
	}{
		"signatures":        {ocispec.MediaTypeImageManifest, legacyImage(t, ocispec.MediaTypeImageManifest, signed, other, signed), ".sig", 2, nil},
		"with Docker types": {dockerManifest, legacyImage(t, dockerManifest, signed), ".sig", 1, nil},
		"attestations":      {ocispec.MediaTypeImageManifest, legacyImage(t, ocispec.MediaTypeImageManifest, envelope, signed), ".att", 1, nil},
		"an index":          {ocispec.MediaTypeImageIndex, index, ".sig", 0, isLegacyError},
		"too many":          {ocispec.MediaTypeImageManifest, legacyImage(t, ocispec.MediaTypeImageManifest, many...), ".sig", 0, isTooMany},
		"malformed digest":  {ocispec.MediaTypeImageManifest, legacyImage(t, ocispec.MediaTypeImageManifest, malformed), ".sig", 0, isLegacyError},
	} {
		t.Run(name, func(t *testing.T) {
			// The tag is answered by the test: a registry would not take all of them.
			desc := describe(c.mediaType, c.raw)
			repo := newRepository(t, newRegistry(t, true, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if !strings.HasSuffix(r.URL.Path, "/manifests/"+referrer.LegacyTag(d, c.suffix)) && !strings.HasSuffix(r.URL.Path, "/manifests/"+desc.Digest.String()) {
					next.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Content-Type", c.mediaType)
				w.Header().Set("Docker-Content-Digest", desc.Digest.String())
				_, _ = w.Write(c.raw)
			}))
			image, layers, err := referrer.Legacy(t.Context(), repo, d, c.suffix, 10)
			if c.want != nil {
				if !c.want(err) || layers != nil {
					t.Errorf("%v, %v", layers, err)
				}
				return
			}
			if err != nil || len(layers) != c.layers || image != desc.Digest {
				t.Errorf("%s: %v, %v", image, layers, err)
			}
			if c.suffix == ".sig" && layers[0].Annotations[artifacttypes.AnnotationLegacySignature] != "AAAA" {
				t.Errorf("annotations %v", layers[0].Annotations)
			}
		})
	}
}

func isTooMany(err error) bool {
	var e *referrer.TooManyError
	return errors.As(err, &e) && e.Limit == 10
}

func isLegacyError(err error) bool {
	var e *referrer.LegacyError
	return errors.As(err, &e) && strings.HasSuffix(e.Tag, ".sig")
}

func TestLegacyOfNothing(t *testing.T) {
	repo := newRepository(t, newRegistry(t, true, nil))
	image, layers, err := referrer.Legacy(t.Context(), repo, digest.FromString("model"), ".sig", 10)
	if image != "" || layers != nil || err != nil {
		t.Errorf("%s, %v, %v", image, layers, err)
	}
}

// An image that is announced as larger than a manifest may be is not fetched.
func TestLegacyTooLarge(t *testing.T) {
	d := digest.FromString("model")
	var fetched atomic.Int32
	repo := newRepository(t, newRegistry(t, true, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !strings.Contains(r.URL.Path, "/manifests/") {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
		w.Header().Set("Docker-Content-Digest", digest.FromString("image").String())
		w.Header().Set("Content-Length", fmt.Sprint(artifacttypes.MaxManifestBytes+1))
		if r.Method == http.MethodGet {
			fetched.Add(1)
		}
	}))
	var large *integrity.TooLargeError
	if _, layers, err := referrer.Legacy(t.Context(), repo, d, ".sig", 10); !errors.As(err, &large) || layers != nil || fetched.Load() != 0 {
		t.Errorf("%v, %v, %d fetches", layers, err, fetched.Load())
	}
}

func TestListWithin(t *testing.T) {
	for name, api := range kinds {
		t.Run(name, func(t *testing.T) {
			var fetched atomic.Int32
			repo := newRepository(t, newRegistry(t, api, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/manifests/sha256:") {
					fetched.Add(1)
				}
				next.ServeHTTP(w, r)
			}))
			subject := newSubject(t, repo)
			for i := range 3 {
				if _, err := referrer.Attach(t.Context(), repo, subject, attachment(fmt.Sprint(i))); err != nil {
					t.Fatal(err)
				}
			}
			fetched.Store(0)
			var tooMany *referrer.TooManyError
			if nodes, err := referrer.ListWithin(t.Context(), repo, subject, referrer.Bounds{Referrers: 2}); !errors.As(err, &tooMany) || tooMany.Limit != 2 || nodes != nil {
				t.Errorf("2 of 3: %v, %v", digests(nodes), err)
			}
			// The list under the fallback tag is a manifest itself.
			if n := fetched.Load(); n > 1 {
				t.Errorf("%d manifests were fetched", n)
			}
			for _, b := range []referrer.Bounds{{Referrers: 3}, {Referrers: 10 * limits.Referrers}, {Pages: 1}, {}} {
				if nodes, err := referrer.ListWithin(t.Context(), repo, subject, b); err != nil || len(nodes) != 3 {
					t.Errorf("%+v: %v, %v", b, digests(nodes), err)
				}
			}
		})
	}
}

func TestListWithinPages(t *testing.T) {
	var asked atomic.Int32
	for name, entries := range map[string][]ocispec.Descriptor{
		"empty pages": nil,
		"pages":       {describe(ocispec.MediaTypeImageManifest, []byte("gone"))},
	} {
		t.Run(name, func(t *testing.T) {
			repo := hostile(t, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				w.Header().Set("Link", fmt.Sprintf("<%s>; rel=next", r.URL.Path))
				_, _ = w.Write(listing(t, entries...))
			})
			subject := newSubject(t, repo)
			asked.Store(0)
			var tooMany *referrer.TooManyError
			_, err := referrer.ListWithin(t.Context(), repo, subject, referrer.Bounds{Pages: 2})
			if !errors.As(err, &tooMany) || tooMany.Limit != 2 || !strings.Contains(tooMany.What, "pages") || asked.Load() != 2 {
				t.Errorf("%v, %d pages were asked for", err, asked.Load())
			}
		})
	}
}

func FuzzLegacyLayers(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","annotations":{"dev.cosignproject.cosign/signature":"AAAA"}}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		layers, err := referrer.LegacyLayers(ocispec.MediaTypeImageManifest, raw, artifacttypes.MediaTypeSimpleSigning)
		if err != nil && layers != nil {
			t.Fatal("layers beside an error")
		}
		for _, l := range layers {
			if err := artifacttypes.ValidateDescriptor(l); err != nil || l.MediaType != artifacttypes.MediaTypeSimpleSigning {
				t.Fatalf("%+v: %v", l, err)
			}
		}
	})
}
