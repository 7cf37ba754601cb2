package remote

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"
	orasremote "oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/remote/certsd"
)

// Media types of Docker manifests, which registries also hold.
const (
	mediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	mediaTypeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// acceptManifests are the types that a manifest may have. olareg, for one,
// answers 404 unless the type is named exactly.
var acceptManifests = []string{
	ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, mediaTypeDockerManifest, mediaTypeDockerList,
}

// Repository is a repository in a registry. It is safe for concurrent use.
type Repository struct {
	client *Client
	ref    registry.Reference // without tag or digest
	route  *route
	direct bool                   // no mirrors
	oras   *orasremote.Repository // of the registry itself
}

// Reference returns the registry and the repository, without tag or digest.
func (r *Repository) Reference() registry.Reference { return r.ref }

// LockDir returns the directory for locks between processes of this machine, or
// "".
func (r *Repository) LockDir() string { return r.client.o.LockDir }

// URL returns the address of something in the repository: URL("blobs", d).
func (r *Repository) URL(path ...string) *url.URL { return r.route.home.url(r.ref.Repository, path...) }

// Direct returns the repository without its mirrors: for what is written to,
// whose state must not be that of a cache.
func (r *Repository) Direct() *Repository {
	direct := *r
	direct.direct = true
	return &direct
}

// Do sends req to the registry itself with the credentials for the repository,
// and no more than once: a broken transfer is for the engine to continue. Bodies
// go over HTTP/1.1. The error is that of net/http; see [Repository.Explain] and
// [ResponseError].
func (r *Repository) Do(req *http.Request) (*http.Response, error) {
	return r.doAt(r.route.home, r.route.home.blob, req)
}

// do is Do for small requests, with retries.
func (r *Repository) do(req *http.Request) (*http.Response, error) {
	return r.doAt(r.route.home, r.route.home.meta, req)
}

// doAt sends req to s and remembers how s answered.
func (r *Repository) doAt(s *site, client *auth.Client, req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		if err := r.mayPush(s); err != nil {
			return nil, err
		}
	}
	resp, err := client.Do(s.scoped(req, r.ref.Repository))
	switch {
	case err == nil:
		r.client.answered(s, resp)
	case req.Context().Err() == nil:
		r.client.failed(s, err)
	}
	return resp, err
}

// mayPush refuses what a hosts.toml does not let the registry be asked for.
func (r *Repository) mayPush(s *site) error {
	if s.mirror || !s.can.Has(certsd.Push) {
		return fmt.Errorf(`%s does not give %s the capability "push"`, r.route.file, s.root.Host)
	}
	return nil
}

// resolveByGet reads the manifest and describes what was read.
func (r *Repository) resolveByGet(ctx context.Context, s *site, reference string) (ocispec.Descriptor, error) {
	ref, err := r.oras.ParseReference(reference)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	resp, err := r.send(ctx, s, http.MethodGet, s.url(r.ref.Repository, "manifests", ref.Reference), acceptManifests)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, artifacttypes.MaxManifestBytes+1))
	r.client.gave(ctx, s, len(raw), cmp.Or(err, io.EOF))
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if len(raw) > artifacttypes.MaxManifestBytes {
		return ocispec.Descriptor{}, &integrity.TooLargeError{What: "manifest " + reference, Size: int64(len(raw)), Limit: artifacttypes.MaxManifestBytes}
	}
	algorithm := digest.Canonical
	if d, err := ref.Digest(); err == nil {
		algorithm = d.Algorithm()
		if got := algorithm.FromBytes(raw); got != d {
			return ocispec.Descriptor{}, &integrity.Error{What: "manifest", Want: d, Got: got, WantSize: int64(len(raw)), GotSize: int64(len(raw))}
		}
	}
	mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("content type %q: %w", resp.Header.Get("Content-Type"), err)
	}
	return ocispec.Descriptor{MediaType: mediaType, Digest: algorithm.FromBytes(raw), Size: int64(len(raw))}, nil
}

