package transfer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/progress"
	"github.com/modseal/modseal/pkg/remote"
)

// UploadOptions change how blobs are uploaded. The zero value works.
type UploadOptions struct {
	// HashFirst reads a blob to know its digest and sends it only when the
	// repository does not hold it: right when much of it is likely there.
	HashFirst bool
	// Stall is how long a transfer may stand still before it is begun anew; 60 s
	// when zero.
	Stall time.Duration
	// Progress is told what moves; nil means nobody.
	Progress progress.Reporter
}

// Uploader stores blobs in a repository. It is an [ingest.Ingester] and safe
// for concurrent use.
type Uploader struct {
	repo     *remote.Repository
	o        UploadOptions
	progress progress.Reporter
}

// NewUploader returns an Uploader to the repository.
func NewUploader(repo *remote.Repository, o UploadOptions) *Uploader {
	if o.Stall <= 0 {
		o.Stall = defaultStall
	}
	return &Uploader{repo: repo, o: o, progress: progress.OrNone(o.Progress)}
}

// uploadTries bounds how often one blob is sent from its first byte.
const uploadTries = 8

// streamTries is after how many broken streams the blob is hashed first: a
// registry that refuses a stream without reading it may look like that.
const streamTries = 3

// Ingest stores b. It reads b once, unless the registry refuses a blob of
// unknown digest or the connection broke.
func (u *Uploader) Ingest(ctx context.Context, b ingest.Blob) (ocispec.Descriptor, error) {
	if b.Size < 0 {
		return ocispec.Descriptor{}, fmt.Errorf("%s: negative size %d", b.Name, b.Size)
	}
	u.progress.Start(b.Name, b.Size)
	desc, err := ocispec.Descriptor{}, errRefused
	if b.Size > 0 && !u.o.HashFirst && !u.refusesStream() {
		desc, err = u.stream(ctx, b)
	}
	outcome := Copied
	if errors.Is(err, errRefused) {
		if desc.Digest == "" {
			if desc, err = (ingest.Digests{}).Ingest(ctx, b); err != nil {
				return ocispec.Descriptor{}, err
			}
		}
		outcome, err = u.put(ctx, b, desc, "")
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	u.progress.Finish(b.Name, outcome != Copied)
	return desc, nil
}

// refusesStream holds for registries that take a blob in one PUT only, which
// has to name the digest: those known for it (registries.md §1.2), and those
// that said so.
func (u *Uploader) refusesStream() bool {
	host := u.repo.Reference().Host()
	return u.repo.Profile().RefusesStream.Load() ||
		strings.HasSuffix(host, ".pkg.dev") || host == "gcr.io" || strings.HasSuffix(host, ".gcr.io")
}

// errRefused says that a blob must be sent with its digest known.
var errRefused = errors.New("the registry does not take a blob of unknown digest")

// stream sends b in one PATCH and hashes it on the way. With errRefused the
// descriptor is complete when the whole of b was read all the same.
func (u *Uploader) stream(ctx context.Context, b ingest.Blob) (ocispec.Descriptor, error) {
	attempts := u.repo.Attempts()
	t := &tally{reporter: u.progress, name: b.Name}
	var furthest int64
	for try := 1; ; try++ {
		src := newSource(b, true, u.isPlain())
		desc, err := u.streamOnce(ctx, src, t)
		if err == nil {
			t.set(b.Size)
			return desc, nil
		}
		t.set(0)
		failure := src.failure()
		switch {
		case ctx.Err() != nil || remote.IsUnauthorized(err):
			return ocispec.Descriptor{}, u.explain(ctx, b, "", err)
		case failure != nil:
			return ocispec.Descriptor{}, failure
		case errors.Is(err, errRefused), desc.Digest != "":
			// Either it does not want a stream, or it had all of it and could not
			// finish: with the digest known it can be asked what it has.
			return desc, errRefused
		case try >= streamTries && src.moved() > 0 && remote.StatusCode(err) == 0:
			return ocispec.Descriptor{}, errRefused
		}
		if n := src.moved(); n > furthest {
			attempts.Progress(n-furthest, b.Size-n)
			furthest = n
		}
		if try == uploadTries || !attempts.Wait(ctx, err, headerOf(err)) {
			return ocispec.Descriptor{}, u.explain(ctx, b, "", err)
		}
	}
}

// streamOnce is one try of stream. It returns a complete descriptor with an
// error when all bytes were read and the registry failed afterwards.
func (u *Uploader) streamOnce(ctx context.Context, src *source, t *tally) (ocispec.Descriptor, error) {
	s, err := u.begin(ctx, "", "")
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	desc, err := u.streamTo(ctx, s, src, t)
	if err != nil {
		s.abandon(ctx)
	}
	return desc, err
}

func (u *Uploader) streamTo(ctx context.Context, s *session, src *source, t *tally) (ocispec.Descriptor, error) {
	resp, err := u.sendBody(ctx, http.MethodPatch, s.location, src, t)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	switch resp.StatusCode {
	// 202 by the specification; 201 and 204 are seen when the stream is all there
	// is to come (go-containerregistry takes all three). A registry that dropped
	// bytes refuses the digest below.
	case http.StatusAccepted, http.StatusNoContent, http.StatusCreated:
		_ = resp.Body.Close()
	default:
		return ocispec.Descriptor{}, u.judgeRefusal(resp.StatusCode, newAnswerError(resp))
	}
	d, ok := src.sum()
	if !ok {
		return ocispec.Descriptor{}, errRefused // it answered before it had everything
	}
	desc := ocispec.Descriptor{MediaType: src.blob.MediaType, Digest: d, Size: src.blob.Size}
	if err := s.follow(resp); err != nil {
		return desc, err
	}
	return desc, u.commit(ctx, s, desc)
}

// judgeRefusal tells from the answer to a streamed PATCH whether the registry
// wants the digest first, and remembers it where the answer cannot be about
// this blob alone.
func (u *Uploader) judgeRefusal(status int, err error) error {
	switch status {
	case http.StatusMethodNotAllowed, http.StatusLengthRequired, http.StatusUnsupportedMediaType,
		http.StatusRequestedRangeNotSatisfiable, http.StatusNotImplemented:
		u.repo.Profile().RefusesStream.Store(true)
		return errRefused
	case http.StatusBadRequest, http.StatusNotFound, http.StatusRequestEntityTooLarge:
		return errRefused
	}
	return err
}

// put sends b, whose descriptor is known, in one PUT, unless the repository
// holds it or can mount it from another repository of the registry.
func (u *Uploader) put(ctx context.Context, b ingest.Blob, desc ocispec.Descriptor, from string) (Outcome, error) {
	attempts := u.repo.Attempts()
	t := &tally{reporter: u.progress, name: b.Name}
	for try := 1; ; try++ {
		exists, err := u.repo.Exists(ctx, desc)
		if err != nil {
			return "", err
		}
		if exists {
			return Existed, nil
		}
		src := newSource(b, false, u.isPlain())
		mounted, err := u.putOnce(ctx, src, desc, from, t)
		switch {
		case err == nil && mounted:
			return Mounted, nil
		case err == nil:
			t.set(b.Size)
			return Copied, nil
		}
		t.set(0)
		if failure := src.failure(); failure != nil && ctx.Err() == nil {
			return "", failure
		}
		if try == uploadTries || !attempts.Wait(ctx, err, headerOf(err)) {
			return "", u.explain(ctx, b, desc.Digest, err)
		}
	}
}

func (u *Uploader) putOnce(ctx context.Context, src *source, desc ocispec.Descriptor, from string, t *tally) (mounted bool, err error) {
	s, err := u.begin(ctx, from, desc.Digest)
	if err != nil {
		return false, err
	}
	if s == nil {
		return true, nil
	}
	if desc.Size == 0 {
		// Not a PATCH without bytes, which docker-registry 2.8 does not survive.
		err = u.commit(ctx, s, desc)
	} else {
		err = u.putBody(ctx, s, src, desc, t)
	}
	if err != nil {
		s.abandon(ctx)
	}
	return false, err
}

func (u *Uploader) putBody(ctx context.Context, s *session, src *source, desc ocispec.Descriptor, t *tally) error {
	resp, err := u.sendBody(ctx, http.MethodPut, remote.WithDigest(s.location, desc.Digest), src, t)
	if err == nil && isStored(resp.StatusCode) {
		return resp.Body.Close()
	}
	if err == nil {
		return u.settle(ctx, desc, newAnswerError(resp))
	}
	var late *temporaryError
	if errors.As(err, &late) {
		return u.settle(ctx, desc, err)
	}
	return err // cut: the next try looks first
}

// commit closes a session that has all bytes.
func (u *Uploader) commit(ctx context.Context, s *session, desc ocispec.Descriptor) error {
	budget := answerBudget(desc.Size)
	limited, cancel := context.WithTimeoutCause(ctx, budget, &temporaryError{fmt.Sprintf("the registry did not answer for %v", budget)})
	defer cancel()
	req, err := http.NewRequestWithContext(limited, http.MethodPut, remote.WithDigest(s.location, desc.Digest).String(), http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	resp, err := u.repo.Do(req)
	if err == nil && isStored(resp.StatusCode) {
		return resp.Body.Close()
	}
	if err == nil {
		err = newAnswerError(resp)
	} else if limited.Err() != nil {
		err = context.Cause(limited)
	}
	return u.settle(ctx, desc, err)
}

func isStored(status int) bool {
	return status == http.StatusCreated || status == http.StatusOK || status == http.StatusNoContent
}

// settle looks whether a blob was stored although its commit failed: after a
// timeout, a cut or a 5xx of a gateway it often was.
func (u *Uploader) settle(ctx context.Context, desc ocispec.Descriptor, failure error) error {
	if !remote.Retryable(failure) || ctx.Err() != nil {
		return failure
	}
	// As long as sending it again would take, and a moment for small blobs.
	deadline := time.Now().Add(u.o.Stall/30 + answerBudget(desc.Size) - answerBase)
	for wait := u.o.Stall / 240; ; wait = min(2*wait, 10*time.Second) {
		if exists, err := u.repo.Exists(ctx, desc); err == nil && exists {
			return nil
		}
		if time.Now().Add(wait).After(deadline) {
			return failure
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return failure
		case <-timer.C:
		}
	}
}

func (u *Uploader) isPlain() bool { return u.repo.URL().Scheme == "http" }

// explain names the blob in an error of the repository.
func (u *Uploader) explain(ctx context.Context, b ingest.Blob, d digest.Digest, err error) error {
	what := b.Name
	if d != "" && !strings.Contains(what, d.String()) {
		what = strings.TrimSpace(what + " " + d.String())
	}
	return u.repo.Explain(ctx, "upload "+what, err)
}

// answerError is a refusal of the registry with its headers.
type answerError struct {
	err    error
	header http.Header
}

func newAnswerError(resp *http.Response) error {
	return &answerError{err: remote.ResponseError(resp), header: resp.Header}
}

func (e *answerError) Error() string { return e.err.Error() }
func (e *answerError) Unwrap() error { return e.err }

func headerOf(err error) http.Header {
	var a *answerError
	if errors.As(err, &a) {
		return a.header
	}
	return nil
}

var _ ingest.Ingester = (*Uploader)(nil)
