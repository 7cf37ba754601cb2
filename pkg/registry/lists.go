package registry

import (
	"fmt"
	"iter"
	"net/http"
	"net/url"
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

// tags serves a list of tags, or a page of it. In the library an empty list is null,
// a page of no tags is one of all, and the answer has no type.
func (h *handler) tags(w http.ResponseWriter, req *http.Request, e endpoint) {
	query := req.URL.Query()
	most := -1
	if text := query.Get("n"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			fail(w, http.StatusBadRequest, codeNumberInvalid, "n is not a number of tags")
			return
		}
		most = n
	}
	list, more, err := first(h.backend.Tags(req.Context(), e.name, query.Get("last")), most)
	if err != nil {
		answerError(w, req, err)
		return
	}
	if more && most > 0 {
		link(w, req, url.Values{"n": {strconv.Itoa(most)}, "last": {list[most-1]}})
	}
	raw, err := artifacttypes.Marshal(struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{e.name, list})
	if err != nil {
		answerError(w, req, err)
		return
	}
	answerJSON(w, "application/json", raw)
}

// first returns the first of a list, all of it when most is negative, and whether
// there are more.
func first(all iter.Seq2[string, error], most int) (list []string, more bool, err error) {
	list = []string{}
	for item, err := range all {
		if err != nil {
			return nil, false, err
		}
		if len(list) == most {
			return list, true, nil
		}
		list = append(list, item)
	}
	return list, false, nil
}

// link says where the next page is.
func link(w http.ResponseWriter, req *http.Request, query url.Values) {
	w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, req.URL.Path, query.Encode()))
}

// referrers serves the list of what is attached to a subject, which need not be here
// itself. In the library an empty list is null, and there are no pages.
func (h *handler) referrers(w http.ResponseWriter, req *http.Request, e endpoint) {
	subject, ok := validDigest(w, e.reference)
	if !ok {
		return
	}
	query := req.URL.Query()
	artifactType := query.Get("artifactType")
	all := h.backend.Referrers(req.Context(), e.name, subject, artifactType)
	page, more, err := pageOf(all, artifactType, digest.Digest(query.Get("after")))
	if err != nil {
		answerError(w, req, err)
		return
	}
	if more {
		next := url.Values{"after": {page[len(page)-1].Digest.String()}}
		if artifactType != "" {
			next.Set("artifactType", artifactType)
		}
		link(w, req, next)
	}
	if artifactType != "" {
		w.Header().Set("Oci-Filters-Applied", "artifactType")
	}
	raw, err := artifacttypes.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: page,
	})
	if err != nil {
		answerError(w, req, err)
		return
	}
	answerJSON(w, ocispec.MediaTypeImageIndex, raw)
}

// pageOf returns the first of the referrers of one type, unless it is empty, after a
// digest: at least one, since annotations may be long, and never nil, which JSON would
// have as no list. The backend need not filter.
func pageOf(all iter.Seq2[ocispec.Descriptor, error], artifactType string, after digest.Digest) (page []ocispec.Descriptor, more bool, err error) {
	page = []ocispec.Descriptor{}
	size := 0
	for d, err := range all {
		if err != nil {
			return nil, false, err
		}
		if d.Digest <= after || artifactType != "" && d.ArtifactType != artifactType {
			continue
		}
		raw, err := artifacttypes.Marshal(d)
		if err != nil {
			return nil, false, err
		}
		if size += len(raw); len(page) == referrersPage || len(page) > 0 && size > referrersBytes {
			return page, true, nil
		}
		page = append(page, d)
	}
	return page, false, nil
}

// Sequence gives what a backend found, or what was in the way.
func Sequence[T any](found []T, err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if err != nil {
			var none T
			yield(none, err)
			return
		}
		for _, one := range found {
			if !yield(one, nil) {
				return
			}
		}
	}
}
