package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/modseal/modseal/pkg/remote"
)

// session is an upload session of a registry. Its location is that of the
// newest answer: registries refuse older ones.
type session struct {
	u        *Uploader
	location *url.URL
	minChunk int64 // of a PATCH that is not the last, by the registry
}

// begin begins an upload.
func (u *Uploader) begin(ctx context.Context) (*session, error) {
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
	s := &session{u: u, location: location}
	// Binding for every chunk but the last (distribution specification, "Pushing
	// a blob in chunks"). What is not a sane number is none.
	if n, err := strconv.ParseInt(resp.Header.Get("OCI-Chunk-Min-Length"), 10, 64); err == nil && n > 0 {
		s.minChunk = n
	}
	return s, nil
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
	const tries = 2
	for range tries {
		resp, err := s.u.small(ctx, http.MethodDelete, s.location)
		if err != nil {
			return
		}
		_ = resp.Body.Close()
		// A location that is not of the newest answer, as that of a journal may be,
		// is 416 for distribution: the registry gives the new one.
		if resp.StatusCode != http.StatusRequestedRangeNotSatisfiable {
			return
		}
		if _, err := s.status(ctx); err != nil {
			return
		}
	}
}

// errGone says that the registry does not know a session any more, or will not
// say how far it is.
var errGone = errors.New("the registry dropped the upload")

// settled asks how many bytes of the blob the registry has, until two answers
// agree: bytes of a connection that broke may still land. The answers alone
// count, whatever was sent.
func (s *session) settled(ctx context.Context) (int64, error) {
	const answers = 50
	before := int64(-1)
	for range answers {
		n, err := s.status(ctx)
		if err != nil {
			return 0, err
		}
		if n == before {
			return n, nil
		}
		before = n
		timer := time.NewTimer(s.u.o.Stall / 600)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
	}
	return 0, errGone
}

func (s *session) status(ctx context.Context) (int64, error) {
	resp, err := s.u.small(ctx, http.MethodGet, s.location)
	if err != nil {
		return 0, err
	}
	switch resp.StatusCode {
	case http.StatusNoContent, http.StatusAccepted, http.StatusOK:
	default:
		err := newAnswerError(resp)
		if remote.Retryable(err) || remote.IsUnauthorized(err) {
			return 0, err
		}
		return 0, fmt.Errorf("%w: %w", errGone, err)
	}
	_ = resp.Body.Close()
	if err := s.follow(resp); err != nil {
		return 0, fmt.Errorf("%w: %w", errGone, err)
	}
	n, ok := received(resp.Header.Get("Range"))
	if !ok {
		return 0, errGone
	}
	return n, nil
}

// received reads how many bytes a registry has from the Range header of its
// answer: the offset of the last one. One byte and none are both "0-0" for
// distribution, so that it counts as none; olareg says "0--1" for none.
func received(header string) (n int64, ok bool) {
	switch header {
	case "", "0-0", "0--1":
		return 0, true
	}
	last, ok := strings.CutPrefix(header, "0-")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(last, 10, 64)
	if err != nil || n <= 0 || n == math.MaxInt64 {
		return 0, false
	}
	return n + 1, true
}

// expectFrom is the size from which the registry is asked before the body is
// sent whether it wants it: a round trip for a refusal that costs no bytes.
const expectFrom = 64 << 10

// sendBody sends the bytes of src to address; ranged says which of the blob they
// are. tick is called now and then with up to where they were taken. The upload
// is over when the body of the answer is closed.
func (u *Uploader) sendBody(ctx context.Context, method string, address *url.URL, src *source, ranged bool, tick func(int64)) (*http.Response, error) {
	body, err := src.open()
	if err != nil {
		return nil, err
	}
	size := src.to - src.from
	guarded, stop := guardUpload(ctx, src.to, u.o.Stall, src.moved, tick)
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
	if ranged {
		// Without the unit, by the distribution specification.
		req.Header.Set("Content-Range", fmt.Sprintf("%d-%d", src.from, src.to-1))
	}
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
