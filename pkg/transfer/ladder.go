package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/fileid"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/progress"
	"github.com/modseal/modseal/pkg/remote"
)

// upload is the upload of one blob: the ladder of registries.md §1.3, and what
// is left of an attempt that broke for the next one.
type upload struct {
	u    *Uploader
	blob ingest.Blob
	desc ocispec.Descriptor // without a digest until it is known
	from string             // a repository of the registry that may have it
	// guessed says that the digest is remembered, not told: bytes that are read
	// are believed over it.
	guessed bool

	tally   *tally
	session *session               // nil when there is none to go on with
	journal *journal               // nil when nothing is noted
	left    *entry                 // what an earlier process noted, until it is used
	hasher  *hasher                // nil when there is none
	src     atomic.Pointer[source] // of the newest request

	acked    int64 // what the registry says that it has of the session
	furthest int64
	earlier  bool  // the session is that of an earlier process, and was not asked yet
	reused   int64 // what it had
	streamed bool  // bytes were sent before the closing request
	resumed  bool  // bytes of the session came from more than one request
	asked    bool  // for mounts
	opened   bool  // to see what it is

	// What this blob may not be tried with any more.
	noStream, noPut, noChunks, noResume bool
	tryChunks                           bool // a session did not keep single bytes
	doubts                              int
}

const (
	// uploadTries bounds how often a blob is sent without getting further.
	uploadTries = 8
	// streamTries is after how many broken streams the blob is hashed first: a
	// registry that refuses a stream without reading it may look like that.
	streamTries = 3
	// statusTries is how often a registry may refuse the place where it said
	// that an upload goes on.
	statusTries = 3
	// mountTries bounds the repositories that a blob is asked to be taken from.
	mountTries = 3
	// chunksFrom is the size from which a blob is sent in chunks to a registry
	// that keeps whole ones only.
	chunksFrom = 1 << 30
	// flushFrom is from when a digest is worth to be on disk at once.
	flushFrom = 64 << 20
)

func (u *Uploader) newUpload(b ingest.Blob) *upload {
	return &upload{u: u, blob: b, tally: &tally{reporter: u.progress, name: b.Name}}
}

// close frees what is in memory. What the next process needs stays on disk.
func (j *upload) close() {
	if j.hasher != nil {
		j.hasher.close()
		if j.session != nil {
			j.note()
		}
	}
	if src := j.src.Load(); src != nil {
		src.close()
	}
	j.journal.close()
}

// run goes down the ladder until the blob is there.
func (j *upload) run(ctx context.Context) (Outcome, error) {
	j.takeUp(ctx)
	attempts := j.u.repo.Attempts()
	attempts.OnWait(func(d time.Duration, err error) { progress.Wait(j.u.progress, j.blob.Name, d, err) })
	for try := 1; ; try++ {
		outcome, err := j.step(ctx)
		if err == nil {
			return outcome, nil
		}
		if ctx.Err() != nil {
			return "", j.explain(ctx, err)
		}
		if failure := j.failure(); failure != nil {
			j.drop(ctx)
			return "", failure
		}
		var r *refusal
		if errors.As(err, &r) {
			r.resumed = j.resumed
			j.drop(ctx)
			if err := j.adapt(ctx, r); err != nil {
				return "", err
			}
			try = 0
			continue
		}
		if j.acked > j.furthest {
			attempts.Progress(j.acked-j.furthest, j.blob.Size-j.acked)
			j.furthest, try = j.acked, 1
		}
		if j.desc.Digest == "" && try >= streamTries && j.acked == 0 && j.moved() > 0 && remote.StatusCode(err) == 0 {
			j.drop(ctx)
			j.noStream = true
		}
		if errors.Is(err, errAgain) {
			continue
		}
		if !remote.Retryable(err) {
			j.drop(ctx)
			return "", j.explain(ctx, err)
		}
		if try == uploadTries || !attempts.Wait(ctx, err, headerOf(err)) {
			if j.journal == nil {
				j.drop(ctx) // nobody will come back to it
			}
			// Otherwise the session and its journal are left to the next process.
			return "", j.explain(ctx, err)
		}
	}
}

// step is one way down the ladder: is it there, can it be mounted, send it.
func (j *upload) step(ctx context.Context) (Outcome, error) {
	if j.desc.Digest == "" && j.hashesFirst() {
		if err := j.hashNow(ctx); err != nil {
			return "", err
		}
	}
	if j.desc.Digest != "" {
		exists, err := j.u.repo.Exists(ctx, j.desc)
		if err != nil {
			return "", err
		}
		if exists {
			j.drop(ctx)
			return Existed, nil
		}
		mounted, err := j.mount(ctx)
		if mounted || err != nil {
			return Mounted, err
		}
	}
	if err := j.attempt(ctx); err != nil {
		return "", err
	}
	j.tally.set(j.blob.Size)
	j.session = nil
	j.journal.remove()
	return Copied, nil
}

