package materialize

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/fileid"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/partial"
)

// Downloader is a Source that brings a blob in any order and goes on where an
// earlier process stopped: [transfer.Fetcher], for one.
type Downloader interface {
	Source
	// Download brings what to lacks of target. moved is told of bytes as they come.
	Download(ctx context.Context, target ocispec.Descriptor, to partial.Sink, moved func(int64)) error
	// Reject says that what came was not target, and reports whether it may come
	// right when all of it is brought again.
	Reject(target ocispec.Descriptor) bool
}

// staged is a file in the staging directory whose bytes are the right ones. It
// is what commit takes, and made by ofWhole from what hashed to the digest of a
// layer, and by ofMember from what hashed to what is signed about a member of a
// tar layer, or came out of a tar that did.
type staged struct {
	name string
	// at is how the file looked when its bytes were the right ones.
	at fileid.ID
	// trusted says that any later write shows in at.
	trusted bool
}

func ofWhole(w partial.Whole) *staged {
	at, trusted := w.ID()
	return &staged{name: w.Name(), at: at, trusted: trusted}
}

// partSuffix is what the name of an unfinished layer has more than that of a
// whole one.
const partSuffix = ".part"

// bring stages a layer. What an earlier call left of it is taken up, and what
// came is kept when it fails, unless the bytes are not those of the layer.
func (j *job) bring(ctx context.Context, desc ocispec.Descriptor, what string, o partial.Options) (partial.Whole, error) {
	to := path.Join(StagingName, stagedName(desc.Digest))
	o.What, o.Locked, o.SyncLater = what, true, true
	part, err := partial.Open(ctx, j.root, to+partSuffix, desc, o)
	if err != nil {
		return partial.Whole{}, fmt.Errorf("%s: %w", what, err)
	}
	w, err := j.fill(ctx, part, desc, what, to)
	var bad *integrity.Error
	switch {
	case err == nil:
		j.stage.note(w)
		return w, nil
	case errors.As(err, &bad):
		return w, errors.Join(err, part.Discard())
	}
	// That something cannot be kept is not what went wrong.
	_ = part.Suspend()
	return w, named(what, err)
}

// fill brings the bytes of part until they are the right ones. When they are not,
// they are brought again as often as the source has another way; what an earlier
// call left may have been tampered with, which shows only now.
func (j *job) fill(ctx context.Context, part *partial.File, desc ocispec.Descriptor, what, to string) (w partial.Whole, err error) {
	for {
		taken, moved := part.Taken(), j.tally(what)
		j.progress.Reuse(what, taken)
		if err = j.transfer(ctx, part, desc, moved.add); err != nil {
			return w, err
		}
		if w, err = part.Finish(ctx, to); err == nil {
			return w, nil
		}
		var bad *integrity.Error
		if !errors.As(err, &bad) {
			return w, err
		}
		d, ok := j.src.(Downloader)
		again := ok && d.Reject(desc)
		if !again && taken == 0 {
			return w, err
		}
		j.progress.Advance(what, -taken-moved.n.Load())
		if resetErr := part.Reset(); resetErr != nil {
			return w, errors.Join(err, resetErr)
		}
	}
}

// transfer brings what is missing, the best way that the source has.
func (j *job) transfer(ctx context.Context, part *partial.File, desc ocispec.Descriptor, moved func(int64)) error {
	if len(part.Missing()) == 0 {
		return nil // nothing is asked for, not even of a layer without bytes
	}
	if d, ok := j.src.(Downloader); ok {
		return d.Download(ctx, desc, part, moved)
	}
	rc, err := j.src.Fetch(ctx, desc)
	if err != nil {
		return err
	}
	defer rc.Close()
	if f, ok := rc.(*os.File); ok {
		return part.CopyFrom(ctx, f, moved)
	}
	return stream(ctx, part, desc, rc, moved)
}

// stream takes what is missing from a reader of the whole layer.
func stream(ctx context.Context, part *partial.File, desc ocispec.Descriptor, rc io.Reader, moved func(int64)) error {
	at := int64(0)
	src := readerFunc(func(p []byte) (int, error) {
		n, err := rc.Read(p)
		at += int64(n)
		return n, err
	})
	ended := func() error {
		return &integrity.Error{Want: desc.Digest, WantSize: desc.Size, GotSize: at, Incomplete: true}
	}
	r := ingest.ContextReader(ctx, src)
	for _, s := range part.Missing() {
		if _, err := io.CopyN(io.Discard, r, s.Start-at); err != nil {
			if errors.Is(err, io.EOF) {
				return ended()
			}
			return err
		}
		n, err := part.WriteFrom(io.LimitReader(&counted{r, moved}, s.Len()), s.Start)
		if err != nil {
			return err
		}
		if n < s.Len() {
			return ended()
		}
	}
	if n, err := io.CopyN(io.Discard, r, desc.Size-at+1); err == nil {
		return &integrity.Error{Want: desc.Digest, WantSize: desc.Size, GotSize: at}
	} else if !errors.Is(err, io.EOF) {
		return err
	} else if n < desc.Size-at {
		return ended()
	}
	return nil
}
