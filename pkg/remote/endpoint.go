package remote

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/remote/certsd"
)

// Endpoint is a place where the blobs of a repository can be read: the registry
// itself, or a mirror of it. Nothing that it sends is trusted beyond the digest
// that was asked for, and nothing that it does not have is therefore absent.
type Endpoint struct {
	repo *Repository
	site *site
}

// Endpoints returns where blobs can be read, in the order in which to ask:
// mirrors first, then the registry itself, then mirrors that failed before in
// this run. There is always one. The registry itself is not among them when a
// hosts.toml puts another host in its place.
func (r *Repository) Endpoints() []*Endpoint {
	var out []*Endpoint
	for _, s := range r.sites(certsd.Pull) {
		out = append(out, &Endpoint{repo: r, site: s})
	}
	return out
}

// Origin returns the one endpoint to ask when only one can be: the registry
// itself, or the host that a hosts.toml puts in its place.
func (r *Repository) Origin() *Endpoint {
	s := r.route.home
	if r.route.alone && !r.direct {
		s = r.route.mirrors[len(r.route.mirrors)-1]
	}
	return &Endpoint{repo: r, site: s}
}

// Host returns the host and port that is asked.
func (e *Endpoint) Host() string { return e.site.root.Host }

// IsMirror reports whether the endpoint is another than [Repository.Origin].
func (e *Endpoint) IsMirror() bool { return e.site != e.repo.Origin().site }

// BlobURL returns the address of a blob.
func (e *Endpoint) BlobURL(d digest.Digest) *url.URL {
	return e.site.url(e.repo.ref.Repository, "blobs", d.String())
}

// Do sends a request for a blob, as [Repository.Do] does, with the credentials
// for this endpoint and no others. Any answer of a mirror but the blob means to
// ask the next endpoint. What the answer says about the endpoint is remembered:
// one that fails again and again is asked last.
func (e *Endpoint) Do(req *http.Request) (*http.Response, error) {
	resp, err := e.repo.doAt(e.site, e.site.blob, req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusPartialContent {
		resp.Body = &countedBody{ReadCloser: resp.Body, endpoint: e, ctx: req.Context()}
	}
	return resp, nil
}

// Blame says that what the endpoint sent was not what it was asked for. A
// mirror is asked last from then on, and [Client.Warnings] has why.
func (e *Endpoint) Blame(err error) { e.repo.client.lied(e.site, err) }

// countedBody counts what an endpoint gave, and notices when it broke off.
type countedBody struct {
	io.ReadCloser
	endpoint *Endpoint
	ctx      context.Context //nolint:containedctx // a body lives as long as the request that it answers
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.endpoint.repo.client.gave(b.ctx, b.endpoint.site, n, err)
	return n, err
}
