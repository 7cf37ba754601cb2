package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"cuelabs.dev/go/oci/ociregistry"
)

// Codes of errors beside those of ociregistry. The specification leaves room for
// others: the last two are those of the distribution registry.
const (
	codeUnsupported   = "UNSUPPORTED"
	codeUnknown       = "UNKNOWN"
	codeNumberInvalid = "PAGINATION_NUMBER_INVALID"
)

// fail answers with an error as the specification has it.
func fail(w http.ResponseWriter, status int, code, message string) {
	raw, err := json.Marshal(ociregistry.WireErrors{Errors: []ociregistry.WireError{{Code_: code, Message: message}}})
	if err != nil {
		raw = nil // never: they are strings
	}
	header := w.Header()
	for _, name := range []string{"Docker-Content-Digest", "Etag", "Link"} {
		header.Del(name)
	}
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(raw)))
	w.WriteHeader(status)
	_, _ = w.Write(raw) // of a HEAD net/http sends none of it; who is gone needs none
}

func refuseMethod(w http.ResponseWriter, allow, message string) {
	w.Header().Set("Allow", allow)
	fail(w, http.StatusMethodNotAllowed, codeUnsupported, message)
}

// answerError answers with what a backend, or the library, says.
func answerError(w http.ResponseWriter, req *http.Request, err error) {
	var offset *offsetError
	if errors.As(err, &offset) {
		w.Header().Set("Location", req.URL.Path)
		w.Header().Set("Range", fmt.Sprintf("0-%d", max(offset.size-1, 0)))
	}
	_, status := ociregistry.MarshalError(err)
	code, message := codeUnknown, err.Error()
	var known ociregistry.Error
	if errors.As(err, &known) {
		code = known.Code()
	} else if status < http.StatusInternalServerError {
		code = codeUnsupported
	}
	fail(w, status, code, message)
}

func answerJSON(w http.ResponseWriter, contentType string, raw []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(raw) // of a HEAD net/http sends none of it; who is gone needs none
}