// hashesFirst says whether the digest must be known before anything is sent.
func (j *upload) hashesFirst() bool {
	mode := j.u.o.Mode
	return j.blob.Size == 0 || j.noStream || j.u.o.HashFirst || mode == ModePut ||
		mode != ModeStream && mode != ModeChunks && j.u.traits().Stream == no
}

// hashNow finds the digest without sending anything, or by what was hashed
// while something was sent.
func (j *upload) hashNow(ctx context.Context) error {
	d, err := j.sum(ctx)
	if err != nil {
		return err
	}
	if d.Digest == "" {
		if err := j.u.hashing.Acquire(ctx, 1); err != nil {
			return context.Cause(ctx)
		}
		d, err = ingest.Digests{}.Ingest(ctx, j.blob)
		j.u.hashing.Release(1)
		if err != nil {
			return &readError{err}
		}
	}
	j.know(ctx, d)
	return nil
}

// sum returns the descriptor when something hashes the blob, or has.
func (j *upload) sum(ctx context.Context) (ocispec.Descriptor, error) {
	d := ocispec.Descriptor{MediaType: j.blob.MediaType, Size: j.blob.Size}
	var err error
	if j.hasher != nil {
		if d.Digest, err = j.hasher.finish(ctx); err != nil {
			return d, &readError{err}
		}
	} else if src := j.src.Load(); src != nil {
		if sum, ok := src.sum(); ok {
			d.Digest = sum
		}
	}
	return d, nil
}

// know takes a digest that was read, and remembers it: before the blob is there
// for good, so that a process that is killed now has not read it in vain.
func (j *upload) know(ctx context.Context, d ocispec.Descriptor) {
	j.desc, j.guessed = d, false
	j.u.o.Digests.Remember(j.blob.Identity, d.Digest)
	if j.blob.Size >= flushFrom {
		_ = j.u.o.Digests.Flush(ctx) // a cache that cannot be written remembers nothing
	}
}

// readError is a failure of reading the blob: it is final.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// failure returns what went wrong with reading the blob.
func (j *upload) failure() error {
	if src := j.src.Load(); src != nil {
		if err := src.failure(); err != nil {
			return err
		}
	}
	if j.hasher != nil {
		return j.hasher.failure()
	}
	return nil
}

// moved returns how far the newest request got, as far as this side knows.
func (j *upload) moved() int64 {
	if src := j.src.Load(); src != nil {
		return src.moved()
	}
	return 0
}

// mount asks once whether the registry can take the blob from another of its
// repositories.
func (j *upload) mount(ctx context.Context) (bool, error) {
	if j.asked || j.session != nil {
		return false, nil
	}
	j.asked = true
	var candidates []string
	if j.from != "" {
		candidates = append(candidates, j.from)
	}
	own := j.u.repo.Reference().Repository
	for _, r := range j.u.o.Digests.Where(j.u.host(), own, j.desc.Digest) {
		if !slices.Contains(candidates, r) {
			candidates = append(candidates, r)
		}
	}
	for _, r := range candidates[:min(len(candidates), mountTries)] {
		s, mounted, err := j.u.mount(ctx, r, j.desc.Digest)
		if mounted {
			return true, err
		}
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		if s != nil {
			// It began a session instead, which is as good as a new one.
			j.session = s
			j.note()
			return false, nil
		}
	}
	return false, nil
}

// refusal says that the registry does not take a blob in the way it was sent.
type refusal struct {
	what    objection
	err     error
	final   bool // it is about the registry, not about this blob
	resumed bool // what was refused came from more than one request
}

type objection int

const (
	refusedStream objection = iota // of unknown digest
	refusedChunks                  // in several requests
	refusedResume                  // where it said that it goes on
	refusedPut                     // in one PUT, of a size that a stream may have
	refusedDigest                  // it got other bytes than those of the digest
)

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// errAgain says that the same is to be tried again at once.
var errAgain = errors.New("the upload goes on elsewhere than the registry said")

// adapt chooses another way after a refusal. Each is taken away once, so that it
// ends.
func (j *upload) adapt(ctx context.Context, r *refusal) error {
	switch r.what {
	case refusedStream:
		if r.final {
			j.u.learn(ctx, traits{Stream: no})
		}
		j.noStream = true
		return j.hashNow(ctx)
	case refusedChunks:
		if r.final {
			j.u.learn(ctx, traits{Chunks: no})
		}
		j.noChunks = true
		return j.hashNow(ctx) // then one PUT
	case refusedResume:
		j.noResume = true
		return nil
	case refusedPut:
		j.noPut = true
		return nil
	case refusedDigest:
	}
	return j.adaptDigest(ctx, r)
}

