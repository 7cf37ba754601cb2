package statement

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/modseal/modseal/artifacttypes"
)

// checkResources validates names, algorithms and digests against method and
// hash type of the manifest.
func (o *OMS) checkResources() error {
	seen := make(map[string]struct{}, len(o.Resources))
	var shards map[string][]shard
	if o.Method == MethodShards {
		shards = map[string][]shard{}
	}
	for i := range o.Resources {
		r := &o.Resources[i]
		if _, twice := seen[r.Name]; twice {
			return invalid("resource %q stands there twice", shorten(r.Name))
		}
		seen[r.Name] = struct{}{}
		if err := o.checkAlgorithm(r); err != nil {
			return invalid("resource %q: %w", shorten(r.Name), err)
		}
		if err := checkDigest(r.Digest, o.HashType); err != nil {
			return invalid("resource %q: %w", shorten(r.Name), err)
		}
		file := r.Name
		if shards != nil {
			s, err := parseShard(r.Name)
			if err != nil {
				return invalid("resource %q: %w", shorten(r.Name), err)
			}
			file = s.path
			shards[file] = append(shards[file], s)
		}
		if file == SingleFile {
			continue
		}
		if err := artifacttypes.ValidatePath(file); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	o.noteForm()
	if shards != nil {
		return o.checkShards(shards)
	}
	if _, single := seen[SingleFile]; single && len(seen) > 1 {
		return invalid("resource %q stands beside others", SingleFile)
	}
	return nil
}

// checkAlgorithm takes the bare hash type and, for shards, the form with a
// suffix that both reference implementations write, and reduces it to the bare
// one.
func (o *OMS) checkAlgorithm(r *Resource) error {
	if o.Method == MethodShards && r.Algorithm == o.suffixed() {
		r.Algorithm = o.HashType
		o.relax(RelaxedShardAlgorithm)
	}
	if r.Algorithm != o.HashType {
		return fmt.Errorf("its algorithm is %q, not the hash type %q", shorten(r.Algorithm), o.HashType)
	}
	return nil
}

func (o *OMS) suffixed() string {
	if o.Method != MethodShards {
		return o.HashType
	}
	return o.HashType + "-sharded-" + strconv.FormatInt(o.ShardSize, 10)
}

type shard struct {
	path       string
	start, end int64
}

// parseShard splits path:start:end at its last two colons; the path may hold
// more of them.
func parseShard(name string) (shard, error) {
	rest, endText, ok1 := cutLast(name)
	p, startText, ok2 := cutLast(rest)
	start, err1 := parseOffset(startText)
	end, err2 := parseOffset(endText)
	if !ok1 || !ok2 || err1 != nil || err2 != nil || start >= end {
		return shard{}, fmt.Errorf("its name is not path:start:end")
	}
	return shard{path: p, start: start, end: end}, nil
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// parseOffset takes one spelling of a number only, so that two names cannot
// mean the same range.
func parseOffset(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != s {
		return 0, fmt.Errorf("%q is not an offset", s)
	}
	return n, nil
}

// checkShards checks that the ranges of every file begin at 0, touch each other
// and are of the shard size but for the last.
func (o *OMS) checkShards(files map[string][]shard) error {
	if _, single := files[SingleFile]; single && len(files) > 1 {
		return invalid("resource %q stands beside others", SingleFile)
	}
	for file, shards := range files {
		slices.SortFunc(shards, func(a, b shard) int {
			if a.start < b.start {
				return -1
			}
			return 1
		})
		var next int64
		for i, s := range shards {
			length := s.end - s.start
			if s.start != next || length > o.ShardSize || length < o.ShardSize && i < len(shards)-1 {
				return invalid("the ranges of %q leave a gap, overlap, or are not of the shard size at %d:%d", shorten(file), s.start, s.end)
			}
			next = s.end
		}
	}
	return nil
}

// Range is one shard of a file: its resource name and the bytes it covers.
type Range struct {
	Name       string
	Start, End int64
}

// Shards returns the resource names that a file of size bytes at path p has
// with [MethodShards]. An empty file has none: the method does not sign it.
func Shards(p string, size, shardSize int64) []Range {
	var out []Range
	for start := int64(0); start < size && shardSize > 0; start += shardSize {
		end := min(size-start, shardSize) + start
		out = append(out, Range{Name: fmt.Sprintf("%s:%d:%d", p, start, end), Start: start, End: end})
	}
	return out
}

// File returns the path of the file that r is or, with [MethodShards], is a
// range of.
func (o *OMS) File(r Resource) string {
	if o.Method == MethodShards {
		if s, err := parseShard(r.Name); err == nil {
			return s.path
		}
	}
	return r.Name
}
