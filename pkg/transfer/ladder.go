package transfer

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/progress"
	"github.com/modseal/modseal/pkg/remote"
)

// upload is the upload of one blob: the ladder of registries.md §1.3, and what
// is left of an attempt that broke for the next one.
type upload struct {
	u    *Uploader
	blob ingest.Blob
	desc ocispec.Descriptor // without a digest until it is known
	from []string           // repositories of the registry that may have it
	// guessed says that the digest is remembered, not told: bytes that are read
	// are believed over it.
	guessed bool
	// unproven says that the digest is told, and bytes that are not its are an error.
	unproven bool

	tally   *tally
	session *session               // nil when there is none to go on with
	journal *journal               // nil when nothing is noted
	left    *entry                 // what an earlier process noted, until it is used
	hasher  *hasher                // nil when there is none
	pour    *pour                  // where the bytes come from a registry; nil otherwise
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
	flushFrom = resumeFrom
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
	if j.pour != nil && j.session != nil {
		j.note()
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
		if (j.desc.Digest == "" || j.unproven) && try >= streamTries && j.acked == 0 && j.moved() > 0 && remote.StatusCode(err) == 0 {
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
	if j.unproven && j.hashesFirst() {
		if err := j.hashNow(ctx); err != nil {
			return "", err
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
	candidates := slices.Clone(j.from)
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

func (j *upload) explain(ctx context.Context, err error) error {
	var read *readError
	if errors.As(err, &read) && ctx.Err() == nil {
		return read.err
	}
	return j.u.explain(ctx, j.blob, j.desc.Digest, err)
}

// open opens the blob once, to see whether it is a file that can be hashed
// beside. Other sources are hashed while they are read, and so are files of which
// many are sent at once, as long as all goes well: hashing beside takes a second
// reading, which pays where a processor is free for it, and when a part is sent again.
func (j *upload) open(ctx context.Context, to int64) (first io.ReadCloser, err error) {
	if j.opened || j.desc.Digest != "" && !j.unproven || j.blob.Size < besideFrom {
		return nil, nil
	}
	rc, err := j.blob.Open()
	if err != nil {
		return nil, &readError{err}
	}
	if j.left == nil && j.acked == 0 && to == j.blob.Size && j.u.crowded(j.blob.Size) {
		return rc, nil
	}
	j.opened = true
	file, ok := rc.(localFile)
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
