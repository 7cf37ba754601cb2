package materialize

import (
	"context"
	"fmt"
	"io"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/partial"
)

// stageTarFrom is the size from which a tar layer is brought to the disk before
// it is unpacked, so that an interrupted call goes on with it. Smaller ones are
// unpacked while they come, and begin anew. What is staged stays until the call
// succeeds: its members are worth nothing to the next one.
const stageTarFrom = 64 << 20

// stagesTar reports whether l is brought to the disk first. From a layout it is
// there already.
func (j *job) stagesTar(l artifacttypes.Layer) bool {
	_, ok := j.src.(Downloader)
	return ok && l.Descriptor.Size >= stageTarFrom
}

// openTar returns the bytes of a tar layer, which are not checked: also those
// that were brought to the disk are compared with the digest as they are read.
func (j *job) openTar(ctx context.Context, l artifacttypes.Layer, name string) (io.ReadCloser, error) {
	if !j.stagesTar(l) {
		rc, err := j.src.Fetch(ctx, l.Descriptor)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return &struct {
			io.Reader
			io.Closer
		}{j.counted(rc, name), rc}, nil
	}
	w, there, err := j.stage.takeOver(ctx, l.Descriptor, 0o600)
	if err != nil {
		return nil, err
	}
	if there {
		j.progress.Reuse(name, l.Descriptor.Size)
	} else if w, err = j.bring(ctx, l.Descriptor, name, partial.Options{Mode: 0o600}); err != nil {
		return nil, err
	}
	return j.root.Open(w.Name())
}
