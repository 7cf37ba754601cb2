package modseal

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/internal/disk"
	"github.com/modseal/modseal/pkg/materialize"
	"github.com/modseal/modseal/pkg/store"
)

// lookAtTags compares the tags of the destinations with what they are to hold.
func (l *loading) lookAtTags(ctx context.Context) error {
	for _, s := range l.shipments {
		for _, one := range s.all() {
			if !one.tagged() {
				continue
			}
			if one.at == nil {
				one.loaded.Tag = TagChange{State: TagCreate}
				continue
			}
			at := *one.at
			at.Target = one.to
			change, err := planTag(ctx, &at, one.desc, CopyOptions{Overwrite: l.o.Overwrite})
			if err != nil {
				return tagTaken(err)
			}
			one.loaded.Tag = change
		}
	}
	return nil
}

// checkRoom compares what layouts are to hold with the room on their disks.
func (l *loading) checkRoom(ctx context.Context) error {
	need := map[string]map[digest.Digest]int64{}
	for _, s := range l.shipments {
		if s.to.Kind != KindLayout {
			continue
		}
		if need[s.to.Path] == nil {
			need[s.to.Path] = map[digest.Digest]int64{}
		}
		for _, one := range s.all() {
			for _, blob := range one.graph.Blobs() {
				size, err := s.lacking(ctx, one, blob)
				if err != nil {
					return err
				}
				need[s.to.Path][blob.Digest] = size
			}
		}
	}
	return roomFor(need)
}

// lacking returns how many bytes of a blob the layout of a shipment has not.
func (s *shipment) lacking(ctx context.Context, one *shipment, blob ocispec.Descriptor) (int64, error) {
	if s.leftOut(blob.Digest) {
		return 0, nil
	}
	if one.at == nil {
		return blob.Size, nil
	}
	there, err := one.at.Exists(ctx, blob)
	if there || err != nil {
		return 0, err
	}
	size := blob.Size
	if layout, ok := one.at.repository.(*store.Layout); ok {
		size -= layout.Kept(blob)
	}
	return size, nil
}

// roomFor compares the bytes of all layouts together with the room: they are mostly
// on one disk, and where they are not, there must be more room than this asks for.
func roomFor(need map[string]map[digest.Digest]int64) error {
	var total int64
	for _, path := range slices.Sorted(maps.Keys(need)) {
		for _, size := range need[path] {
			total += size
		}
		dir := existing(path)
		if free, known := disk.Free(dir); known && total > free {
			return &materialize.DiskFullError{Dir: dir, Need: total, Free: free}
		}
	}
	return nil
}

// existing returns the first directory on the way up that is there.
func existing(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	for dir := abs; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
	}
}
