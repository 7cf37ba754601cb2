package transfer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/semaphore"

	"github.com/modseal/modseal/pkg/digestcache"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/progress"
	"github.com/modseal/modseal/pkg/remote"
)

// Mode is how the bytes of a blob get to a registry.
type Mode string

// The modes. All others than ModeAuto are for registries about which nothing is
// known and that fail in a way that cannot be learned from.
const (
	ModeAuto   Mode = "auto"   // by what is known and was learned about the registry
	ModePut    Mode = "put"    // hash first, then send all in one PUT
	ModeStream Mode = "stream" // hash while all is sent in one PATCH
	ModeChunks Mode = "chunks" // hash while it is sent in several PATCH
)

// Modes lists all modes.
func Modes() []Mode { return []Mode{ModeAuto, ModePut, ModeStream, ModeChunks} }

// UploadOptions change how blobs are uploaded. The zero value works.
type UploadOptions struct {
	// Mode is ModeAuto when empty.
	Mode Mode
	// HashFirst reads a blob of unknown digest to know it, and sends it only when
	// the repository does not hold it: right when much of it is likely there.
	HashFirst bool
	// ChunkBytes is how much one of several PATCH carries, if the registry does
	// not want more; 64 MiB when zero.
	ChunkBytes int64
	// Stall is how long a transfer may stand still before it counts as broken;
	// 60 s when zero.
	Stall time.Duration
	// StateDir is a directory where uploads that were not finished are noted, so
	// that another process can go on with them; empty notes nothing.
	StateDir string
	// Profiles are what was learned about registries; nil learns for this Uploader
	// alone.
	Profiles *Profiles
	// Digests learn what is hashed and where it is, and say where else a blob may
	// be; nil remembers nothing.
	Digests *digestcache.Cache
	// Progress is told what moves; nil means nobody.
	Progress progress.Reporter
}

// Uploader stores blobs in a repository. It is an [ingest.Ingester] and safe
// for concurrent use.
type Uploader struct {
	repo     *remote.Repository
	o        UploadOptions
	progress progress.Reporter
	inFlight *semaphore.Weighted // bytes
	hashing  *semaphore.Weighted // passes over files that nothing is sent of
	underWay atomic.Int64        // bytes of all blobs that are being moved

	look sync.Once
	left []leftJournal

	mu    sync.Mutex
	stats UploadStats
}

// UploadStats says how blobs came to the repository, in bytes.
type UploadStats struct {
	Sent    int64 // what was sent, also what had to be sent twice
	Resumed int64 // what an earlier process had sent
	Existed int64 // blobs that were there
	Mounted int64 // blobs that the registry had in another repository
}

const (
	defaultChunk = 64 << 20
	// maxInFlight bounds the blobs that are under way at once. More of them at
	// once use a network no better, and the more are half there, the more has to
	// be sent again to a registry that keeps nothing.
	maxInFlight = 16 << 30
	// smallBlob does not wait for others.
	smallBlob = 64 << 20
	// hashPasses is how many files are hashed at once before they are sent: the
	// next ones while others are sent, and not all before any is.
	hashPasses = 2
)

// NewUploader returns an Uploader to the repository.
func NewUploader(repo *remote.Repository, o UploadOptions) *Uploader {
	if o.Stall <= 0 {
		o.Stall = defaultStall
	}
	if o.ChunkBytes <= 0 {
		o.ChunkBytes = defaultChunk
	}
	if o.Mode == "" {
		o.Mode = ModeAuto
	}
	if o.Profiles == nil {
		o.Profiles = NewProfiles("")
	}
	return &Uploader{
		repo: repo, o: o, progress: progress.OrNone(o.Progress),
		inFlight: semaphore.NewWeighted(maxInFlight), hashing: semaphore.NewWeighted(hashPasses),
	}
}

// Stats returns how the blobs so far came to the repository.
func (u *Uploader) Stats() UploadStats {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.stats
}