// Exists reports whether the registry itself holds a manifest or a blob: what a
// mirror lacks says nothing. A blob of another length than target says does not
// count.
func (r *Repository) Exists(ctx context.Context, target ocispec.Descriptor) (bool, error) {
	op := "look up " + target.Digest.String()
	if err := artifacttypes.ValidateDescriptor(target); err != nil {
		return false, r.Explain(ctx, op, err)
	}
	u, accept := r.URL("blobs", target.Digest.String()), []string(nil)
	if IsManifest(target.MediaType) {
		u, accept = r.URL("manifests", target.Digest.String()), acceptManifests
	}
	resp, err := r.send(ctx, r.route.home, http.MethodHead, u, accept)
	if StatusCode(err) == http.StatusNotFound {
		return false, nil
	}
	if err != nil {
		return false, r.Explain(ctx, op, err)
	}
	_ = resp.Body.Close()
	return resp.ContentLength < 0 || resp.ContentLength == target.Size, nil
}

// send sends a request without a body to s and returns an answer with status
// 200.
func (r *Repository) send(ctx context.Context, s *site, method string, u *url.URL, accept []string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	if len(accept) > 0 {
		req.Header["Accept"] = accept
	}
	resp, err := r.doAt(s, s.meta, req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, ResponseError(resp)
	}
	return resp, nil
}

// Push stores a manifest by its digest, or a blob of at most limits.PushBytes.
// The content is checked before anything is sent. A blob that is there already
// is not sent; a manifest always is, since pushing it again is how a registry
// repairs its list of referrers.
func (r *Repository) Push(ctx context.Context, expected ocispec.Descriptor, content io.Reader) error {
	op := "push " + expected.Digest.String()
	limit, what := int64(limits.PushBytes), "blob"
	if IsManifest(expected.MediaType) {
		limit, what = artifacttypes.MaxManifestBytes, "manifest"
	}
	if err := cmp.Or(artifacttypes.ValidateDescriptor(expected), r.mayPush(r.route.home)); err != nil {
		return r.Explain(ctx, op, err)
	}
	raw, err := integrity.ReadAll(content, expected, limit, what)
	if err != nil {
		return err
	}
	if IsManifest(expected.MediaType) {
		return r.Explain(ctx, op, r.putManifest(ctx, expected, raw, expected.Digest.String()))
	}
	return r.Explain(ctx, op, r.pushBlob(ctx, expected, raw))
}

// PushTagged stores a manifest and gives it the name tag, with one request. The
// content is checked before it is sent.
func (r *Repository) PushTagged(ctx context.Context, expected ocispec.Descriptor, content io.Reader, tag string) error {
	op := "tag " + tag
	err := cmp.Or(
		artifacttypes.ValidateDescriptor(expected), (registry.Reference{Reference: tag}).ValidateReferenceAsTag(), r.mayPush(r.route.home),
	)
	if err != nil {
		return r.Explain(ctx, op, err)
	}
	raw, err := integrity.ReadAll(content, expected, artifacttypes.MaxManifestBytes, "manifest")
	if err != nil {
		return err
	}
	return r.Explain(ctx, op, r.putManifest(ctx, expected, raw, tag))
}

// Tag gives a manifest that the repository holds the name reference.
func (r *Repository) Tag(ctx context.Context, desc ocispec.Descriptor, reference string) error {
	if err := (registry.Reference{Reference: reference}).ValidateReferenceAsTag(); err != nil {
		return err
	}
	if err := r.mayPush(r.route.home); err != nil {
		return r.Explain(ctx, "tag "+reference, err)
	}
	rc, err := r.Fetch(ctx, desc)
	if err != nil {
		return err
	}
	defer rc.Close()
	raw, err := integrity.ReadAll(rc, desc, artifacttypes.MaxManifestBytes, "manifest")
	if err != nil {
		return err
	}
	return r.Explain(ctx, "tag "+reference, r.putManifest(ctx, desc, raw, reference))
}

// IsManifest reports whether something of this media type is kept among the
// manifests of a registry, not among its blobs.
func IsManifest(mediaType string) bool {
	switch mediaType {
	case ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, mediaTypeDockerManifest, mediaTypeDockerList:
		return true
	}
	return false
}
