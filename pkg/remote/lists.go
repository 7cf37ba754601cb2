package remote

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	orasremote "oras.land/oras-go/v2/registry/remote"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// orasAt returns oras-go's repository, whose requests go to s.
func (r *Repository) orasAt(s *site) (*orasremote.Repository, error) {
	return newORAS(&siteClient{repo: r, site: s}, r.ref, r.route.home.root.Scheme == "http", limits.ReferrerPages)
}

func newORAS(client orasremote.Client, ref registry.Reference, plainHTTP bool, referrerPages int) (*orasremote.Repository, error) {
	o := &orasremote.Repository{
		Client:               client,
		Reference:            ref,
		PlainHTTP:            plainHTTP,
		MaxMetadataBytes:     limits.ListingBytes,
		TagListMaxPages:      limits.TagPages,
		ReferrerListMaxPages: referrerPages,
		SkipReferrersGC:      true,
	}
	// oras-go would maintain the fallback tag itself, and lose entries of
	// others while doing so (registries.md §4.2); package referrer does it.
	if err := o.SetReferrersCapability(true); err != nil {
		return nil, err
	}
	return o, nil
}

// siteClient sends what oras-go asks of a registry to a site of it.
type siteClient struct {
	repo *Repository
	site *site
}

// Do implements oras-go's remote.Client. oras-go writes the address of a first
// page with the registry's host; those of later pages are what the site said.
func (c *siteClient) Do(req *http.Request) (*http.Response, error) {
	s := c.site
	if !s.mirror {
		return c.repo.doAt(s, s.meta, req)
	}
	here, home := s.url(c.repo.ref.Repository), c.repo.URL()
	req = req.Clone(req.Context())
	rest, ours := strings.CutPrefix(req.URL.Path, home.Path+"/")
	switch {
	case SameOrigin(req.URL, here) && strings.HasPrefix(req.URL.Path, here.Path+"/"):
	case ours && SameOrigin(req.URL, home):
		u := s.url(c.repo.ref.Repository, rest)
		u.RawQuery = req.URL.RawQuery
		req.URL, req.Host = u, ""
	default:
		return nil, fmt.Errorf("refused a page at %s, which is not %s", req.URL.Host, here.Host)
	}
	if q := req.URL.Query(); s.ns != "" && !q.Has("ns") {
		q.Set("ns", s.ns)
		req.URL.RawQuery = q.Encode()
	}
	return c.repo.doAt(s, s.meta, req)
}

// OpListTags is the Op of an [Error] of [Repository.Tags].
const OpListTags = "list tags"

// Tags lists the tags that come after last, page by page. Names that no tag can
// have are left out.
func (r *Repository) Tags(ctx context.Context, last string, fn func(tags []string) error) error {
	return r.list(ctx, OpListTags, func(o *orasremote.Repository, deliver func(func() error) error) error {
		return o.Tags(ctx, last, func(tags []string) error {
			valid := tags[:0]
			for _, t := range tags {
				if (registry.Reference{Reference: t}).ValidateReferenceAsTag() == nil {
					valid = append(valid, t)
				}
			}
			return deliver(func() error { return fn(valid) })
		})
	})
}

// Referrers lists what the referrers API says of desc, page by page, to be
// believed only after the manifests were read. An error that wraps
// errdef.ErrUnsupported means that the registry has no such API.
func (r *Repository) Referrers(ctx context.Context, desc ocispec.Descriptor, artifactType string, fn func([]ocispec.Descriptor) error) error {
	return r.ReferrersWithin(ctx, desc, artifactType, limits.ReferrerPages, fn)
}

// ReferrersWithin is [Repository.Referrers] of at most so many pages, empty ones
// included; an error that wraps errdef.ErrTooManyPages means that there are more.
func (r *Repository) ReferrersWithin(ctx context.Context, desc ocispec.Descriptor, artifactType string, pages int, fn func([]ocispec.Descriptor) error) error {
	return r.list(ctx, "list referrers of "+desc.Digest.String(), func(o *orasremote.Repository, deliver func(func() error) error) error {
		o, err := newORAS(o.Client, o.Reference, o.PlainHTTP, pages)
		if err != nil {
			return err
		}
		err = o.Referrers(ctx, desc, artifactType, func(page []ocispec.Descriptor) error {
			return deliver(func() error { return fn(page) })
		})
		switch StatusCode(err) {
		case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
			// oras-go takes a plain 404 only (registries.md §4.2).
			err = fmt.Errorf("%w: %w", errdef.ErrUnsupported, err)
		}
		return err
	})
}

// list has pages listed by the first who can: list hands them on through
// deliver. An error of the caller's function is returned as it is. A list that
// broke off after a page is not begun again elsewhere.
func (r *Repository) list(ctx context.Context, op string, list func(o *orasremote.Repository, deliver func(func() error) error) error) error {
	var stop error
	delivered := false
	err := r.ask(ctx, op, r.listers(), func(s *site) error {
		o := r.oras
		if s.mirror {
			var err error
			if o, err = r.orasAt(s); err != nil {
				return err
			}
		}
		err := list(o, func(fn func() error) error {
			delivered = true
			stop = fn()
			return stop
		})
		if err != nil && delivered {
			return &finalError{err}
		}
		return err
	})
	if stop != nil {
		return stop
	}
	return err
}
