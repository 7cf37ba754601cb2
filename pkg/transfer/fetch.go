package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/progress"
	"github.com/modseal/modseal/pkg/remote"
)

// Fetcher fetches blobs from a repository. It is safe for concurrent use.
type Fetcher struct {
	repo     *remote.Repository
	progress progress.Reporter // nil when nobody wants to know
	governor governor

	mu       sync.Mutex
	liars    map[string]bool // mirrors that sent wrong bytes
	verdicts map[digest.Digest]*verdict
}

// NewFetcher returns a Fetcher for the repository.
func NewFetcher(repo *remote.Repository) *Fetcher {
	return &Fetcher{repo: repo, liars: map[string]bool{}, verdicts: map[digest.Digest]*verdict{}}
}

// Reporting makes f tell p when a registry has it wait.
func (f *Fetcher) Reporting(p progress.Reporter) *Fetcher {
	f.progress = p
	return f
}

// attempts begins a series of tries for a blob.
func (f *Fetcher) attempts(desc ocispec.Descriptor) *remote.Attempts {
	a := f.repo.Attempts()
	a.OnWait(func(d time.Duration, err error) { progress.Wait(f.progress, nameOf(desc), d, err) })
	return a
}

// Fetch returns the bytes of target: one stream from the registry itself, that
// goes on where it was cut until it is whole or nothing has moved for the time of
// the retry policy. The bytes are not checked, but there is never more than one
// beyond the size of target; the caller reads them through an integrity.Reader.
func (f *Fetcher) Fetch(ctx context.Context, target ocispec.Descriptor) (io.ReadCloser, error) {
	return f.fetchFrom(ctx, target, 0)
}

// fetchFrom is Fetch of the bytes from from on.
func (f *Fetcher) fetchFrom(ctx context.Context, target ocispec.Descriptor, from int64) (io.ReadCloser, error) {
	if err := artifacttypes.ValidateDescriptor(target); err != nil {
		return nil, err
	}
	if remote.IsManifest(target.MediaType) {
		return f.repo.Fetch(ctx, target)
	}
	if target.Size == from {
		// Nothing to ask for, and registries differ in how they say nothing.
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	// Not from a mirror: who reads a stream has used some of it when the digest
	// turns out wrong.
	s := &stream{fetcher: f, origin: origin{f.home(), target}, attempts: f.attempts(target), n: from}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	if err := s.open(); err != nil {
		s.cancel(nil)
		return nil, err
	}
	return s, nil
}

// stream is the body of a blob over as many requests as it takes.
type stream struct {
	origin

	fetcher  *Fetcher
	ctx      context.Context //nolint:containedctx // a stream lives as long as the call that made it
	cancel   context.CancelCauseFunc
	attempts *remote.Attempts

	n        int64 // bytes given to the caller
	segment  *segment
	start    int64 // where the segment began to give them
	noRange  bool  // the registry answered a range wrongly: read from the start, and discard
	rejected int   // times that the storage behind the registry refused an address
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
			if ended.partial && s.n < s.desc.Size && s.n > s.start {
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
// the blob first ignores ranges (registries.md §2).
func (s *stream) request() (*segment, http.Header, error) {
	seg, header, err := s.ask(s.ctx, s.n, s.desc.Size, s.n > 0 && !s.noRange)
	var (
		wrong   *rangeError
		expired *expiredError
	)
	switch {
	case errors.As(err, &wrong):
		s.noRange = true // from the start it may still give all of it
		err = &temporaryError{wrong.Error()}
	case errors.As(err, &expired):
		if s.rejected++; s.rejected > rejections {
			err = errors.New(expired.text)
		}
	case err == nil:
		s.start = s.n
		if err = seg.skipTo(s.n); err != nil {
			seg.close()
		}
	}
	return seg, header, err
}
