package modseal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/digestcache"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/source"
	"github.com/modseal/modseal/pkg/statement"
)

func writeTree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func walked(t testing.TB, dir string) *source.Tree {
	t.Helper()
	tree, err := walkPlain(t.Context(), dir, false, func(string) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// Every form gives what hashing one byte range after the other gives, however
// many are hashed at once.
func TestTreeHasher(t *testing.T) {
	t.Parallel()
	files := map[string]string{"empty": "", "a": "a", "b/c:d": strings.Repeat("xyz", 1000), "b/e": strings.Repeat("q", 4096)}
	tree := walked(t, writeTree(t, files))
	for _, hashType := range statement.HashTypes() {
		for _, size := range []int64{0, 1, 1000, 4096, 1 << 40} {
			var want []statement.Resource
			for _, name := range slices.Sorted(maps.Keys(files)) {
				ranges := []statement.Range{{Name: name, End: int64(len(files[name]))}}
				if size > 0 {
					ranges = statement.Shards(name, int64(len(files[name])), size)
				}
				for _, r := range ranges {
					h, err := statement.NewHash(hashType)
					if err != nil {
						t.Fatal(err)
					}
					h.Write([]byte(files[name][r.Start:r.End]))
					want = append(want, statement.Resource{Name: r.Name, Digest: hex.EncodeToString(h.Sum(nil)), Algorithm: hashType})
				}
			}
			h := &treeHasher{omsForm: omsForm{hashType, size}}
			each, err := h.tree(t.Context(), tree)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, slices.Concat(each...)); diff != "" {
				t.Errorf("%s by %d: %s", hashType, size, diff)
			}
		}
	}
}

// A file of many shards is read by many, and each shard by one.
func TestTasksCoverEveryRangeOnce(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{1 << 20, piece - 1, piece, piece + 1, 3 * piece} {
		ranges := statement.Shards("w", 10*piece+7, size)
		next, most := 0, int64(0)
		for _, task := range tasks(3, ranges) {
			if task.first != next || task.file != 3 || len(task.ranges) == 0 {
				t.Fatalf("shards of %d: %+v, want the first to be %d", size, task, next)
			}
			next += len(task.ranges)
			most = max(most, task.ranges[len(task.ranges)-1].End-task.ranges[0].Start)
		}
		if next != len(ranges) || most > max(piece, size) {
			t.Errorf("shards of %d: %d of %d ranges, the longest task has %d bytes", size, next, len(ranges), most)
		}
	}
	if got := tasks(0, nil); len(got) != 0 {
		t.Errorf("no ranges: %v", got)
	}
}

func TestTreeHasherNoticesAChange(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(file string) error{
		"longer":  func(f string) error { return os.WriteFile(f, []byte("weights!"), 0o644) },
		"shorter": func(f string) error { return os.Truncate(f, 1) },
		"gone":    os.Remove,
	} {
		dir := writeTree(t, map[string]string{"w": "weights"})
		tree := walked(t, dir)
		if err := change(filepath.Join(dir, "w")); err != nil {
			t.Fatal(err)
		}
		if _, err := (&treeHasher{omsForm: omsForm{hashType: "sha256"}}).tree(t.Context(), tree); err == nil {
			t.Errorf("%s: hashed", name)
		}
	}
}

func TestTreeHasherIsBounded(t *testing.T) {
	t.Parallel()
	dir := writeTree(t, map[string]string{"w": ""})
	if err := os.Truncate(filepath.Join(dir, "w"), limits.Files+1); err != nil {
		t.Fatal(err)
	}
	h := &treeHasher{omsForm: omsForm{"sha256", 1}}
	if _, err := h.tree(t.Context(), walked(t, dir)); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	h.shardSize = 0
	if _, err := h.tree(ctx, walked(t, dir)); !errors.Is(err, why) {
		t.Errorf("cancelled: %v", err)
	}
}

// The cache is asked for whole files by SHA-256 that were not touched lately, and
// for nothing else.
func TestTreeHasherAndTheCache(t *testing.T) {
	t.Parallel()
	tree := walked(t, writeTree(t, map[string]string{"w": "weights"}))
	id, trusted := tree.Files[0].Identity()
	if !trusted {
		t.Skip("this file system does not show every change")
	}
	for !id.Settled() { // until a later change would show
		if t.Context().Err() != nil {
			t.Fatal("it never settles")
		}
	}
	lie := sha256.Sum256([]byte("something else"))
	for _, row := range []struct {
		omsForm
		believed bool
	}{
		{omsForm{"sha256", 0}, true},
		{omsForm{"sha256", 1 << 20}, false},
		{omsForm{"blake3", 0}, false},
		{omsForm{"blake2b", 0}, false},
	} {
		cache := digestcache.Open(filepath.Join(t.TempDir(), "digests"))
		h := &treeHasher{omsForm: row.omsForm, cache: cache}
		if _, err := h.tree(t.Context(), tree); err != nil || h.unread.Load() != 0 {
			t.Fatalf("%v: %d bytes unread, %v", row.omsForm, h.unread.Load(), err)
		}
		if remembered := cache.Digest(id.String()) != ""; remembered != row.believed {
			t.Errorf("%v: remembered %t", row.omsForm, remembered)
		}
		cache.Remember(id.String(), digest.NewDigestFromBytes(digest.SHA256, lie[:]))
		each, err := h.tree(t.Context(), tree)
		if err != nil {
			t.Fatal(err)
		}
		if believed := each[0][0].Digest == hex.EncodeToString(lie[:]); believed != row.believed {
			t.Errorf("%v: believed %t", row.omsForm, believed)
		}
		// Without a cache it is read, whatever is remembered elsewhere.
		plain := &treeHasher{omsForm: row.omsForm}
		if each, err := plain.tree(t.Context(), tree); err != nil || each[0][0].Digest == hex.EncodeToString(lie[:]) {
			t.Errorf("%v without a cache: %v, %v", row.omsForm, each, err)
		}
	}
}

// BenchmarkTreeHasher: make microbench.
func BenchmarkTreeHasher(b *testing.B) {
	const size = 256 << 20
	dir := writeTree(b, map[string]string{"w": ""})
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(i * 7 >> 3)
	}
	if err := os.WriteFile(filepath.Join(dir, "w"), content, 0o600); err != nil {
		b.Fatal(err)
	}
	tree := walked(b, dir)
	for _, hashType := range statement.HashTypes() {
		for _, shardSize := range []int64{0, 32 << 20} {
			b.Run(fmt.Sprintf("%s/%s", hashType, omsForm{hashType, shardSize}.method()), func(b *testing.B) {
				b.SetBytes(size)
				for b.Loop() {
					if _, err := (&treeHasher{omsForm: omsForm{hashType, shardSize}}).tree(b.Context(), tree); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
