package registry

import (
	_ "crypto/sha256" // the digest algorithms that a registry may use
	_ "crypto/sha512"
	"net/http"
	"strings"

	"cuelabs.dev/go/oci/ociregistry"
	"cuelabs.dev/go/oci/ociregistry/ociref"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
)

// Backend holds what is served. It embeds *ociregistry.Funcs for what it does not do,
// and keeps to the documentation of ociregistry.Interface, with these additions.
//
//   - GetBlob returns a *Content.
//   - Referrers, Tags: the order is that of the digest, or of the tag.
//   - PushManifest has the bytes of a manifest of one of the known media types, and the
//     context says by [AlgorithmOf] which algorithm its digest has.
//   - PushBlobChunkedResume is called with offset -1 only.
type Backend = ociregistry.Interface

// Options say how a registry answers.
type Options struct {
	// ReadOnly, when it is not empty, tells people why nothing can be changed here,
	// and what to do instead.
	ReadOnly string
}

// New returns a handler that answers for what backend holds.
func New(backend Backend, o Options) http.Handler {
	h := &handler{backend: backend, readOnly: o.ReadOnly}
	h.library = ociserver.New(uploads{backend}, &ociserver.Options{WriteError: answerError})
	return h
}

type handler struct {
	backend  Backend
	readOnly string
	library  http.Handler
}

// endpoint is a request as its path says it.
type endpoint struct {
	name      string // of the repository
	kind      string
	reference string
}

// Kinds of endpoints.
const (
	kindBlob      = "blobs"
	kindManifest  = "manifests"
	kindReferrers = "referrers"
	kindTags      = "tags"
	kindUpload    = "uploads"
)

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	// A media type of a stranger is no page to look at.
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if h.readOnly != "" && req.Method != http.MethodGet && req.Method != http.MethodHead {
		refuseMethod(w, "GET, HEAD", h.readOnly)
		return
	}
	if req.URL.Path == "/v2" || req.URL.Path == "/v2/" {
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			refuseMethod(w, "GET, HEAD", "the API itself is not to be changed")
			return
		}
		answerJSON(w, "application/json", []byte("{}"))
		return
	}
	e, ok := parse(req.URL.Path)
	switch {
	case !ok:
		fail(w, http.StatusNotFound, codeUnsupported, "there is nothing here but the API of an OCI registry, at /v2/, and it has no such endpoint")
	case !validName(e.name):
		fail(w, http.StatusBadRequest, ociregistry.ErrNameInvalid.Code(), "the name of the repository is not valid")
	default:
		h.route(w, req, e)
	}
}

// parse finds out what of which repository is asked for. The name of a repository has
// slashes itself, so the path is read from its end.
func parse(path string) (endpoint, bool) {
	path, ok := strings.CutPrefix(path, "/v2/")
	if !ok {
		return endpoint{}, false
	}
	if name, ok := strings.CutSuffix(path, "/tags/list"); ok {
		return endpoint{name: name, kind: kindTags}, true
	}
	parts := strings.Split(path, "/")
	n := len(parts)
	if n > 2 && parts[n-2] == kindBlob && parts[n-1] == kindUpload {
		return endpoint{name: strings.Join(parts[:n-2], "/"), kind: kindUpload}, true
	}
	if n > 3 && parts[n-3] == kindBlob && parts[n-2] == kindUpload {
		return endpoint{name: strings.Join(parts[:n-3], "/"), kind: kindUpload, reference: parts[n-1]}, true
	}
	if n < 3 || parts[n-1] == "" {
		return endpoint{}, false
	}
	e := endpoint{name: strings.Join(parts[:n-2], "/"), kind: parts[n-2], reference: parts[n-1]}
	return e, e.kind == kindBlob || e.kind == kindManifest || e.kind == kindReferrers
}

// nameLength is how long a name may be, with which most clients and registries agree.
const nameLength = 255

func validName(name string) bool {
	return len(name) <= nameLength && ociref.IsValidRepository(name)
}

func (h *handler) route(w http.ResponseWriter, req *http.Request, e endpoint) {
	reading := req.Method == http.MethodGet || req.Method == http.MethodHead
	switch {
	case e.kind == kindTags && reading:
		h.tags(w, req, e)
	case e.kind == kindReferrers && reading:
		h.referrers(w, req, e)
	case e.kind == kindBlob && req.Method == http.MethodGet:
		h.blob(w, req, e)
	case e.kind == kindManifest && req.Method == http.MethodPut:
		h.putManifest(w, req, e)
	case e.kind == kindUpload:
		h.upload(w, req, e)
	case e.kind == kindManifest && !ociref.IsValidDigest(e.reference) && !ociref.IsValidTag(e.reference):
		// The library knows no page of this name, and gives no code.
		fail(w, http.StatusNotFound, ociregistry.ErrManifestUnknown.Code(), "it is neither a tag nor a digest")
	case e.kind == kindBlob && artifacttypes.ValidateDigest(digest.Digest(e.reference)) != nil:
		validDigest(w, e.reference)
	case (e.kind == kindBlob || e.kind == kindManifest) && (reading || req.Method == http.MethodDelete):
		h.library.ServeHTTP(w, req)
	default:
		refuseMethod(w, allowed[e.kind], "this endpoint does not know the method "+req.Method)
	}
}

var allowed = map[string]string{
	kindTags: "GET, HEAD", kindReferrers: "GET, HEAD", kindBlob: "GET, HEAD, DELETE",
	kindManifest: "GET, HEAD, PUT, DELETE",
}
