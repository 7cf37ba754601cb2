package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	orasremote "oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
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
	oras   *orasremote.Repository
}

// Reference returns the registry and the repository, without tag or digest.
func (r *Repository) Reference() registry.Reference { return r.ref }

// Profile returns what was learned about the registry.
func (r *Repository) Profile() *Profile {
	p, _ := r.client.profiles.LoadOrStore(r.ref.Host(), &Profile{})
	return p.(*Profile)
}

// URL returns the address of something in the repository: URL("blobs", d).
func (r *Repository) URL(path ...string) *url.URL {
	u := &url.URL{Scheme: "https", Host: r.ref.Host(), Path: "/v2/" + r.ref.Repository}
	if r.client.isPlain(r.ref.Host()) {
		u.Scheme = "http"
	}
	for _, p := range path {
		u.Path += "/" + p
	}
	return u
}

// Do sends req with the credentials for the repository, and no more than once:
// a broken transfer is for the engine to continue. Bodies go over HTTP/1.1.
// The error is that of net/http; see [Repository.Explain] and [ResponseError].
func (r *Repository) Do(req *http.Request) (*http.Response, error) {
	resp, err := r.client.blob.Do(r.scoped(req))
	if err == nil {
		r.client.markReached(r.ref.Host())
	}
	return resp, err
}

// do is Do for small requests, with retries.
func (r *Repository) do(req *http.Request) (*http.Response, error) {
	return r.client.meta.Do(r.scoped(req))
}

func (r *Repository) scoped(req *http.Request) *http.Request {
	actions := []string{auth.ActionPull}
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		actions = append(actions, auth.ActionPush)
	}
	return req.WithContext(auth.AppendRepositoryScope(req.Context(), r.ref, actions...))
}

// Resolve returns the descriptor of the manifest that a tag or digest names.
// Its digest comes from the registry: the bytes must be checked against it.
func (r *Repository) Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	desc, err := r.oras.Resolve(ctx, reference)
	if err != nil && ctx.Err() == nil && (StatusCode(err) == http.StatusMethodNotAllowed ||
		StatusCode(err) == 0 && !errors.Is(err, errdef.ErrNotFound) && !errors.Is(err, errdef.ErrInvalidReference) && !IsTransport(err)) {
		// The registry knows no HEAD, or left the digest or the length out.
		desc, err = r.resolveByGet(ctx, reference)
	}
	if err == nil {
		err = artifacttypes.ValidateDescriptor(desc)
	}
	if err != nil {
		return ocispec.Descriptor{}, r.Explain(ctx, "resolve "+reference, err)
	}
	return desc, nil
}

func (r *Repository) resolveByGet(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	ref, err := r.oras.ParseReference(reference)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	resp, err := r.send(ctx, http.MethodGet, r.URL("manifests", ref.Reference), acceptManifests)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, artifacttypes.MaxManifestBytes+1))
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

// Fetch returns the bytes of a manifest or a blob. They are not checked, but
// never more than one byte longer than target says.
func (r *Repository) Fetch(ctx context.Context, target ocispec.Descriptor) (io.ReadCloser, error) {
	op := "fetch " + target.Digest.String()
	if err := artifacttypes.ValidateDescriptor(target); err != nil {
		return nil, r.Explain(ctx, op, err)
	}
	u, accept := r.URL("blobs", target.Digest.String()), []string(nil)
	if IsManifest(target.MediaType) {
		// The announced type first: some registries convert to it. The others as
		// well, so that a wrong announcement shows in the bytes.
		u, accept = r.URL("manifests", target.Digest.String()), append([]string{target.MediaType}, acceptManifests...)
	}
	resp, err := r.send(ctx, http.MethodGet, u, accept) //nolint:bodyclose // the reader that is returned closes it
	if err != nil {
		return nil, r.Explain(ctx, op, err)
	}
	return &body{ctx: ctx, repo: r, op: op, r: io.LimitReader(resp.Body, target.Size+1), c: resp.Body}, nil
}

