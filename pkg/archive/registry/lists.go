package registry

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
)

// referrersPage is how many referrers an answer has at most, and referrersBytes
// how many bytes they may have: clients bound both.
const (
	referrersPage  = 500
	referrersBytes = 2 << 20
)

// tags serves a list of tags, or a page of it.
func (h *handler) tags(w http.ResponseWriter, req *http.Request, name string, tags map[string]ocispec.Descriptor) {
	query := req.URL.Query()
	list := slices.Sorted(maps.Keys(tags))
	if last := query.Get("last"); last != "" {
		list = slices.DeleteFunc(list, func(tag string) bool { return tag <= last })
	}
	if text := query.Get("n"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			fail(w, http.StatusBadRequest, codeNumberInvalid, "n is not a number of tags")
			return
		}
		if n < len(list) {
			list = list[:n]
			if n > 0 {
				link(w, "/v2/"+name+"/tags/list", url.Values{"n": {text}, "last": {list[n-1]}})
			}
		}
	}
	raw, err := artifacttypes.Marshal(struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{name, append([]string{}, list...)})
	if err != nil {
		failRead(w, req, codeNameUnknown, err)
		return
	}
	answerJSON(w, req, "application/json", raw)
}

// link says where the next page is.
func link(w http.ResponseWriter, path string, query url.Values) {
	w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, path, query.Encode()))
}

// referrers serves the list of what is attached to a subject; an archive that does
// not hold the subject may hold what is attached to it.
func (h *handler) referrers(w http.ResponseWriter, req *http.Request, name, reference string) {
	subject := digest.Digest(reference)
	if artifacttypes.ValidateDigest(subject) != nil {
		fail(w, http.StatusBadRequest, codeDigestInvalid, "it is not a digest of an algorithm that archives have")
		return
	}
	query := req.URL.Query()
	artifactType := query.Get("artifactType")
	all, err := h.attached(req, subject, artifactType, query.Get("after"))
	if err != nil {
		failRead(w, req, codeManifestUnknown, err)
		return
	}
	page, err := pageOf(all)
	if err != nil {
		failRead(w, req, codeManifestUnknown, err)
		return
	}
	if len(page) < len(all) {
		next := url.Values{"after": {page[len(page)-1].Digest.String()}}
		if artifactType != "" {
			next.Set("artifactType", artifactType)
		}
		link(w, "/v2/"+name+"/referrers/"+reference, next)
	}
	if artifactType != "" {
		w.Header().Set("Oci-Filters-Applied", "artifactType")
	}
	raw, err := artifacttypes.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: page,
	})
	if err != nil {
		failRead(w, req, codeManifestUnknown, err)
		return
	}
	answerJSON(w, req, ocispec.MediaTypeImageIndex, raw)
}

// attached returns what is attached to subject, of one type unless it is empty,
// ordered by digest, from the first one after a digest on. The source may not
// filter, and its order is its own.
func (h *handler) attached(req *http.Request, subject digest.Digest, artifactType, after string) ([]ocispec.Descriptor, error) {
	var all []ocispec.Descriptor
	err := h.source.Referrers(req.Context(), ocispec.Descriptor{Digest: subject}, artifactType, func(page []ocispec.Descriptor) error {
		all = append(all, page...)
		return nil
	})
	all = slices.DeleteFunc(all, func(d ocispec.Descriptor) bool {
		return artifactType != "" && d.ArtifactType != artifactType || d.Digest.String() <= after
	})
	slices.SortFunc(all, func(a, b ocispec.Descriptor) int { return cmp.Compare(a.Digest, b.Digest) })
	return all, err
}

// pageOf returns the first of the entries: at least one, since annotations may be
// long, and never nil, which JSON would have as no list.
func pageOf(all []ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	page, size := []ocispec.Descriptor{}, 0
	for _, d := range all {
		raw, err := artifacttypes.Marshal(d)
		if err != nil {
			return nil, err
		}
		if size += len(raw); len(page) == referrersPage || len(page) > 0 && size > referrersBytes {
			break
		}
		page = append(page, d)
	}
	return page, nil
}
