package modelfile

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
)

// shardName is the name of one of a set of files: model-00001-of-00003.gguf.
var shardName = regexp.MustCompile(`^(.+)-(\d{5})-of-(\d{5})(\.[^/]+)?$`)

// checkShards finds the sets of weight files, and those of which a file is missing.
func (x *inspector) checkShards() {
	sets := map[string]*shardSet{}
	for _, f := range x.sorted {
		m := shardName.FindStringSubmatch(f.Path)
		if m == nil || f.Role != roleWeight {
			continue
		}
		key := m[1] + "-*-of-" + m[3] + m[4]
		if sets[key] == nil {
			sets[key] = &shardSet{numbers: map[int]bool{}}
		}
		// Both have five digits.
		n, _ := strconv.Atoi(m[2])
		sets[key].numbers[n] = true
		sets[key].count, _ = strconv.Atoi(m[3])
	}
	for _, key := range slices.Sorted(maps.Keys(sets)) {
		set := sets[key]
		missing := set.missing()
		x.facts.Shards = append(x.facts.Shards, ShardSet{Name: key, Count: set.count, Present: set.count - missing.n})
		if missing.n > 0 {
			x.problem(key, "parts are missing: %s", &missing)
		} else if len(set.numbers) > set.count {
			x.problem(key, "there are parts with numbers outside 1 to %d", set.count)
		}
	}
}

type shardSet struct {
	numbers map[int]bool
	count   int
}

func (s *shardSet) missing() some {
	var missing some
	for n := 1; n <= s.count; n++ {
		if !s.numbers[n] {
			missing.add(fmt.Sprintf("%05d", n))
		}
	}
	return missing
}