// adaptDigest looks for who is wrong about the digest: what was remembered, what
// was put together from several requests, or the registry.
func (j *upload) adaptDigest(ctx context.Context, r *refusal) error {
	j.noResume, j.noChunks = true, true
	switch {
	case j.guessed:
		old := j.desc.Digest
		j.desc.Digest = ""
		if err := j.hashNow(ctx); err != nil {
			return err
		}
		if j.desc.Digest != old {
			j.u.o.Digests.Forget(j.blob.Identity, old)
			j.u.o.Digests.Remember(j.blob.Identity, j.desc.Digest)
			return nil
		}
		if r.resumed {
			return nil
		}
	case r.resumed:
		// The hash may have begun with a state from elsewhere.
		if j.hasher != nil {
			j.hasher.close()
			j.hasher, j.desc.Digest = nil, ""
			return j.hashNow(ctx)
		}
		return nil
	case j.streamed && !j.noStream:
		j.noStream = true // it may have dropped bytes of a stream
		return nil
	}
	return j.explain(ctx, r.err)
}

func (j *upload) explain(ctx context.Context, err error) error {
	var read *readError
	if errors.As(err, &read) && ctx.Err() == nil {
		return read.err
	}
	return j.u.explain(ctx, j.blob, j.desc.Digest, err)
}

// drop ends the session, there and here.
func (j *upload) drop(ctx context.Context) {
	if j.session != nil {
		j.session.abandon(ctx)
	}
	j.forget()
}

// forget ends the session here: the registry has none.
func (j *upload) forget() {
	j.session, j.acked, j.resumed = nil, 0, false
	j.earlier, j.reused = false, 0
	j.tally.set(0)
	j.journal.clear()
}

// takeUp looks for what an earlier process left of this upload.
func (j *upload) takeUp(ctx context.Context) {
	dir := j.u.journals()
	if dir == "" || j.blob.Identity == "" || j.blob.Size == 0 {
		return
	}
	j.u.look.Do(func() { j.u.left = leftJournals(dir, j.u.host(), j.u.repo.Reference().Repository) })
	for _, l := range j.u.left {
		if l.Identity != j.blob.Identity && fileid.SameFile(l.Identity, j.blob.Identity) {
			j.u.cancelLeft(ctx, dir, l)
		}
	}
	if err := j.openJournal(dir); err != nil {
		return // another process is at it: never two writers in one session
	}
	if j.left == nil {
		return
	}
	at, ok := j.left.location(j.u.repo)
	if !ok {
		j.left = nil
		return
	}
	j.session, j.resumed, j.earlier = &session{u: j.u, location: at}, true, true
	if j.blob.Size < resumeFrom {
		j.drop(ctx)
	}
}

func (j *upload) openJournal(dir string) (err error) {
	j.journal, j.left, err = openJournal(dir, entry{
		Version: journalVersion, Registry: j.u.host(), Repository: j.u.repo.Reference().Repository,
		Name: j.blob.Name, Identity: j.blob.Identity, Size: j.blob.Size, Mode: j.u.o.Mode,
	})
	return err
}

// cancelLeft cancels the upload of a file that has changed since.
func (u *Uploader) cancelLeft(ctx context.Context, dir string, l leftJournal) {
	journal, left, err := openJournal(dir, l.entry)
	if err != nil {
		return
	}
	defer journal.remove()
	if left == nil {
		return
	}
	if at, ok := left.location(u.repo); ok {
		(&session{u: u, location: at}).abandon(ctx)
	}
}

// note writes the journal: where the session is, and what was hashed.
func (j *upload) note() {
	j.journal.write(func(e *entry) {
		if j.session == nil {
			return
		}
		if e.Location == "" || e.Started == 0 {
			e.Started = time.Now().Unix()
		}
		e.Location, e.Offset = j.session.location.String(), j.acked
		if j.hasher != nil {
			e.HashState, e.HashOffset = j.hasher.newest()
		}
	})
}

// tick is called now and then while bytes move.
func (j *upload) tick(n int64) {
	j.tally.set(n)
	if j.journal.due() {
		j.note()
	}
}

// open opens the blob once, to see whether it is a file that can be hashed
// beside. Other sources are hashed while they are read.
func (j *upload) open(ctx context.Context) (first io.ReadCloser, err error) {
	if j.opened || j.desc.Digest != "" || j.blob.Size < besideFrom {
		return nil, nil
	}
	j.opened = true
	rc, err := j.blob.Open()
	if err != nil {
		return nil, &readError{err}
	}
	file, ok := rc.(*os.File)
	if !ok {
		return rc, nil
	}
	var state []byte
	var at int64
	if j.left != nil {
		state, at = j.left.HashState, j.left.HashOffset
	}
	j.hasher = startHasher(ctx, j.blob, file, state, at, j.moved)
	return nil, nil
}

// compareDigest compares what a registry says it stored with what it was to
// store. One that names a digest of another algorithm says nothing.
func compareDigest(resp *http.Response, desc ocispec.Descriptor) error {
	got := digest.Digest(resp.Header.Get("Docker-Content-Digest"))
	if got == desc.Digest || artifacttypes.ValidateDigest(got) != nil || got.Algorithm() != desc.Digest.Algorithm() {
		return nil
	}
	return fmt.Errorf("stored by the registry as something else: %w",
		&integrity.Error{What: "blob", Want: desc.Digest, Got: got, WantSize: desc.Size, GotSize: desc.Size})
}
