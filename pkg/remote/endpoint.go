package remote

import (
	"net/http"
	"net/url"

	"github.com/opencontainers/go-digest"
)

// Endpoint is a place where the blobs of a repository can be read: the registry
// itself, or a mirror of it. Nothing that it sends is trusted beyond the digest
// that was asked for.
type Endpoint struct {
	repo *Repository
}

// Endpoints returns where blobs can be read, in the order in which to ask:
// mirrors first, the registry itself last. There is always one.
func (r *Repository) Endpoints() []*Endpoint { return []*Endpoint{{repo: r}} }

// Host returns the host and port that is asked.
func (e *Endpoint) Host() string { return e.repo.ref.Host() }

// IsMirror reports whether the endpoint is not the registry itself.
func (e *Endpoint) IsMirror() bool { return false }

// BlobURL returns the address of a blob.
func (e *Endpoint) BlobURL(d digest.Digest) *url.URL { return e.repo.URL("blobs", d.String()) }

// Do sends a request for a blob, as [Repository.Do] does.
func (e *Endpoint) Do(req *http.Request) (*http.Response, error) { return e.repo.Do(req) }
