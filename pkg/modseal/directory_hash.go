package modseal

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/modseal/modseal/pkg/digestcache"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/source"
	"github.com/modseal/modseal/pkg/statement"
)

const (
	// hashBuffer is what each reader holds. All readers together hold as many of
	// it as there are processors.
	hashBuffer = 256 << 10
	// piece is how many bytes of one file are worth a task of their own: opening
	// the file again costs nothing beside hashing so many.
	piece = 64 << 20
)

// omsForm is how files become the resources of an OMS statement.
type omsForm struct {
	hashType  string
	shardSize int64 // in bytes; 0: whole files
}

func (f omsForm) method() string {
	if f.shardSize > 0 {
		return statement.MethodShards
	}
	return statement.MethodFiles
}

// treeHasher hashes the files of a model, several at once, and of one file
// several shards.
type treeHasher struct {
	omsForm
	// cache is believed for files that were not touched since they were hashed;
	// nil reads every file.
	cache *digestcache.Cache

	unread atomic.Int64 // bytes for which it was believed
}

// task is ranges of a file that one goroutine hashes one after the other, from
// the range number first on.
type task struct {
	file   int // in the tree
	first  int
	ranges []statement.Range
}

// tree returns the resources of each file, in the order of the tree.
func (h *treeHasher) tree(ctx context.Context, tree *source.Tree) ([][]statement.Resource, error) {
	if err := h.bound(tree); err != nil {
		return nil, err
	}
	each := make([][]statement.Resource, len(tree.Files))
	g, working := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, i := range largestFirst(tree) {
		ranges := h.ranges(&tree.Files[i])
		each[i] = make([]statement.Resource, len(ranges))
		for _, t := range tasks(i, ranges) {
			if working.Err() != nil {
				break
			}
			g.Go(func() error { return h.do(working, &tree.Files[t.file], t, each[t.file][t.first:]) })
		}
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return each, nil
}

// bound refuses what would become more resources than a statement may have: a
// shard size of one byte must not become a billion of them.
func (h *treeHasher) bound(tree *source.Tree) error {
	if h.shardSize <= 0 {
		return nil
	}
	var n int64
	for i := range tree.Files {
		if n += tree.Files[i].Size/h.shardSize + 1; n > limits.Files {
			return fmt.Errorf("%s: shards of %d bytes make more than %d of them", tree.Dir, h.shardSize, limits.Files)
		}
	}
	return nil
}

// largestFirst keeps one large file from being alone at the end.
func largestFirst(tree *source.Tree) []int {
	order := make([]int, len(tree.Files))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(tree.Files[b].Size, tree.Files[a].Size) })
	return order
}

// ranges are what the file becomes resources of: itself, or its shards.
func (h *treeHasher) ranges(f *source.File) []statement.Range {
	if h.shardSize > 0 {
		return statement.Shards(f.Path, f.Size, h.shardSize)
	}
	return []statement.Range{{Name: f.Path, End: f.Size}}
}

// tasks cuts ranges into what is worth a goroutine.
func tasks(file int, ranges []statement.Range) []task {
	var out []task
	for first := 0; first < len(ranges); {
		end := first
		for end < len(ranges) && (end == first || ranges[end].End-ranges[first].Start <= piece) {
			end++
		}
		out = append(out, task{file: file, first: first, ranges: ranges[first:end]})
		first = end
	}
	return out
}

func (h *treeHasher) do(ctx context.Context, f *source.File, t task, out []statement.Resource) error {
	identity := h.identity(f)
	if d := h.cache.Digest(identity); d != "" {
		h.unread.Add(f.Size)
		out[0] = resource(f.Path, d.Encoded())
		return nil
	}
	if err := h.read(ctx, f, t, out); err != nil {
		return err
	}
	// What was read is what was listed, or nobody knows what it was.
	if err := f.Unchanged(); err != nil {
		return err
	}
	if identity != "" {
		h.cache.Remember(identity, digest.NewDigestFromEncoded(digest.SHA256, out[0].Digest))
	}
	return nil
}

// identity names the file for the cache, or is "" when the cache cannot know it:
// it remembers whole files by SHA-256, and no file that may be touched without
// showing it.
func (h *treeHasher) identity(f *source.File) string {
	if h.cache == nil || h.omsForm != (omsForm{hashType: statement.HashSHA256}) {
		return ""
	}
	id, trusted := f.Identity()
	if !trusted || !id.Settled() {
		return ""
	}
	return id.String()
}

func (h *treeHasher) read(ctx context.Context, f *source.File, t task, out []statement.Resource) error {
	file, err := f.Open()
	if err != nil {
		return err
	}
	defer file.Close()
	hash, err := statement.NewHash(h.hashType)
	if err != nil {
		return err
	}
	buf := make([]byte, min(hashBuffer, max(f.Size, 1)))
	for i, r := range t.ranges {
		hash.Reset()
		want := r.End - r.Start
		n, err := io.CopyBuffer(hash, ingest.ContextReader(ctx, io.NewSectionReader(file, r.Start, want)), buf)
		if err != nil {
			return err
		}
		if n != want {
			return &ingest.SizeError{Name: r.Name, Want: want, Got: n}
		}
		out[i] = statement.Resource{Name: r.Name, Digest: hex.EncodeToString(hash.Sum(nil)), Algorithm: h.hashType}
	}
	return nil
}
