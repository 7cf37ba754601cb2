package registry

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"cuelabs.dev/go/oci/ociregistry"
	"cuelabs.dev/go/oci/ociregistry/ociref"
)

// upload answers what an upload consists of: the library does, but for these.
func (h *handler) upload(w http.ResponseWriter, req *http.Request, e endpoint) {
	query := req.URL.Query()
	switch {
	case e.reference == "" && req.Method == http.MethodPost:
		if query.Get("mount") != "" {
			h.mount(w, req, e)
			return
		}
		h.library.ServeHTTP(w, req)
	case e.reference == "":
		refuseMethod(w, "POST", "an upload begins with POST")
	case req.Method == http.MethodDelete:
		h.cancel(w, req, e)
	case req.Method == http.MethodPatch || req.Method == http.MethodPut:
		if ranged, ok := takeRange(w, req); ok {
			h.library.ServeHTTP(w, ranged)
		}
	case req.Method == http.MethodGet:
		h.library.ServeHTTP(w, req)
	default:
		refuseMethod(w, "GET, PATCH, PUT, DELETE", "an upload does not know the method "+req.Method)
	}
}

// mount takes a blob from another repository. What cannot be mounted is to be
// uploaded, as the specification has it, where the library answers with the error.
func (h *handler) mount(w http.ResponseWriter, req *http.Request, e endpoint) {
	query := req.URL.Query()
	d, ok := validDigest(w, query.Get("mount"))
	if !ok {
		return
	}
	if from := query.Get("from"); from != "" && len(from) <= nameLength && ociref.IsValidRepository(from) {
		if desc, err := h.backend.MountBlob(req.Context(), from, e.name, d); err == nil {
			w.Header().Set("Location", "/v2/"+e.name+"/blobs/"+desc.Digest.String())
			w.Header().Set("Docker-Content-Digest", desc.Digest.String())
			w.WriteHeader(http.StatusCreated)
			return
		}
	}
	begin := req.Clone(req.Context())
	begin.URL.RawQuery = ""
	h.library.ServeHTTP(w, begin)
}

// cancel ends an upload, which the library does not know.
func (h *handler) cancel(w http.ResponseWriter, req *http.Request, e endpoint) {
	id, err := base64.RawURLEncoding.DecodeString(e.reference)
	if err != nil {
		answerError(w, req, ociregistry.ErrBlobUploadUnknown)
		return
	}
	upload, err := h.backend.PushBlobChunkedResume(req.Context(), e.name, string(id), -1, 0)
	if err == nil {
		err = upload.Cancel()
	}
	if err != nil {
		answerError(w, req, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

type offsetKey struct{}

// takeRange takes the header Content-Range out of a request and gives its beginning to
// uploads. In the library no range is one that begins with 0, and a range of the first
// byte alone is empty.
func takeRange(w http.ResponseWriter, req *http.Request) (*http.Request, bool) {
	text := req.Header.Get("Content-Range")
	if text == "" {
		return req, true
	}
	from, to, ok := strings.Cut(text, "-")
	begin, err1 := strconv.ParseInt(from, 10, 64)
	end, err2 := strconv.ParseInt(to, 10, 64)
	if !ok || err1 != nil || err2 != nil || begin < 0 || end < begin {
		fail(w, http.StatusRequestedRangeNotSatisfiable, ociregistry.ErrRangeInvalid.Code(), fmt.Sprintf("Content-Range %q is not of the form FIRST-LAST", text))
		return nil, false
	}
	if n := end - begin + 1; req.ContentLength >= 0 && n != req.ContentLength {
		fail(w, http.StatusBadRequest, ociregistry.ErrSizeInvalid.Code(), fmt.Sprintf("Content-Range has %d bytes, and Content-Length is %d", n, req.ContentLength))
		return nil, false
	}
	ranged := req.Clone(context.WithValue(req.Context(), offsetKey{}, begin))
	ranged.Header.Del("Content-Range")
	return ranged, true
}

// uploads compares where a part of an upload begins with what is there, for a backend
// that need not.
type uploads struct{ Backend }

// PushBlobChunkedResume implements ociregistry.Writer.
func (u uploads) PushBlobChunkedResume(ctx context.Context, repo, id string, _ int64, chunk int) (ociregistry.BlobWriter, error) {
	w, err := u.Backend.PushBlobChunkedResume(ctx, repo, id, -1, chunk)
	if err != nil {
		return nil, err
	}
	if begin, ok := ctx.Value(offsetKey{}).(int64); ok && begin != w.Size() {
		err := &offsetError{begin: begin, size: w.Size()}
		_ = w.Close()
		return nil, err
	}
	return w, nil
}

// offsetError says that a part of an upload does not begin where the last one ended.
type offsetError struct{ begin, size int64 }

func (e *offsetError) Error() string {
	return fmt.Sprintf("the part begins at %d, and there are %d bytes", e.begin, e.size)
}

// Unwrap gives it its code.
func (e *offsetError) Unwrap() error { return ociregistry.ErrRangeInvalid }
