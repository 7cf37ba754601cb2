package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/remote"
)

// origin is one place where a blob is asked for.
type origin struct {
	endpoint *remote.Endpoint
	desc     ocispec.Descriptor
}

// rangeError says that an endpoint does not serve a range of a blob whose size is
// known, so that there is no use in asking for it again. All of the blob it may
// still give.
type rangeError struct{ err error }

func (e *rangeError) Error() string   { return e.err.Error() }
func (e *rangeError) Unwrap() error   { return e.err }
func (e *rangeError) Timeout() bool   { return true }
func (e *rangeError) Temporary() bool { return true }

// expiredError says that a storage to which the endpoint redirected refuses an
// address that may have been good for some time only.
type expiredError struct{ temporaryError }

// rejections bounds how often an endpoint is asked for another address of a blob.
const rejections = 3

// ask asks for the bytes of the blob from start up to end, or for all of it when
// ranged is false. It returns the beginning of the answer: the segment starts at
// start when it is partial, and else at 0. A range is always closed: some
// registries answer an open one with 416 (registries.md §2).
func (s *origin) ask(parent context.Context, start, end int64, ranged bool) (_ *segment, _ http.Header, err error) {
	ctx, cancel := context.WithCancelCause(parent)
	budget := answerBudget(s.desc.Size)
	seg := &segment{ctx: ctx, cancel: cancel}
	// Until the answer begins; the endpoint watches its body.
	timer := time.AfterFunc(budget, func() { cancel(&temporaryError{fmt.Sprintf("the registry did not answer for %v", budget)}) })
	defer timer.Stop()
	defer func() {
		if err != nil {
			err = seg.cause(err)
			seg.close()
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.endpoint.BlobURL(s.desc.Digest).String(), http.NoBody)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept-Encoding", "identity")
	if ranged {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", start, end-1))
	}
	resp, err := s.endpoint.Do(req) //nolint:bodyclose // the segment that is returned closes it
	if err != nil {
		return nil, nil, err
	}
	timer.Stop()
	seg.body = resp.Body
	switch {
	case resp.StatusCode == http.StatusOK:
		// The whole blob, asked for or not.
		seg.length, seg.left = resp.ContentLength, s.desc.Size+1
	case resp.StatusCode == http.StatusPartialContent && ranged:
		seg.partial, seg.at = true, start
		if seg.left, err = rangeLength(resp, start, end, s.desc.Size); err != nil {
			err = &rangeError{err}
		}
	case resp.StatusCode == http.StatusPartialContent:
		err = errors.New("the registry sent a part of the blob that was not asked for")
	case s.isExpired(resp):
		err = &expiredError{temporaryError{fmt.Sprintf("%s, where the registry keeps the blob, answers with status %d", resp.Request.URL.Host, resp.StatusCode)}}
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && ranged:
		err = &rangeError{remote.ResponseError(resp)}
	default:
		err = remote.ResponseError(resp)
	}
	return seg, resp.Header, err
}

// isExpired reports whether resp comes from a storage to which the endpoint
// redirected, and refuses.
func (s *origin) isExpired(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusGone:
		return !remote.SameOrigin(resp.Request.URL, s.endpoint.BlobURL(s.desc.Digest))
	}
	return false
}

// rangeLength checks that resp is the range from start up to end that was asked
// for, or the beginning of it, and returns its length.
func rangeLength(resp *http.Response, start, end, size int64) (int64, error) {
	text := resp.Header.Get("Content-Range")
	wrong := func() (int64, error) {
		return 0, fmt.Errorf("the registry was asked for bytes %d-%d of %d and sent %.100q", start, end-1, size, text)
	}
	span, ok := strings.CutPrefix(text, "bytes ")
	if !ok {
		return wrong()
	}
	span, total, ok := strings.Cut(span, "/")
	if !ok || total != "*" && total != strconv.FormatInt(size, 10) {
		return wrong()
	}
	first, last, ok := strings.Cut(span, "-")
	a, err1 := strconv.ParseInt(first, 10, 64)
	b, err2 := strconv.ParseInt(last, 10, 64)
	if !ok || err1 != nil || err2 != nil || a != start || b < a || b >= end {
		return wrong()
	}
	length := b - a + 1
	if resp.ContentLength >= 0 && resp.ContentLength != length {
		return wrong()
	}
	return length, nil
}

// segment is the body of one answer.
type segment struct {
	ctx     context.Context //nolint:containedctx // of the request whose answer it is
	cancel  context.CancelCauseFunc
	body    io.ReadCloser
	partial bool  // an answer to a range
	length  int64 // that a whole answer announces; -1 when it does not
	at      int64 // offset in the blob of what comes next
	left    int64 // bytes that it may still give
}

func (g *segment) read(p []byte) (int, error) {
	if g.left == 0 {
		return 0, io.EOF
	}
	n, err := g.body.Read(p[:min(int64(len(p)), g.left)])
	g.left -= int64(n)
	g.at += int64(n)
	if err != nil && err != io.EOF { //nolint:errorlint // an end is never wrapped
		err = g.cause(err)
	}
	return n, err
}

// skipTo reads what the caller has already.
func (g *segment) skipTo(at int64) error {
	buf := make([]byte, min(max(at-g.at, 0), 256<<10))
	for g.at < at {
		if _, err := g.read(buf[:min(at-g.at, int64(len(buf)))]); err != nil && g.at < at {
			if err == io.EOF { //nolint:errorlint // an end is never wrapped
				err = &temporaryError{"the registry sent less of the blob than before"}
			}
			return err
		}
	}
	return nil
}

// cause puts the reason of a cancelled request in the place of the
// cancellation.
func (g *segment) cause(err error) error {
	if g.ctx.Err() != nil {
		return context.Cause(g.ctx)
	}
	return err
}

func (g *segment) close() {
	g.cancel(nil)
	if g.body != nil {
		_ = g.body.Close()
	}
}
