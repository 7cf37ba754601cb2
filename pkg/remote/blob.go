package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// pushBlob stores a small blob: POST and one PUT, which every registry takes,
// also for no bytes at all (distribution specification, "POST then PUT").
func (r *Repository) pushBlob(ctx context.Context, desc ocispec.Descriptor, raw []byte) error {
	exists, err := r.Exists(ctx, desc)
	if err != nil || exists {
		return err
	}
	const tries = 2 // the second when the session was lost between POST and PUT
	for range tries {
		if err = r.tryPushBlob(ctx, desc, raw); err == nil || IsUnauthorized(err) || ctx.Err() != nil {
			return err
		}
		// The registry may have stored it and then failed to say so.
		if exists, lookErr := r.Exists(ctx, desc); lookErr == nil && exists {
			return nil
		}
	}
	return err
}

func (r *Repository) tryPushBlob(ctx context.Context, desc ocispec.Descriptor, raw []byte) error {
	u := r.URL("blobs", "uploads")
	u.Path += "/"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), http.NoBody)
	if err != nil {
		return err
	}
	resp, err := r.do(req)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusAccepted {
		return ResponseError(resp)
	}
	_ = resp.Body.Close()
	session, err := r.UploadLocation(resp)
	if err != nil {
		return err
	}
	var content io.Reader = http.NoBody
	if len(raw) > 0 {
		content = bytes.NewReader(raw)
	}
	req, err = http.NewRequestWithContext(ctx, http.MethodPut, WithDigest(session, desc.Digest).String(), content)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	resp, err = r.do(req)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusCreated {
		return ResponseError(resp)
	}
	return resp.Body.Close()
}

// UploadLocation returns the address at which an upload goes on, from the
// Location header of the newest answer. An address on another origin is
// refused: the bytes and the credentials are for this registry.
func (r *Repository) UploadLocation(resp *http.Response) (*url.URL, error) {
	location := resp.Header.Get("Location")
	if location == "" {
		return nil, errors.New("the registry began an upload and did not say where (no Location)")
	}
	u, err := resp.Request.URL.Parse(location)
	if err != nil {
		return nil, errors.New("the registry began an upload at an address that is no URL")
	}
	if home := r.URL(); !SameOrigin(home, u) {
		return nil, fmt.Errorf("the registry wants the upload sent to %s://%s: refused, it is not %s://%s", u.Scheme, u.Host, home.Scheme, home.Host)
	}
	return u, nil
}

// WithDigest adds the digest to the address of an upload session, whether it
// has a query already (distribution, olareg) or not (zot).
func WithDigest(session *url.URL, d digest.Digest) *url.URL {
	u := *session
	// The query is the registry's own and kept to the letter.
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += "digest=" + url.QueryEscape(d.String())
	return &u
}
