package digestcache

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/internal/statefile"
)

// Cache is what is remembered. A nil Cache remembers nothing. It is safe for
// concurrent use, also by many processes on one file.
type Cache struct {
	name string
	now  func() time.Time

	mu     sync.Mutex
	loaded bool
	digests
	dirty   bool
	dropped map[string]digest.Digest // identity → the digest that was wrong
}

// digests is the content of a cache.
type digests struct {
	files map[string]entry
	// places says for a digest on a registry which repositories hold it, the
	// newest last.
	places map[place][]seen
}

type entry struct {
	digest digest.Digest
	day    int64 // when it was used last, in days of Unix time
}

type place struct {
	host   string
	digest digest.Digest
}

type seen struct {
	repository string
	day        int64
}

func newDigests() digests {
	return digests{files: map[string]entry{}, places: map[place][]seen{}}
}

// Open returns the cache that is kept in the file name. The file is read when it
// is needed. One that is missing, damaged, of another user or of another version
// is as good as empty, and will be replaced.
func Open(name string) *Cache {
	return &Cache{name: name, now: time.Now, digests: newDigests(), dropped: map[string]digest.Digest{}}
}

// mergeFor is how long to wait for another process that writes the cache.
const mergeFor = 5 * time.Second

// placesKept is how many repositories are remembered for a digest on a registry:
// more than are tried.
const placesKept = 4

func (c *Cache) load() {
	if c.loaded {
		return
	}
	c.loaded = true
	if raw, err := statefile.Read(c.name, limits.DigestCacheBytes); err == nil {
		if d, err := decode(raw); err == nil {
			c.digests = d
		}
	}
}

func (c *Cache) today() int64 { return c.now().Unix() / (24 * 60 * 60) }

// Digest returns the digest that what identity tells had when it was hashed, or
// "" when nobody remembers. identity is text without white space that no other
// content ever has, such as fileid.ID.String of a file that was settled.
func (c *Cache) Digest(identity string) digest.Digest {
	if c == nil || identity == "" {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.load()
	e, ok := c.files[identity]
	if !ok {
		return ""
	}
	if today := c.today(); e.day != today {
		e.day = today
		c.files[identity], c.dirty = e, true
	}
	return e.digest
}

// Remember says that the bytes that identity tells hash to d. The caller has read
// them, and began to read when any later change would give another identity
// (fileid.ID.Settled).
func (c *Cache) Remember(identity string, d digest.Digest) {
	if c == nil || !isToken(identity) || d.Algorithm() != digest.SHA256 || artifacttypes.ValidateDigest(d) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.load()
	e := entry{digest: d, day: c.today()}
	if c.files[identity] != e {
		c.files[identity], c.dirty = e, true
	}
	delete(c.dropped, identity)
}

// Forget says that the bytes of identity do not hash to d, whatever was said
// before.
func (c *Cache) Forget(identity string, d digest.Digest) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.load()
	if c.files[identity].digest == d {
		delete(c.files, identity)
	}
	c.dropped[identity], c.dirty = d, true
}

// Saw says that a repository of a registry holds the blob d.
func (c *Cache) Saw(host, repository string, d digest.Digest) {
	if c == nil || !isToken(host) || !isToken(repository) || d.Algorithm() != digest.SHA256 || artifacttypes.ValidateDigest(d) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.load()
	if c.see(place{host, d}, seen{repository, c.today()}) {
		c.dirty = true
	}
}

// see reports whether it was news.
func (d *digests) see(at place, s seen) bool {
	list := d.places[at]
	i := slices.IndexFunc(list, func(e seen) bool { return e.repository == s.repository })
	if i >= 0 {
		if list[i].day >= s.day {
			return false
		}
		list = slices.Delete(list, i, i+1)
	}
	list = append(list, s)
	d.places[at] = list[max(0, len(list)-placesKept):]
	return true
}

// Where returns repositories of a registry that held the blob d, other than
// repository, the newest first.
func (c *Cache) Where(host, repository string, d digest.Digest) []string {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.load()
	var out []string
	for _, s := range slices.Backward(c.places[place{host, d}]) {
		if s.repository != repository {
			out = append(out, s.repository)
		}
	}
	return out
}

// Flush puts on disk what was learned, together with what other processes put
// there. Without it a cache remembers only as long as it lives. A failure costs
// nothing but work that is done again.
func (c *Cache) Flush(ctx context.Context) error {
	if c == nil || c.name == "" {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dirty {
		return nil
	}
	f, err := statefile.LockWithin(ctx, c.name, mergeFor)
	if err != nil {
		return err
	}
	defer f.Close()
	if raw, err := f.Read(limits.DigestCacheBytes); err == nil {
		if theirs, err := decode(raw); err == nil {
			c.merge(theirs)
		}
	}
	c.trim(limits.DigestCacheEntries)
	if err := f.Replace(c.encode()); err != nil {
		return err
	}
	c.dirty = false
	clear(c.dropped)
	return nil
}

// merge adds what another process learned.
func (c *Cache) merge(theirs digests) {
	for identity, e := range theirs.files {
		if mine, ok := c.files[identity]; ok && mine.day >= e.day || c.dropped[identity] == e.digest {
			continue
		}
		c.files[identity] = e
	}
	for at, list := range theirs.places {
		for _, s := range list {
			c.see(at, s)
		}
	}
}

// trim forgets what was not used for the longest time.
func (d *digests) trim(limit int) {
	trim(d.files, limit, func(e entry) int64 { return e.day })
	trim(d.places, limit/placesKept, func(list []seen) int64 { return list[len(list)-1].day })
}

func trim[K comparable, V any](m map[K]V, limit int, day func(V) int64) {
	if len(m) <= limit {
		return
	}
	days := make([]int64, 0, len(m))
	for _, v := range m {
		days = append(days, day(v))
	}
	slices.Sort(days)
	before := days[len(days)-limit]
	maps.DeleteFunc(m, func(_ K, v V) bool { return day(v) < before })
	// Of one day, it does not matter which.
	maps.DeleteFunc(m, func(_ K, v V) bool { return len(m) > limit && day(v) == before })
}
