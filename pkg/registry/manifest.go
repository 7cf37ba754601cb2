package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"cuelabs.dev/go/oci/ociregistry"
	"cuelabs.dev/go/oci/ociregistry/ociref"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
)

type algorithmKey struct{}

// AlgorithmOf returns the algorithm of the digest of a manifest that is pushed.
func AlgorithmOf(ctx context.Context) digest.Algorithm {
	if a, ok := ctx.Value(algorithmKey{}).(digest.Algorithm); ok {
		return a
	}
	return digest.SHA256
}

// manifestHeader is what has to be known of a manifest of any kind.
type manifestHeader struct {
	MediaType string              `json:"mediaType"`
	Config    json.RawMessage     `json:"config"`
	Manifests json.RawMessage     `json:"manifests"`
	Subject   *ocispec.Descriptor `json:"subject"`
}

// mediaType is what a manifest says of itself, when who pushes it says nothing.
func (m *manifestHeader) mediaType() string {
	switch {
	case m.MediaType != "":
		return m.MediaType
	case m.Manifests != nil:
		return ocispec.MediaTypeImageIndex
	}
	return ocispec.MediaTypeImageManifest
}

// putManifest takes a manifest. The library reads it however long it is, knows no
// digest but sha256, and answers what is no JSON as an error of its own (500).
//
// The parameters tag, with a digest in the path, and digest, with a tag, are those
// that the specification is about to have (distribution-spec pull requests 600 and
// 543).
func (h *handler) putManifest(w http.ResponseWriter, req *http.Request, e endpoint) {
	tags, want, ok := namesOf(w, req, e.reference)
	if !ok {
		return
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, req.Body, artifacttypes.MaxManifestBytes))
	if errors.As(err, new(*http.MaxBytesError)) {
		fail(w, http.StatusRequestEntityTooLarge, ociregistry.ErrManifestInvalid.Code(),
			fmt.Sprintf("the manifest has more than %d bytes", artifacttypes.MaxManifestBytes))
		return
	}
	if err != nil {
		answerError(w, req, err)
		return
	}
	algorithm := digest.SHA256
	if want != "" {
		algorithm = want.Algorithm()
	}
	if got := algorithm.FromBytes(raw); want != "" && got != want {
		fail(w, http.StatusBadRequest, ociregistry.ErrDigestInvalid.Code(), "the manifest hashes to "+got.String())
		return
	}
	var header manifestHeader
	if err := json.Unmarshal(raw, &header); err != nil {
		fail(w, http.StatusBadRequest, ociregistry.ErrManifestInvalid.Code(), "the manifest is no JSON object of a manifest: "+err.Error())
		return
	}
	mediaType := req.Header.Get("Content-Type")
	if mediaType == "" {
		mediaType = header.mediaType()
	}
	if plain, _, err := mime.ParseMediaType(mediaType); err == nil {
		mediaType = plain
	}
	ctx := context.WithValue(req.Context(), algorithmKey{}, algorithm)
	var desc ociregistry.Descriptor
	for _, tag := range tags {
		if desc, err = h.backend.PushManifest(ctx, e.name, tag, raw, mediaType); err != nil {
			answerError(w, req, err)
			return
		}
	}
	if tags[0] != e.reference && tags[0] != "" {
		w.Header()["Oci-Tag"] = tags
	}
	w.Header().Set("Location", "/v2/"+e.name+"/manifests/"+desc.Digest.String())
	w.Header().Set("Docker-Content-Digest", desc.Digest.String())
	if header.Subject != nil {
		w.Header().Set("Oci-Subject", header.Subject.Digest.String())
	}
	w.WriteHeader(http.StatusCreated)
}

// namesOf returns the tags that a manifest gets, at least one, which may be empty, and
// the digest that it has to have, if one is said.
func namesOf(w http.ResponseWriter, req *http.Request, reference string) (tags []string, want digest.Digest, ok bool) {
	query := req.URL.Query()
	if ociref.IsValidTag(reference) {
		if text := query.Get("digest"); text != "" {
			want, ok = validDigest(w, text)
			return []string{reference}, want, ok
		}
		return []string{reference}, "", true
	}
	if want, ok = validDigest(w, reference); !ok {
		return nil, "", false
	}
	tags = query["tag"]
	for _, tag := range tags {
		if tag == "" || !ociref.IsValidTag(tag) {
			fail(w, http.StatusBadRequest, codeUnsupported, fmt.Sprintf("%q is no tag", tag))
			return nil, "", false
		}
	}
	if len(tags) == 0 {
		tags = []string{""}
	}
	return tags, want, true
}
