package transfer

import (
	"context"
	"encoding"
	"errors"
	"hash"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/ingest"
)

// hasher hashes a file on a descriptor of its own while the file is sent on
// another: so the kernel can send it, and a connection that breaks does not
// begin the hash anew. That both read the same bytes is shown by the registry,
// which hashes what it got and is told what was hashed here.
type hasher struct {
	blob ingest.Blob
	file localFile
	hash hash.Hash
	told bool        // it began with a state from a journal
	free atomic.Bool // it need not wait for the sending
	n    atomic.Int64
	stop context.CancelFunc
	done chan struct{}

	mu      sync.Mutex
	state   []byte // of hash after stateAt bytes
	stateAt int64

	// Set when done is closed.
	sum digest.Digest
	err error
}

const (
	// besideFrom is from where another goroutine gains more than it costs.
	besideFrom = 4 << 20
	// hashWindow is how far hashing may be ahead of sending: what it read is to
	// be in memory still when it is sent. Behind it may be as far as it is.
	hashWindow = 64 << 20
	// hashBuffer is where SHA-256 gains no more from larger reads.
	hashBuffer = 256 << 10
	// stateEvery is after how many bytes the state of the hash is taken.
	stateEvery = 64 << 20
)

// startHasher begins to hash the file of b, which it closes. state is that of
// the first at bytes, nil to begin with the first. sent says how far sending is.
func startHasher(ctx context.Context, b ingest.Blob, file localFile, state []byte, at int64, sent func() int64) *hasher {
	h := &hasher{blob: b, file: file, hash: digest.SHA256.Hash(), done: make(chan struct{})}
	if state != nil && at > 0 && at <= b.Size {
		if _, err := file.Seek(at, io.SeekStart); err == nil && h.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(state) == nil {
			h.n.Store(at)
			h.told = true
		}
	}
	if h.n.Load() == 0 {
		h.hash.Reset()
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			h.err = err
		}
	}
	ctx, h.stop = context.WithCancel(ctx)
	go func() {
		defer close(h.done)
		defer file.Close()
		if h.err == nil {
			h.err = h.run(ctx, sent)
		}
		h.snapshot()
	}()
	return h
}

func (h *hasher) run(ctx context.Context, sent func() int64) error {
	buf := make([]byte, hashBuffer)
	next := h.n.Load() + stateEvery
	for {
		if err := h.wait(ctx, sent); err != nil {
			return err
		}
		n, err := h.file.Read(buf)
		h.hash.Write(buf[:n])
		total := h.n.Add(int64(n))
		if total > h.blob.Size || errors.Is(err, io.EOF) && total < h.blob.Size {
			return &ingest.SizeError{Name: h.blob.Name, Want: h.blob.Size, Got: total}
		}
		if errors.Is(err, io.EOF) {
			h.sum = digest.NewDigest(digest.SHA256, h.hash)
			return nil
		}
		if err != nil {
			return err
		}
		if total >= next {
			h.snapshot()
			next = total + stateEvery
		}
	}
}

// wait waits while hashing is too far ahead of sending.
func (h *hasher) wait(ctx context.Context, sent func() int64) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if h.free.Load() || h.n.Load() < sent()+hashWindow {
			return nil
		}
		// The kernel tells nobody when it has sent more of a file.
		timer := time.NewTimer(5 * time.Millisecond)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// snapshot keeps the state of the hash. It is called by the hashing goroutine.
func (h *hasher) snapshot() {
	state, err := h.hash.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return // never, for SHA-256
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state, h.stateAt = state, h.n.Load()
}

// newest returns the newest state that was taken, and of how many bytes it is.
func (h *hasher) newest() ([]byte, int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state, h.stateAt
}

// finish hashes what is left, without waiting for the sending, and returns the
// digest.
func (h *hasher) finish(ctx context.Context) (digest.Digest, error) {
	h.free.Store(true)
	select {
	case <-h.done:
		return h.sum, h.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// failure returns what went wrong with reading, so far.
func (h *hasher) failure() error {
	select {
	case <-h.done:
		if !errors.Is(h.err, context.Canceled) {
			return h.err
		}
	default:
	}
	return nil
}

// close ends it. The state stays to be asked for.
func (h *hasher) close() {
	h.stop()
	<-h.done
}
