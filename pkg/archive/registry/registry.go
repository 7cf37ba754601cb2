package registry

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Source holds what is served: an archive, or a layout.
type Source interface {
	// Resolve describes the manifest of a digest. The error wraps
	// errdef.ErrNotFound when there is none.
	Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error)
	// Fetch opens a manifest or a blob by its digest alone. What it returns is an
	// io.Seeker too.
	Fetch(ctx context.Context, target ocispec.Descriptor) (io.ReadCloser, error)
	// Referrers lists what is attached to desc.
	Referrers(ctx context.Context, desc ocispec.Descriptor, artifactType string, fn func([]ocispec.Descriptor) error) error
}

// Names are the repositories, and what each of their tags names.
type Names map[string]map[string]ocispec.Descriptor

// New returns a handler that answers for the repositories in names. All of them
// give everything that source holds, asked for by digest: it came in one file, to
// one reader.
func New(source Source, names Names) http.Handler {
	return &handler{source: source, names: names}
}

type handler struct {
	source Source
	names  Names
}

// repositoryForm is a name by the distribution specification, "Pulling manifests".
var repositoryForm = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		fail(w, http.StatusMethodNotAllowed, codeUnsupported, "this registry serves an archive, and an archive cannot be changed: load it into a registry to write there")
		return
	}
	rest, ok := strings.CutPrefix(req.URL.Path, "/v2/")
	switch {
	case req.URL.Path == "/v2" || ok && rest == "":
		answerJSON(w, req, "application/json", []byte("{}"))
	case ok:
		h.route(w, req, rest)
	default:
		fail(w, http.StatusNotFound, codeUnsupported, "there is nothing here but the API of an OCI registry, at /v2/")
	}
}

// route finds out what of which repository is asked for. The name of a repository
// has slashes itself, so the path is read from its end.
func (h *handler) route(w http.ResponseWriter, req *http.Request, path string) {
	if name, ok := strings.CutSuffix(path, "/tags/list"); ok {
		if tags, ok := h.repository(w, name); ok {
			h.tags(w, req, name, tags)
		}
		return
	}
	parts := strings.Split(path, "/")
	if len(parts) < 3 {
		fail(w, http.StatusNotFound, codeUnsupported, "this registry has no such endpoint")
		return
	}
	name, kind, reference := strings.Join(parts[:len(parts)-2], "/"), parts[len(parts)-2], parts[len(parts)-1]
	var serve func(http.ResponseWriter, *http.Request, string, string)
	switch kind {
	case "manifests":
		serve = h.manifest
	case "blobs":
		serve = h.blob
	case "referrers":
		serve = h.referrers
	default:
		fail(w, http.StatusNotFound, codeUnsupported, "this registry has no such endpoint")
		return
	}
	if _, ok := h.repository(w, name); ok {
		serve(w, req, name, reference)
	}
}

// repository finds a repository, or says that there is none.
func (h *handler) repository(w http.ResponseWriter, name string) (map[string]ocispec.Descriptor, bool) {
	tags, ok := h.names[name]
	switch {
	case ok:
		return tags, true
	case !repositoryForm.MatchString(name):
		fail(w, http.StatusBadRequest, codeNameInvalid, "the name of the repository is not valid")
	default:
		fail(w, http.StatusNotFound, codeNameUnknown, "the archive has no such repository")
	}
	return nil, false
}
