package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
)

// Ranges reads parts of a blob, such as its header, and asks for no other byte of
// it. It is an io.ReaderAt.
//
// Nothing that it returns can be checked: a digest is that of all bytes. It is what
// the registry says, and may be shown and never be acted on.
type Ranges struct {
	origin

	fetcher *Fetcher
	ctx     context.Context //nolint:containedctx // it lives as long as the call that made it

	mu sync.Mutex
	// whole is the answer of a registry that gives all or nothing. It is kept and
	// read on, so that what was passed over is not asked for once more.
	whole   *segment
	noRange bool
	n       int64
}

// Ranges returns a reader of parts of target, from the registry itself. Close ends
// it.
func (f *Fetcher) Ranges(ctx context.Context, target ocispec.Descriptor) (*Ranges, error) {
	if err := artifacttypes.ValidateDescriptor(target); err != nil {
		return nil, err
	}
	return &Ranges{origin: origin{f.home(), target}, fetcher: f, ctx: ctx}, nil
}

// Received is how many bytes of the blob came so far.
func (r *Ranges) Received() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

// Close ends what is still open.
func (r *Ranges) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	return nil
}

func (r *Ranges) forget() {
	if r.whole != nil {
		r.whole.close()
		r.whole = nil
	}
}

// ReadAt implements io.ReaderAt. One call after the other reaches the registry.
func (r *Ranges) ReadAt(p []byte, off int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if off < 0 {
		return 0, fmt.Errorf("%s: read at %d", r.desc.Digest, off)
	}
	if off >= r.desc.Size {
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), r.desc.Size-off)]
	n, err := r.fill(want, off)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// fill reads until p is full, over as many answers as that takes.
func (r *Ranges) fill(p []byte, off int64) (int, error) {
	attempts := r.fetcher.attempts(r.desc)
	n, rejected := 0, 0
	for n < len(p) {
		got, header, err := r.read(p[n:], off+int64(n))
		n += got
		attempts.Progress(int64(got), int64(len(p)-n))
		var (
			wrong   *rangeError
			expired *expiredError
		)
		switch {
		case err == nil:
			continue
		case errors.As(err, &wrong):
			// All of the blob it may still give, and then a second try makes sense at once.
			r.noRange = true
			continue
		case errors.As(err, &expired):
			if rejected++; rejected > rejections {
				err = errors.New(expired.text)
			}
		}
		r.forget()
		if !attempts.Wait(r.ctx, err, header) {
			return n, r.fetcher.repo.Explain(r.ctx, "read a part of "+r.desc.Digest.String(), err)
		}
	}
	return n, nil
}

// read reads what one answer gives of p, and closes it unless it goes on behind it.
func (r *Ranges) read(p []byte, off int64) (int, http.Header, error) {
	seg := r.whole
	if seg == nil || seg.at > off {
		r.forget()
		var header http.Header
		var err error
		if seg, header, err = r.ask(r.ctx, off, off+int64(len(p)), !r.noRange); err != nil {
			return 0, header, err
		}
	}
	if seg.partial {
		defer seg.close()
	} else {
		r.whole = seg
	}
	passed := off - seg.at
	if err := seg.skipTo(off); err != nil {
		return 0, nil, err
	}
	n, err := readFull(seg, p)
	r.n += passed + int64(n)
	return n, nil, err
}

// readFull fills p. That a range ends early is no error, since a registry may give
// less than it was asked for; that a whole blob does, is one.
func readFull(seg *segment, p []byte) (int, error) {
	n, err := io.ReadFull(readerFunc(seg.read), p)
	if n == len(p) || n > 0 && seg.partial && errors.Is(err, io.ErrUnexpectedEOF) {
		return n, nil
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = &temporaryError{"the registry sent less of the blob than it has"}
	}
	return n, err
}
