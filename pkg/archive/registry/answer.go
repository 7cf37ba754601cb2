package registry

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"oras.land/oras-go/v2/errdef"
)

// Codes of errors (distribution specification v1.1.1, "Error Codes").
const (
	codeBlobUnknown     = "BLOB_UNKNOWN"
	codeDigestInvalid   = "DIGEST_INVALID"
	codeManifestUnknown = "MANIFEST_UNKNOWN"
	codeNameInvalid     = "NAME_INVALID"
	codeNameUnknown     = "NAME_UNKNOWN"
	codeUnsupported     = "UNSUPPORTED"

	// The specification leaves room for others. These two are those of the
	// distribution registry.
	codeUnknown       = "UNKNOWN"
	codeNumberInvalid = "PAGINATION_NUMBER_INVALID"
)

// fail answers with an error as the specification has it.
func fail(w http.ResponseWriter, status int, code, message string) {
	type entry struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	raw, err := json.Marshal(struct {
		Errors []entry `json:"errors"`
	}{[]entry{{code, message}}})
	if err != nil {
		raw = nil // never: they are strings
	}
	for _, name := range []string{"Docker-Content-Digest", "Etag", "Link"} {
		w.Header().Del(name)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	w.WriteHeader(status)
	_, _ = w.Write(raw) // of a HEAD net/http sends none of it; who is gone needs none
}

// failRead answers for content that could not be read: absent, or damaged.
func failRead(w http.ResponseWriter, req *http.Request, code string, err error) {
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		fail(w, http.StatusNotFound, code, "the archive does not hold it")
	case errors.Is(context.Cause(req.Context()), context.Canceled):
		// Who asked is gone.
	default:
		fail(w, http.StatusInternalServerError, codeUnknown, err.Error())
	}
}

func answerJSON(w http.ResponseWriter, req *http.Request, contentType string, raw []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	w.WriteHeader(http.StatusOK)
	if req.Method == http.MethodGet {
		_, _ = w.Write(raw) // who is gone needs none
	}
}
