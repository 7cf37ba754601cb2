package registry

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
)

// Content is an ociregistry.BlobReader of what can be read from anywhere.
type Content struct {
	io.ReadSeekCloser
	desc ociregistry.Descriptor
}

// NewContent returns a Content. Of desc only what is known needs to be there: of a
// blob the digest.
func NewContent(content io.ReadSeekCloser, desc ociregistry.Descriptor) *Content {
	return &Content{content, desc}
}

// Descriptor implements ociregistry.BlobReader.
func (c *Content) Descriptor() ociregistry.Descriptor { return c.desc }

// InMemory returns bytes as what NewContent takes.
func InMemory(raw []byte) io.ReadSeekCloser { return inMemory{bytes.NewReader(raw)} }

type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }

// blob serves a blob, or a part of it. The library knows ranges with a beginning
// alone, refuses what HTTP lets a server ignore, and answers a range at the very end
// with one that ends before it begins.
func (h *handler) blob(w http.ResponseWriter, req *http.Request, e endpoint) {
	d, ok := validDigest(w, e.reference)
	if !ok {
		return
	}
	blob, err := h.backend.GetBlob(req.Context(), e.name, d)
	if err != nil {
		answerError(w, req, err)
		return
	}
	defer blob.Close()
	content, ok := blob.(*Content)
	if !ok {
		answerError(w, req, fmt.Errorf("the blob can be read from its beginning only"))
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/octet-stream")
	header.Set("Docker-Content-Digest", d.String())
	// It never changes: its digest is its name.
	header.Set("Etag", `"`+d.String()+`"`)
	// As it is, so that the kernel can send a file.
	http.ServeContent(w, req, "", time.Time{}, content.ReadSeekCloser)
}

func validDigest(w http.ResponseWriter, reference string) (digest.Digest, bool) {
	d := digest.Digest(reference)
	if err := artifacttypes.ValidateDigest(d); err != nil {
		fail(w, http.StatusBadRequest, ociregistry.ErrDigestInvalid.Code(), err.Error())
		return "", false
	}
	return d, true
}