// Ingest stores b. A digest that b is known to have is looked for first, and is
// what is sent; otherwise b is hashed while it is sent, unless the registry
// refuses a blob of unknown digest. An upload that breaks off goes on where the
// registry has it, also that of an earlier process with the same Identity.
func (u *Uploader) Ingest(ctx context.Context, b ingest.Blob) (ocispec.Descriptor, error) {
	if b.Size < 0 {
		return ocispec.Descriptor{}, fmt.Errorf("%s: negative size %d", b.Name, b.Size)
	}
	u.progress.Start(b.Name, b.Size)
	j := u.newUpload(b)
	j.desc = ocispec.Descriptor{MediaType: b.MediaType, Digest: b.Known, Size: b.Size}
	j.guessed = b.Known != ""
	outcome, err := u.move(ctx, j)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	u.progress.Finish(b.Name, outcome != Copied)
	return j.desc, nil
}

// put sends b, whose descriptor is known, unless the repository holds it or can
// mount it from another repository of the registry, such as from.
func (u *Uploader) put(ctx context.Context, b ingest.Blob, desc ocispec.Descriptor, from ...string) (Outcome, error) {
	j := u.newUpload(b)
	j.desc, j.from = desc, from
	return u.move(ctx, j)
}

// prove is put for bytes that nobody has compared with the digest yet: they are
// hashed while they are sent, and the upload is closed only when they are the blob.
// Otherwise it fails with a *integrity.Error.
func (u *Uploader) prove(ctx context.Context, b ingest.Blob, desc ocispec.Descriptor, from ...string) (Outcome, error) {
	j := u.newUpload(b)
	j.desc, j.from, j.unproven = desc, from, true
	return u.move(ctx, j)
}

// locate looks whether the repository holds desc or can mount it from another
// repository of the registry, such as from; it sends nothing. An empty outcome
// means neither.
func (u *Uploader) locate(ctx context.Context, name string, desc ocispec.Descriptor, from ...string) (Outcome, error) {
	exists, err := u.repo.Exists(ctx, desc)
	if err != nil {
		return "", err
	}
	j := u.newUpload(ingest.Blob{Name: name, MediaType: desc.MediaType, Size: desc.Size})
	j.desc, j.from = desc, from
	if exists {
		u.count(j, Existed)
		return Existed, nil
	}
	mounted, err := j.mount(ctx)
	if mounted {
		u.count(j, Mounted)
		return Mounted, err
	}
	j.drop(ctx) // the bytes may be long in coming
	return "", err
}

func (u *Uploader) move(ctx context.Context, j *upload) (Outcome, error) {
	if size := min(j.blob.Size, maxInFlight); size >= smallBlob {
		if err := u.inFlight.Acquire(ctx, size); err != nil {
			return "", u.explain(ctx, j.blob, j.desc.Digest, context.Cause(ctx))
		}
		defer u.inFlight.Release(size)
	}
	u.underWay.Add(j.blob.Size)
	defer u.underWay.Add(-j.blob.Size)
	defer j.close()
	outcome, err := j.run(ctx)
	u.mu.Lock()
	u.stats.Sent += j.tally.sent
	u.mu.Unlock()
	if err != nil {
		return "", err
	}
	u.count(j, outcome)
	return outcome, nil
}

// count takes note of how a blob came to be there.
func (u *Uploader) count(j *upload, outcome Outcome) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stats.Resumed += j.reused
	switch outcome {
	case Existed:
		u.stats.Existed += j.desc.Size
	case Mounted:
		u.stats.Mounted += j.desc.Size
	case Copied:
	}
	u.o.Digests.Saw(u.host(), u.repo.Reference().Repository, j.desc.Digest)
}

// crowded reports whether so much is under way that no processor is free for a second
// goroutine of a blob of size bytes.
func (u *Uploader) crowded(size int64) bool {
	return u.underWay.Load()/int64(runtime.GOMAXPROCS(0)) >= size
}

func (u *Uploader) host() string { return u.repo.Reference().Host() }

func (u *Uploader) traits() traits { return u.o.Profiles.of(u.host()) }

func (u *Uploader) learn(ctx context.Context, t traits) { u.o.Profiles.learn(ctx, u.host(), t) }

func (u *Uploader) isPlain() bool { return u.repo.URL().Scheme == "http" }

// journals returns where journals are, or "".
func (u *Uploader) journals() string {
	if u.o.StateDir == "" {
		return ""
	}
	return filepath.Join(u.o.StateDir, "uploads")
}

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