// Exists reports whether the repository holds a manifest or a blob. A blob of
// another length than target says does not count.
func (r *Repository) Exists(ctx context.Context, target ocispec.Descriptor) (bool, error) {
	op := "look up " + target.Digest.String()
	if err := artifacttypes.ValidateDescriptor(target); err != nil {
		return false, r.Explain(ctx, op, err)
	}
	u, accept := r.URL("blobs", target.Digest.String()), []string(nil)
	if IsManifest(target.MediaType) {
		u, accept = r.URL("manifests", target.Digest.String()), acceptManifests
	}
	resp, err := r.send(ctx, http.MethodHead, u, accept)
	if StatusCode(err) == http.StatusNotFound {
		return false, nil
	}
	if err != nil {
		return false, r.Explain(ctx, op, err)
	}
	_ = resp.Body.Close()
	return resp.ContentLength < 0 || resp.ContentLength == target.Size, nil
}

// send sends a request without a body and returns an answer with status 200.
func (r *Repository) send(ctx context.Context, method string, u *url.URL, accept []string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	if len(accept) > 0 {
		req.Header["Accept"] = accept
	}
	resp, err := r.do(req)
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
	if err := artifacttypes.ValidateDescriptor(expected); err != nil {
		return r.Explain(ctx, op, err)
	}
	raw, err := integrity.ReadAll(content, expected, limit, what)
	if err != nil {
		return err
	}
	if IsManifest(expected.MediaType) {
		return r.Explain(ctx, op, r.oras.Manifests().Push(ctx, expected, bytes.NewReader(raw)))
	}
	return r.Explain(ctx, op, r.pushBlob(ctx, expected, raw))
}

// Tag gives a manifest that the repository holds the name reference.
func (r *Repository) Tag(ctx context.Context, desc ocispec.Descriptor, reference string) error {
	if err := (registry.Reference{Reference: reference}).ValidateReferenceAsTag(); err != nil {
		return err
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
	return r.Explain(ctx, "tag "+reference, r.oras.Manifests().PushReference(ctx, desc, bytes.NewReader(raw), reference))
}

// Tags lists the tags that come after last, page by page. Names that no tag can
// have are left out.
func (r *Repository) Tags(ctx context.Context, last string, fn func(tags []string) error) error {
	var stop error
	err := r.oras.Tags(ctx, last, func(tags []string) error {
		valid := tags[:0]
		for _, t := range tags {
			if (registry.Reference{Reference: t}).ValidateReferenceAsTag() == nil {
				valid = append(valid, t)
			}
		}
		stop = fn(valid)
		return stop
	})
	if stop != nil {
		return stop
	}
	return r.Explain(ctx, "list tags", err)
}

// Referrers lists what the referrers API says of desc, page by page, to be
// believed only after the manifests were read. An error that wraps
// errdef.ErrUnsupported means that the registry has no such API.
func (r *Repository) Referrers(ctx context.Context, desc ocispec.Descriptor, artifactType string, fn func([]ocispec.Descriptor) error) error {
	var stop error
	err := r.oras.Referrers(ctx, desc, artifactType, func(page []ocispec.Descriptor) error {
		stop = fn(page)
		return stop
	})
	if stop != nil {
		return stop
	}
	switch StatusCode(err) {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		// oras-go takes a plain 404 only (registries.md §4.2).
		err = fmt.Errorf("%w: %w", errdef.ErrUnsupported, err)
	}
	return r.Explain(ctx, "list referrers of "+desc.Digest.String(), err)
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

// body is the body of an answer whose read errors are explained.
type body struct {
	ctx  context.Context //nolint:containedctx // a body lives as long as the request that it answers
	repo *Repository
	op   string
	r    io.Reader
	c    io.Closer
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // an end is never wrapped
		err = b.repo.Explain(b.ctx, b.op, err)
	}
	return n, err
}

func (b *body) Close() error { return b.c.Close() }
