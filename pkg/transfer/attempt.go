package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/remote"
)

// attempt sends what the registry does not have of the blob, and closes the
// session.
func (j *upload) attempt(ctx context.Context) error {
	if j.session != nil {
		if err := j.reattach(ctx); err != nil {
			return err
		}
	}
	if j.session == nil {
		s, err := j.u.begin(ctx)
		if err != nil {
			return err
		}
		j.session, j.acked, j.resumed = s, 0, false
		j.note()
	}
	switch {
	case j.blob.Size == 0:
		// Not a PATCH without bytes, which docker-registry 2.8 does not survive.
		return j.judgeDigest(j.commit(ctx))
	case j.acked == j.blob.Size:
		return j.finish(ctx)
	case j.chunked():
		return j.sendChunks(ctx)
	case j.desc.Digest != "" && !j.unproven && (j.noStream || !j.noPut && j.u.o.Mode != ModeStream):
		return j.sendPut(ctx)
	}
	return j.sendStream(ctx)
}

// reattach finds out where the session goes on. Without one afterwards a new one
// is to be begun.
func (j *upload) reattach(ctx context.Context) error {
	fresh := !j.earlier && j.src.Load() == nil // nothing was sent: begun by a mount
	if fresh {
		return nil
	}
	if j.noResume || j.u.traits().Resume == keepsNothing {
		j.drop(ctx)
		return nil
	}
	n, err := j.session.settled(ctx)
	switch {
	case errors.Is(err, errGone):
		// Where a connection that broke takes the session along, whole chunks may
		// be kept. Where those went as well, nothing is.
		if j.tryChunks {
			j.noResume = true
		}
		j.tryChunks = !j.noResume && !j.earlier
		j.forget()
		return nil
	case err != nil:
		return err
	case n == 0 || n > j.blob.Size || n < j.acked && !j.earlier:
		// Nothing to go on with, or nothing that can be right.
		j.drop(ctx)
		return nil
	}
	j.learnKept(ctx, n)
	if j.earlier {
		j.earlier, j.reused = false, n
		j.tally.reuse(n)
	}
	j.tally.set(n)
	j.acked, j.resumed = n, true
	j.note()
	return nil
}

// learnKept remembers what the registry kept of a request that broke: some of
// its bytes, or the chunks before it alone.
func (j *upload) learnKept(ctx context.Context, n int64) {
	switch {
	case j.earlier:
	case n > j.acked:
		j.u.learn(ctx, traits{Resume: keepsBytes})
	case j.tryChunks:
		j.u.learn(ctx, traits{Resume: keepsChunks, Chunks: yes})
	}
}

// chunked says whether the rest goes in several requests.
func (j *upload) chunked() bool {
	t := j.u.traits()
	if j.noChunks || t.Chunks == no || j.blob.Size-j.acked <= j.chunk() {
		return false
	}
	switch j.u.o.Mode {
	case ModeChunks:
	case ModePut, ModeStream:
		return false
	default:
		if !j.tryChunks && (t.Resume != keepsChunks || j.blob.Size < chunksFrom) {
			return false
		}
	}
	return j.seekable()
}

// seekable says whether the blob can be read from anywhere: otherwise every
// chunk would read all before it once more.
func (j *upload) seekable() bool {
	if j.hasher != nil {
		return true
	}
	rc, err := j.blob.Open()
	if err != nil {
		return false // and the next to open it says why
	}
	defer rc.Close()
	_, ok := rc.(io.Seeker)
	return ok
}

// chunk returns how many bytes a PATCH carries that is not the last.
func (j *upload) chunk() int64 {
	n := j.u.o.ChunkBytes
	if j.session != nil {
		n = max(n, j.session.minChunk)
	}
	if m := j.u.traits().MaxChunk; m > 0 {
		n = min(n, m)
	}
	return n
}

// source makes the source of the next request.
func (j *upload) source(ctx context.Context, to int64) (*source, error) {
	first, err := j.open(ctx, to)
	if err != nil {
		return nil, err
	}
	hashed := (j.desc.Digest == "" || j.unproven) && j.hasher == nil
	src := newSource(j.blob, j.acked, to, hashed, j.u.isPlain(), first)
	if old := j.src.Swap(src); old != nil {
		old.close()
	}
	return src, nil
}

// sendPut sends the rest in the closing request.
func (j *upload) sendPut(ctx context.Context) error {
	src, err := j.source(ctx, j.blob.Size)
	if err != nil {
		return err
	}
	address := remote.WithDigest(j.session.location, j.desc.Digest)
	resp, err := j.u.sendBody(ctx, http.MethodPut, address, src, j.acked > 0, j.tick)
	if err == nil && isStored(resp.StatusCode) {
		_ = resp.Body.Close()
		return compareDigest(resp, j.desc)
	}
	if err == nil {
		err = newAnswerError(resp)
		switch {
		case resp.StatusCode == http.StatusRequestEntityTooLarge && !j.noStream && !j.noPut && j.u.o.Mode != ModePut:
			return &refusal{what: refusedPut, err: err}
		case j.acked > 0 && !remote.Retryable(err) && !remote.IsUnauthorized(err):
			return j.judgeRest(resp.StatusCode, err)
		}
		return j.judgeDigest(j.u.settle(ctx, j.desc, err))
	}
	var late *temporaryError
	if errors.As(err, &late) {
		return j.u.settle(ctx, j.desc, err)
	}
	return err // cut: the next try looks first
}

