package registry

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
)

// manifest serves a manifest by its tag or digest.
func (h *handler) manifest(w http.ResponseWriter, req *http.Request, name, reference string) {
	desc, err := h.resolve(req, name, reference)
	if err != nil {
		failRead(w, req, codeManifestUnknown, err)
		return
	}
	rc, err := h.source.Fetch(req.Context(), desc)
	if err != nil {
		failRead(w, req, codeManifestUnknown, err)
		return
	}
	defer rc.Close()
	raw, err := integrity.ReadAll(rc, desc, artifacttypes.MaxManifestBytes, "manifest")
	if err != nil {
		failRead(w, req, codeManifestUnknown, err)
		return
	}
	serveContent(w, req, desc, bytes.NewReader(raw))
}

func (h *handler) resolve(req *http.Request, name, reference string) (ocispec.Descriptor, error) {
	if !strings.Contains(reference, ":") {
		desc, ok := h.names[name][reference]
		if !ok {
			return desc, fmt.Errorf("tag %q: %w", reference, errdef.ErrNotFound)
		}
		return desc, nil
	}
	if artifacttypes.ValidateDigest(digest.Digest(reference)) != nil {
		return ocispec.Descriptor{}, fmt.Errorf("%q: %w", reference, errdef.ErrNotFound)
	}
	return h.source.Resolve(req.Context(), reference)
}

// blob serves a blob, or a part of it.
func (h *handler) blob(w http.ResponseWriter, req *http.Request, _, reference string) {
	d := digest.Digest(reference)
	if artifacttypes.ValidateDigest(d) != nil {
		fail(w, http.StatusBadRequest, codeDigestInvalid, "it is not a digest of an algorithm that archives have")
		return
	}
	desc := ocispec.Descriptor{MediaType: "application/octet-stream", Digest: d}
	rc, err := h.source.Fetch(req.Context(), desc)
	if err != nil {
		failRead(w, req, codeBlobUnknown, err)
		return
	}
	defer rc.Close()
	seeker, ok := rc.(io.ReadSeeker)
	if !ok {
		fail(w, http.StatusInternalServerError, codeUnknown, "the blob can be read from its beginning only")
		return
	}
	serveContent(w, req, desc, seeker)
}

// serveContent answers with content, which never changes: its digest is its name.
func serveContent(w http.ResponseWriter, req *http.Request, desc ocispec.Descriptor, content io.ReadSeeker) {
	header := w.Header()
	header.Set("Content-Type", desc.MediaType)
	header.Set("Docker-Content-Digest", desc.Digest.String())
	header.Set("Etag", `"`+desc.Digest.String()+`"`)
	// A media type of a stranger is no page to look at.
	header.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, req, "", time.Time{}, content)
}
