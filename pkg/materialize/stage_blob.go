package materialize

import (
	"context"
	"fmt"
	"os"
	"path"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/fileid"
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
	var w partial.Whole
	way := partial.Way{
		Name: what, Progress: j.progress,
		Bring: func(ctx context.Context, moved func(int64)) error {
			return j.transfer(ctx, part, desc, func(n int64) {
				j.fetched.Add(n)
				moved(n)
			})
		},
		Finish: func(ctx context.Context) (err error) {
			w, err = part.Finish(ctx, to)
			return err
		},
	}
	if d, ok := j.src.(Downloader); ok {
		way.Rejected = func() bool { return d.Reject(desc) }
	}
	if err := part.Complete(ctx, way); err != nil {
		return w, named(what, part.GiveUp(err))
	}
	j.stage.note(w)
	return w, nil
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
	return part.TakeFrom(ctx, rc, moved)
}
