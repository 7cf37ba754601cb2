package modseal

import (
	"context"
	"encoding/binary"
	"path"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// largestWarm is the header of a shard that is fetched ahead, in bytes; usual ones
// have 10 to 100 KiB.
const largestWarm = 256 << 10

// warm fetches the headers of shards several at once, where each takes a round trip,
// so that who reads them one after the other finds them there. What goes wrong shows
// again when they are read.
func (v *modelView) warm(ctx context.Context) {
	if !v.remote() || v.cache == nil {
		return
	}
	var group errgroup.Group
	group.SetLimit(headersAtOnce)
	var ahead atomic.Int64
	for i := range v.list {
		e := &v.list[i]
		if e.Layer.Encoding != artifacttypes.EncodingRaw || e.Size <= limits.ViewWholeBytes || !strings.EqualFold(path.Ext(e.Path), ".safetensors") {
			continue
		}
		group.Go(func() error {
			// Half of the cache, so that nothing that was fetched is dropped unread.
			if ahead.Load() < limits.ViewCacheBytes/2 && ctx.Err() == nil {
				ahead.Add(v.warmHeader(ctx, e))
			}
			return nil
		})
	}
	_ = group.Wait()
}

// warmHeader fetches the header of a safetensors file, and returns how large it is.
func (v *modelView) warmHeader(ctx context.Context, e *viewEntry) int64 {
	r, err := v.openEntry(ctx, e)
	if err != nil {
		return 0
	}
	defer r.Close()
	var length [8]byte
	if _, err := r.ReadAt(length[:], 0); err != nil {
		return 0
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > largestWarm {
		return int64(len(length))
	}
	header := make([]byte, n)
	got, _ := r.ReadAt(header, int64(len(length))) // what is missing shows when it is read
	return int64(len(length) + got)
}