// sendStream sends the rest in one PATCH, whose digest is known when it has been
// read.
func (j *upload) sendStream(ctx context.Context) error {
	j.streamed = true
	src, err := j.source(ctx, j.blob.Size)
	if err != nil {
		return err
	}
	resp, err := j.u.sendBody(ctx, http.MethodPatch, j.session.location, src, j.acked > 0, j.tick)
	if err != nil {
		return err
	}
	switch resp.StatusCode {
	// 202 by the specification; 201 and 204 are seen when the stream is all there
	// is to come (go-containerregistry takes all three). A registry that dropped
	// bytes refuses the digest below.
	case http.StatusAccepted, http.StatusNoContent, http.StatusCreated:
		_ = resp.Body.Close()
	default:
		err := newAnswerError(resp)
		if j.acked > 0 && !remote.Retryable(err) && !remote.IsUnauthorized(err) {
			return j.judgeRest(resp.StatusCode, err)
		}
		return judgeStream(resp.StatusCode, err)
	}
	if j.hasher == nil && (j.desc.Digest == "" || j.unproven) {
		if _, ok := src.sum(); !ok {
			return &refusal{what: refusedStream, err: errEarly}
		}
	}
	if err := j.session.follow(resp); err != nil {
		return &refusal{what: refusedStream, err: err}
	}
	return j.finish(ctx)
}

var errEarly = errors.New("the registry answered before it had the whole blob")

// finish closes a session that has all bytes.
func (j *upload) finish(ctx context.Context) error {
	if j.desc.Digest == "" || j.unproven {
		if err := j.hashNow(ctx); err != nil {
			return err
		}
	}
	return j.judgeDigest(j.commit(ctx))
}

// sendChunks sends the rest in several PATCH, each of which the registry must
// acknowledge, and closes the session.
func (j *upload) sendChunks(ctx context.Context) error {
	j.streamed = true
	for j.acked < j.blob.Size {
		to := min(j.acked+j.chunk(), j.blob.Size)
		src, err := j.source(ctx, to)
		if err != nil {
			return err
		}
		resp, err := j.u.sendBody(ctx, http.MethodPatch, j.session.location, src, true, j.tick)
		if err != nil {
			return err
		}
		if err := j.acknowledged(resp, to); err != nil {
			return err
		}
		j.acked = to
		j.tally.set(to)
		j.note()
	}
	j.resumed = true
	return j.finish(ctx)
}

// acknowledged checks the answer to a chunk: a registry that does not say that
// it has it may have dropped it.
func (j *upload) acknowledged(resp *http.Response, to int64) error {
	last := to == j.blob.Size
	switch {
	case resp.StatusCode == http.StatusAccepted, last && (resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusCreated):
		_ = resp.Body.Close()
		if n, ok := received(resp.Header.Get("Range")); !last && (!ok || n != to) {
			return &refusal{what: refusedChunks, final: true, err: fmt.Errorf("the registry says that it has %q after %d bytes", resp.Header.Get("Range"), to)}
		}
		return j.session.follow(resp)
	case resp.StatusCode < http.StatusBadRequest:
		// 201 to what is not all: the rest would be dropped.
		return &refusal{what: refusedChunks, final: true, err: newAnswerError(resp)}
	}
	status, err := resp.StatusCode, newAnswerError(resp)
	if remote.Retryable(err) || remote.IsUnauthorized(err) {
		return err
	}
	if status == http.StatusRequestedRangeNotSatisfiable && j.resumed {
		return j.judgeRest(status, err)
	}
	return &refusal{what: refusedChunks, final: isAboutRegistry(status), err: err}
}

// judgeRest judges the refusal of what was to follow the bytes that the registry
// said it had.
func (j *upload) judgeRest(status int, err error) error {
	if j.doubts++; status == http.StatusRequestedRangeNotSatisfiable && j.doubts < statusTries {
		return errAgain
	}
	if status == http.StatusBadRequest && j.desc.Digest != "" {
		return &refusal{what: refusedDigest, err: err}
	}
	return &refusal{what: refusedResume, err: err}
}

// judgeStream tells from the answer to a streamed PATCH whether the registry
// wants the digest first.
func judgeStream(status int, err error) error {
	if isAboutRegistry(status) {
		return &refusal{what: refusedStream, final: true, err: err}
	}
	switch status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusRequestEntityTooLarge:
		return &refusal{what: refusedStream, err: err}
	}
	return err
}

// isAboutRegistry holds for answers that cannot be about one blob alone.
func isAboutRegistry(status int) bool {
	switch status {
	case http.StatusMethodNotAllowed, http.StatusLengthRequired, http.StatusUnsupportedMediaType,
		http.StatusRequestedRangeNotSatisfiable, http.StatusNotImplemented:
		return true
	}
	return false
}

// judgeDigest judges the answer to a closing request.
func (j *upload) judgeDigest(err error) error {
	if err == nil || remote.Retryable(err) || remote.IsUnauthorized(err) || remote.StatusCode(err) == 0 {
		return err
	}
	return &refusal{what: refusedDigest, err: err}
}

// commit closes the session, which has all bytes.
func (j *upload) commit(ctx context.Context) error {
	budget := answerBudget(j.desc.Size)
	limited, cancel := context.WithTimeoutCause(ctx, budget, &temporaryError{fmt.Sprintf("the registry did not answer for %v", budget)})
	defer cancel()
	req, err := http.NewRequestWithContext(limited, http.MethodPut, remote.WithDigest(j.session.location, j.desc.Digest).String(), http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	resp, err := j.u.repo.Do(req)
	if err == nil && isStored(resp.StatusCode) {
		_ = resp.Body.Close()
		return compareDigest(resp, j.desc)
	}
	if err == nil {
		err = newAnswerError(resp)
	} else if limited.Err() != nil {
		err = context.Cause(limited)
	}
	return j.u.settle(ctx, j.desc, err)
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
