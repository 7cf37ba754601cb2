package transfer

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// session is an upload session of a registry. Its location is that of the
// newest answer: registries refuse older ones.
type session struct {
	u        *Uploader
	location *url.URL
}

// begin begins an upload. With a repository to mount d from, the registry may
// have the blob at once: then the session is nil.
func (u *Uploader) begin(ctx context.Context, from string, d digest.Digest) (*session, error) {
	if from != "" {
		s, mounted, err := u.mount(ctx, from, d)
		if mounted || s != nil || ctx.Err() != nil {
			return s, err
		}
	}
	resp, err := u.post(ctx, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusAccepted {
		return nil, newAnswerError(resp)
	}
	return u.newSession(resp)
}

// mount asks the registry to take a blob over from another of its repositories.
// A registry that will not do so begins a session, or refuses: then a plain
// upload may still work.
func (u *Uploader) mount(ctx context.Context, from string, d digest.Digest) (_ *session, mounted bool, err error) {
	source := u.repo.Reference()
	source.Repository = from
	ctx = auth.AppendRepositoryScope(ctx, source, auth.ActionPull)
	resp, err := u.post(ctx, url.Values{"mount": {d.String()}, "from": {from}})
	if err != nil {
		return nil, false, err
	}
	switch resp.StatusCode {
	case http.StatusCreated:
		return nil, true, resp.Body.Close()
	case http.StatusAccepted:
		s, err := u.newSession(resp)
		return s, false, err
	}
	return nil, false, newAnswerError(resp)
}

func (u *Uploader) newSession(resp *http.Response) (*session, error) {
	_ = resp.Body.Close()
	location, err := u.repo.UploadLocation(resp)
	if err != nil {
		return nil, err
	}
	return &session{u: u, location: location}, nil
}

func (u *Uploader) post(ctx context.Context, query url.Values) (*http.Response, error) {
	address := u.repo.URL("blobs", "uploads")
	address.Path += "/"
	address.RawQuery = query.Encode()
	return u.small(ctx, http.MethodPost, address)
}

// small sends a request without a body. Its answer has no body worth reading.
func (u *Uploader) small(ctx context.Context, method string, address *url.URL) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(u.o.Stall, func() {
		cancel(&temporaryError{fmt.Sprintf("the registry did not answer for %v", u.o.Stall)})
	})
	defer timer.Stop()
	req, err := http.NewRequestWithContext(ctx, method, address.String(), http.NoBody)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	resp, err := u.repo.Do(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		cancel(nil)
		return nil, err
	}
	resp.Body = &cancelBody{ReadCloser: resp.Body, stop: func() { cancel(nil) }}
	return resp, nil
}

// cancelBody frees what belongs to a request when its answer is closed.
type cancelBody struct {
	io.ReadCloser
	stop func()
}

func (c *cancelBody) Close() error {
	err := c.ReadCloser.Close()
	c.stop()
	return err
}

// follow takes the location of the newest answer, if it has one.
func (s *session) follow(resp *http.Response) error {
	if resp.Header.Get("Location") == "" {
		return nil
	}
	location, err := s.u.repo.UploadLocation(resp)
	if err != nil {
		return err
	}
	s.location = location
	return nil
}

// abandon tells the registry that the session will not be finished. It is a
// courtesy: registries drop sessions by themselves, so a cancelled caller does
// not wait for it.
func (s *session) abandon(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if resp, err := s.u.small(ctx, http.MethodDelete, s.location); err == nil {
		_ = resp.Body.Close()
	}
}

// expectFrom is the size from which the registry is asked before the body is
// sent whether it wants it: a round trip for a refusal that costs no bytes.
const expectFrom = 64 << 10

// sendBody sends the blob of src to address. The upload is over when the body
// of the answer is closed.
func (u *Uploader) sendBody(ctx context.Context, method string, address *url.URL, src *source, t *tally) (*http.Response, error) {
	size := src.blob.Size
	body, err := src.open()
	if err != nil {
		return nil, err
	}
	guarded, stop := guardUpload(ctx, size, u.o.Stall, src.moved, t.set)
	req, err := http.NewRequestWithContext(guarded, method, address.String(), body)
	if err != nil {
		stop()
		_ = body.Close()
		return nil, err
	}
	// Always a length: ACR refuses chunked encoding, and not only ACR.
	req.ContentLength = size
	req.GetBody = src.open
	req.Header.Set("Content-Type", "application/octet-stream")
	if size >= expectFrom {
		req.Header.Set("Expect", "100-continue")
	}
	resp, err := u.repo.Do(req)
	if err != nil {
		if guarded.Err() != nil {
			err = context.Cause(guarded)
		}
		stop()
		return nil, err
	}
	resp.Body = &cancelBody{ReadCloser: resp.Body, stop: stop}
	return resp, nil
}
