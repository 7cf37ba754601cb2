package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/remote"
)

// Fetcher fetches blobs from a repository. It is safe for concurrent use.
type Fetcher struct {
	repo *remote.Repository
}

// NewFetcher returns a Fetcher for the repository.
func NewFetcher(repo *remote.Repository) *Fetcher {
	return &Fetcher{repo: repo}
}

// Fetch returns the bytes of target: one stream, that goes on where it was cut
// until it is whole or nothing has moved for the time of the retry policy. The
// bytes are not checked, but there is never more than one beyond the size of
// target; the caller reads them through an integrity.Reader.
func (f *Fetcher) Fetch(ctx context.Context, target ocispec.Descriptor) (io.ReadCloser, error) {
	if err := artifacttypes.ValidateDescriptor(target); err != nil {
		return nil, err
	}
	if remote.IsManifest(target.MediaType) {
		return f.repo.Fetch(ctx, target)
	}
	if target.Size == 0 {
		// Nothing to ask for, and registries differ in how they say nothing.
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	s := &stream{fetcher: f, desc: target, attempts: f.repo.Attempts()}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	if err := s.open(); err != nil {
		s.cancel(nil)
		return nil, err
	}
	return s, nil
}

// stream is the body of a blob over as many requests as it takes.
type stream struct {
	fetcher  *Fetcher
	ctx      context.Context //nolint:containedctx // a stream lives as long as the call that made it
	cancel   context.CancelCauseFunc
	desc     ocispec.Descriptor
	attempts *remote.Attempts

	n        int64 // bytes given to the caller
	segment  *segment
	noRange  bool // the registry answered a range wrongly: read from the start, and discard
	rejected int  // times that the storage behind the registry refused an address
	err      error
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	if len(p) == 0 || s.err != nil {
		return 0, s.err
	}
	for {
		if s.segment == nil {
			if s.err = s.open(); s.err != nil {
				return 0, s.err
			}
		}
		n, err := s.segment.read(p)
		if n > 0 {
			s.n += int64(n)
			s.attempts.Progress(int64(n), s.desc.Size-s.n)
			return n, nil
		}
		ended := s.segment
		s.closeSegment()
		if err == io.EOF { //nolint:errorlint // an end is never wrapped
			if ended.partial && s.n < s.desc.Size && s.n > ended.start {
				continue // the registry gave less than was asked for, which it may
			}
			// A whole answer is taken at its word, also when it is too short: to
			// notice that is the caller's part.
			s.err = io.EOF
			return 0, s.err
		}
		if s.n >= s.desc.Size {
			s.err = io.EOF // cut behind the last byte
			return 0, s.err
		}
		if !s.attempts.Wait(s.ctx, err, nil) {
			s.err = s.explain(err)
			return 0, s.err
		}
	}
}

// Close implements io.Closer.
func (s *stream) Close() error {
	s.closeSegment()
	s.cancel(nil)
	if s.err == nil {
		s.err = errClosed
	}
	return nil
}

var errClosed = errors.New("read from a closed blob")

func (s *stream) closeSegment() {
	if s.segment != nil {
		s.segment.close()
		s.segment = nil
	}
}

func (s *stream) explain(err error) error {
	return s.fetcher.repo.Explain(s.ctx, "fetch "+s.desc.Digest.String(), err)
}

// open asks for the bytes from s.n on until there is an answer.
func (s *stream) open() error {
	for {
		segment, header, err := s.request()
		if err == nil {
			s.segment = segment
			return nil
		}
		if !s.attempts.Wait(s.ctx, err, header) {
			return s.explain(err)
		}
	}
}

// request asks once. The first request has no range: a cache that has to get
// the blob first ignores ranges (registries.md §2). A range is always closed:
// some registries answer an open one with 416.
func (s *stream) request() (_ *segment, _ http.Header, err error) {
	ctx, cancel := context.WithCancelCause(s.ctx)
	budget := answerBudget(s.desc.Size)
	seg := &segment{ctx: ctx, cancel: cancel, start: s.n}
	// Until the answer begins; the repository watches its body.
	timer := time.AfterFunc(budget, func() { cancel(&temporaryError{fmt.Sprintf("the registry did not answer for %v", budget)}) })
	defer timer.Stop()
	defer func() {
		if err != nil {
			err = seg.cause(err)
			seg.close()
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.fetcher.repo.URL("blobs", s.desc.Digest.String()).String(), http.NoBody)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept-Encoding", "identity")
	ranged := s.n > 0 && !s.noRange
	if ranged {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", s.n, s.desc.Size-1))
	}
	resp, err := s.fetcher.repo.Do(req) //nolint:bodyclose // the segment that is returned closes it
	if err != nil {
		return nil, nil, err
	}
	timer.Stop()
	seg.body = resp.Body
	switch {
	case resp.StatusCode == http.StatusOK:
		// The whole blob, asked for or not.
		seg.left = s.desc.Size + 1
		err = seg.discard(s.n)
	case resp.StatusCode == http.StatusPartialContent && ranged:
		seg.partial = true
		seg.left, err = rangeLength(resp, s.n, s.desc.Size)
	case resp.StatusCode == http.StatusPartialContent:
		err = errors.New("the registry sent a part of the blob that was not asked for")
	case s.isExpired(resp):
		s.rejected++
		err = &temporaryError{fmt.Sprintf("%s, where the registry keeps the blob, answers with status %d", resp.Request.URL.Host, resp.StatusCode)}
	default:
		err = remote.ResponseError(resp)
	}
	if err != nil && ranged && (seg.partial || resp.StatusCode == http.StatusRequestedRangeNotSatisfiable) {
		// It does not serve this range of a blob whose size is known: no use in
		// asking again. From the start it may still give all of it.
		s.noRange = true
		err = &temporaryError{err.Error()}
	}
	return seg, resp.Header, err
}

// isExpired reports whether resp comes from a storage to which the registry
// redirected, and whose address was good for some time only.
func (s *stream) isExpired(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusGone:
		return s.rejected < rejections && !remote.SameOrigin(resp.Request.URL, s.fetcher.repo.URL())
	}
	return false
}

// rejections bounds how often the registry is asked for another address of a
// blob.
const rejections = 3

// rangeLength checks that resp is the range from start that was asked for, or
// the beginning of it, and returns its length.
func rangeLength(resp *http.Response, start, size int64) (int64, error) {
	text := resp.Header.Get("Content-Range")
	wrong := func() (int64, error) {
		return 0, fmt.Errorf("the registry was asked for bytes %d-%d of %d and sent %.100q", start, size-1, size, text)
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
	if !ok || err1 != nil || err2 != nil || a != start || b < a || b >= size {
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
	start   int64
	partial bool  // an answer to a range
	left    int64 // bytes that it may still give
}

func (g *segment) read(p []byte) (int, error) {
	if g.left == 0 {
		return 0, io.EOF
	}
	n, err := g.body.Read(p[:min(int64(len(p)), g.left)])
	g.left -= int64(n)
	if err != nil && err != io.EOF { //nolint:errorlint // an end is never wrapped
		err = g.cause(err)
	}
	return n, err
}

// discard reads what the caller has already.
func (g *segment) discard(n int64) error {
	buf := make([]byte, min(n, 256<<10))
	for n > 0 {
		m, err := g.read(buf[:min(n, int64(len(buf)))])
		if n -= int64(m); n > 0 && err != nil {
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
