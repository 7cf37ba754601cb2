package registrytest

import (
	"fmt"
	"net/http"
	"slices"
)

// A quirk makes a registry accept only what a hosted one does. These are
// models: what they do is put together from public issues, not from the
// registries themselves, which cannot be had in a test.
var quirks = map[string]func(f *Front){
	"ecr":  (*Front).modelECR,
	"ghcr": (*Front).modelGHCR,
	"acr":  (*Front).modelACR,
	"gar":  (*Front).modelGAR,
}

// Quirk makes the registry refuse what the hosted registry of that name does.
func (f *Front) Quirk(name string) error {
	model, known := quirks[name]
	if !known {
		return fmt.Errorf("no registry named %q is modelled, but %v", name, Quirks())
	}
	model(f)
	return nil
}

// Quirks lists the hosted registries that are modelled.
func Quirks() []string {
	var names []string
	for name := range quirks {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// forgetful makes the registry forget an upload when a body is cut, and tell
// nobody how far one is: none of the hosted registries resumes.
func (f *Front) forgetful() {
	lost := newSessions()
	f.NoStatus()
	f.Add(
		&Rule{Match: atSession("PATCH|PUT", nil), Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			whole := false
			defer func() {
				if !whole {
					lost.set(r.URL.Path, 1)
				}
			}()
			watched := r.Clone(r.Context())
			body := &watchedBody{ReadCloser: r.Body}
			watched.Body = body
			next.ServeHTTP(w, watched)
			whole = !body.failed
		}},
		&Rule{Match: atSession("", func(r *http.Request) bool { return lost.get(r.URL.Path) == 1 }), Fault: unknownSession},
	)
}

// modelECR: one PATCH is taken; the second and later ones are answered with 201
// and dropped (aws/containers-roadmap#2831).
func (f *Front) modelECR() {
	patches, forged := newSessions(), newSessions()
	f.forgetful()
	f.Add(&Rule{Match: atSession("PATCH", nil), Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if patches.add(r.URL.Path, 1) == 1 {
			changeHead(func(head http.Header, status int) int {
				if end, err := lastByte(head.Get("Range")); err == nil {
					forged.set(r.URL.Path, end+1)
				}
				return status
			})(w, r, next)
			return
		}
		drain(r)
		end := forged.add(r.URL.Path, max(0, r.ContentLength)) - 1
		w.Header().Set("Location", r.URL.RequestURI())
		w.Header().Set("Range", fmt.Sprintf("0-%d", max(0, end)))
		w.WriteHeader(http.StatusCreated)
	}})
}

// ghcrChunk is the largest chunk that GHCR takes.
const ghcrChunk = 4 << 20

// modelGHCR: a chunk (PATCH with Content-Range) above 4 MiB is refused with 416;
// a stream is not.
func (f *Front) modelGHCR() {
	f.forgetful()
	f.Add(&Rule{Match: atSession("PATCH", func(r *http.Request) bool {
		return r.Header.Get("Content-Range") != "" && (r.ContentLength > ghcrChunk || r.ContentLength < 0)
	}), Fault: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		refuse(w, http.StatusRequestedRangeNotSatisfiable, "RANGE_INVALID", "the chunk is too large")
	}})
}

// acrBody is how large a blob in one PUT may be at ACR (seen through Harbor).
const acrBody = 20_000_000

// modelACR: a PUT above 20 MB is refused with 413, a body of unknown length with
// 413 when it is a PUT and 400 when it is a chunk.
func (f *Front) modelACR() {
	f.forgetful()
	f.Add(
		&Rule{
			Match: atSession("PUT", func(r *http.Request) bool { return r.ContentLength > acrBody || r.ContentLength < 0 }),
			Fault: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
				refuse(w, http.StatusRequestEntityTooLarge, "SIZE_INVALID", "the body is too large")
			},
		},
		&Rule{Match: atSession("PATCH", func(r *http.Request) bool {
			return r.ContentLength < 0 && r.Header.Get("Content-Range") != ""
		}), Fault: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			refuse(w, http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "a chunk needs a Content-Length")
		}},
	)
}

// modelGAR: there is no PATCH, only one PUT (kitops-ml/kitops#777).
func (f *Front) modelGAR() {
	f.forgetful()
	f.Add(&Rule{Match: atSession("PATCH", nil), Fault: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "chunked uploads are not supported")
	}})
}
