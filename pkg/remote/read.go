package remote

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/lazyregexp"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/remote/certsd"
)

// Who is asked for what:
//
//	content by digest   mirrors with pull, then the registry
//	the digest of a tag mirrors with resolve, then the registry
//	lists               the registry; mirrors with resolve when it cannot be reached
//
// A mirror can do no more than be of no use. Its bytes are compared with the
// digest before any of them is handed on. It is believed about a tag only where
// a hosts.toml says so. It is not asked for a list that the registry can give:
// one that is too short would hide a signature, one that is too long be refused,
// and neither could make anything be accepted.

// sites returns whom to ask for something that takes the capability want.
func (r *Repository) sites(want certsd.Capability) []*site {
	if r.direct {
		return []*site{r.route.home}
	}
	return r.route.sites(want)
}

func (r *Repository) listers() []*site {
	if r.direct {
		return []*site{r.route.home}
	}
	return r.route.listers()
}

// ask calls fn with one site after the other until one of them does it. What
// the registry itself says counts, unless it could not be reached: then a
// mirror that is asked after it may do it still. The error is the registry's
// when it was asked.
func (r *Repository) ask(ctx context.Context, op string, sites []*site, fn func(*site) error) error {
	if len(sites) == 0 {
		return r.Explain(ctx, op, errors.New(r.route.file+` names nobody with the capability "resolve"; name the model by its digest`))
	}
	var failure error
	fromHome := false
	for _, s := range sites {
		err := fn(s)
		var final *finalError
		if errors.As(err, &final) {
			err = final.err
		}
		if err == nil || ctx.Err() != nil || final != nil {
			return r.Explain(ctx, op, err)
		}
		if s.mirror {
			r.client.blame(ctx, s, err)
		}
		if !fromHome {
			failure, fromHome = err, !s.mirror
		}
		if !s.mirror && !IsTransport(err) {
			break
		}
	}
	if !fromHome {
		op += " from " + sites[len(sites)-1].root.Host
	}
	return r.Explain(ctx, op, failure)
}

// finalError is one after which nobody else is asked.
type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }

// Resolve returns the descriptor of the manifest that a tag or digest names.
// Its digest comes from the registry, or for a tag from a mirror that may
// resolve: the bytes must be checked against it.
func (r *Repository) Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	sites := r.sites(certsd.Resolve)
	switch {
	case isDigest(reference):
		sites = r.sites(certsd.Pull)
	case fallbackTag.MatchString(reference):
		sites = r.listers()
	}
	var desc ocispec.Descriptor
	err := r.ask(ctx, "resolve "+reference, sites, func(s *site) (err error) {
		if s.mirror {
			// Not HEAD: caches say 404 to it for what they could get, and the size
			// and type in its answer could be anything.
			desc, err = r.resolveByGet(ctx, s, reference)
		} else {
			desc, err = r.resolve(ctx, reference)
		}
		if err == nil {
			err = artifacttypes.ValidateDescriptor(desc)
		}
		return err
	})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return desc, nil
}

// fallbackTag is what a list of referrers is tagged with where there is no
// referrers API (distribution specification v1.1.1, "Referrers Tag Schema").
var fallbackTag = lazyregexp.New(`^sha(256-[0-9a-f]{64}|512-[0-9a-f]{64,128})$`)

func isDigest(reference string) bool {
	return artifacttypes.ValidateDigest(digestOf(Reference{Reference: reference})) == nil
}

// resolve asks the registry itself.
func (r *Repository) resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	desc, err := r.oras.Resolve(ctx, reference)
	if err != nil && ctx.Err() == nil && (StatusCode(err) == http.StatusMethodNotAllowed ||
		StatusCode(err) == 0 && !errors.Is(err, errdef.ErrNotFound) && !errors.Is(err, errdef.ErrInvalidReference) && !IsTransport(err)) {
		// The registry knows no HEAD, or left the digest or the length out.
		desc, err = r.resolveByGet(ctx, r.route.home, reference)
	}
	return desc, err
}

// Fetch returns the bytes of a manifest or a blob. They are not checked, but
// never more than one byte longer than target says. Those of a mirror are
// checked before the first of them is returned, and asked for elsewhere when
// they are wrong; blobs that are too large for that come from the registry
// itself. The download engine, which takes large blobs from mirrors, walks
// [Repository.Endpoints].
func (r *Repository) Fetch(ctx context.Context, target ocispec.Descriptor) (io.ReadCloser, error) {
	op := "fetch " + target.Digest.String()
	if err := artifacttypes.ValidateDescriptor(target); err != nil {
		return nil, r.Explain(ctx, op, err)
	}
	sites := r.sites(certsd.Pull)
	limit, what := int64(limits.MirrorBytes), "blob"
	if IsManifest(target.MediaType) {
		limit, what = artifacttypes.MaxManifestBytes, "manifest"
	}
	if target.Size > limit && !r.route.alone {
		sites = []*site{r.route.home}
	}
	var content io.ReadCloser
	err := r.ask(ctx, op, sites, func(s *site) (err error) {
		content, err = r.stream(ctx, s, target)
		if err != nil || !s.mirror || target.Size > limit {
			return err
		}
		defer content.Close()
		raw, err := integrity.ReadAll(content, target, limit, what)
		content = io.NopCloser(bytes.NewReader(raw))
		return err
	})
	if err != nil {
		return nil, err
	}
	return content, nil
}

// stream asks s for content.
func (r *Repository) stream(ctx context.Context, s *site, target ocispec.Descriptor) (io.ReadCloser, error) {
	u, accept := s.url(r.ref.Repository, "blobs", target.Digest.String()), []string(nil)
	if IsManifest(target.MediaType) {
		// The announced type first: some registries convert to it. The others as
		// well, so that a wrong announcement shows in the bytes.
		u, accept = s.url(r.ref.Repository, "manifests", target.Digest.String()), append([]string{target.MediaType}, acceptManifests...)
	}
	resp, err := r.send(ctx, s, http.MethodGet, u, accept) //nolint:bodyclose // the reader that is returned closes it
	if err != nil {
		return nil, err
	}
	op := "fetch " + target.Digest.String()
	return &body{ctx: ctx, repo: r, site: s, op: op, r: io.LimitReader(resp.Body, target.Size+1), c: resp.Body}, nil
}

// body is the body of an answer whose read errors are explained.
type body struct {
	ctx  context.Context //nolint:containedctx // a body lives as long as the request that it answers
	repo *Repository
	site *site
	op   string
	r    io.Reader
	c    io.Closer
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.repo.client.gave(b.ctx, b.site, n, err)
	if err != nil && err != io.EOF { //nolint:errorlint // an end is never wrapped
		err = b.repo.Explain(b.ctx, b.op, err)
	}
	return n, err
}

func (b *body) Close() error { return b.c.Close() }
