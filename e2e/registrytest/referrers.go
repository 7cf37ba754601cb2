package registrytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// referrersOf matches requests for the referrers of subject.
func referrersOf(subject digest.Digest) Match {
	return Match{Kind: "referrers", Rest: subject.String()}
}

// AddReferrer lists d as a referrer of subject, whatever d is.
func (f *Front) AddReferrer(subject digest.Digest, d ocispec.Descriptor) {
	f.changeReferrers(subject, func(index *ocispec.Index) { index.Manifests = append(index.Manifests, d) })
}

// LieAboutReferrers changes every entry of the list of referrers of subject.
func (f *Front) LieAboutReferrers(subject digest.Digest, lie func(d *ocispec.Descriptor)) {
	f.changeReferrers(subject, func(index *ocispec.Index) {
		for i := range index.Manifests {
			lie(&index.Manifests[i])
		}
	})
}

// ManyReferrers lists n referrers of subject that do not exist, perPage of them
// in an answer (0: all in one).
func (f *Front) ManyReferrers(subject digest.Digest, n, perPage int) {
	if perPage <= 0 {
		perPage = n
	}
	f.Add(&Rule{Match: referrersOf(subject), Fault: func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		first, _ := strconv.Atoi(r.URL.Query().Get("from"))
		last := min(first+perPage, n)
		index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}
		index.SchemaVersion = 2
		for i := first; i < last; i++ {
			index.Manifests = append(index.Manifests, ocispec.Descriptor{
				MediaType:    ocispec.MediaTypeImageManifest,
				ArtifactType: "application/vnd.dev.sigstore.bundle.v0.3+json",
				Digest:       digest.FromString(strconv.Itoa(i)),
				Size:         700,
			})
		}
		body, _ := json.Marshal(index) // of plain values
		if last < n {
			w.Header().Set("Link", fmt.Sprintf(`<%s?from=%d>; rel="next"`, r.URL.Path, last))
		}
		w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}})
}

func (f *Front) changeReferrers(subject digest.Digest, change func(*ocispec.Index)) {
	f.Add(&Rule{Match: referrersOf(subject), Fault: rewrite(func(_ http.Header, status int, body []byte) []byte {
		var index ocispec.Index
		if status != http.StatusOK || json.Unmarshal(body, &index) != nil {
			return body
		}
		change(&index)
		changed, _ := json.Marshal(index) // it was JSON a moment ago
		return changed
	})})
}

// ParseLie reads "size=700", "mediaType=…", "artifactType=…" or "digest=…" into
// a change of a descriptor.
func ParseLie(text string) (func(*ocispec.Descriptor), error) {
	key, value, ok := strings.Cut(text, "=")
	if !ok {
		return nil, fmt.Errorf("%q is not KEY=VALUE", text)
	}
	switch key {
	case "size":
		n, err := strconv.ParseInt(value, 10, 64)
		return func(d *ocispec.Descriptor) { d.Size = n }, err
	case "mediaType":
		return func(d *ocispec.Descriptor) { d.MediaType = value }, nil
	case "artifactType":
		return func(d *ocispec.Descriptor) { d.ArtifactType = value }, nil
	case "digest":
		return func(d *ocispec.Descriptor) { d.Digest = digest.Digest(value) }, nil
	}
	return nil, fmt.Errorf("%q: a descriptor has no %q to lie about", text, key)
}
