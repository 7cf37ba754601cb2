// Package readahead makes few large reads of many small ones, for what each read of
// takes a round trip: it keeps what came, in pages, and fetches more than was asked
// for while somebody reads on.
package readahead

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"sync"
)

const (
	// Page is the least that is fetched at once, in bytes.
	Page = 4 << 10
	// window is the most that is fetched ahead of who reads one page after the other.
	window = 256 << 10
	// direct is the size of a read that is not kept: who asks for so much at once
	// wants it once.
	direct = 1 << 20
)

// Cache keeps pages of any number of readers, the least recently used of which it
// drops. It is safe for concurrent use.
type Cache struct {
	pages int // most of them

	mu      sync.Mutex
	entries map[key]*list.Element
	recent  list.List // of *page, the most recent first
}

// key names a page of a source.
type key struct {
	source string
	page   int64
}

type page struct {
	key
	bytes []byte
}

// NewCache returns a cache of at most so many bytes, and of one page at least.
func NewCache(bytes int64) *Cache {
	return &Cache{pages: int(max(bytes/Page, 1)), entries: map[key]*list.Element{}}
}

func (c *Cache) get(k key) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[k]
	if !ok {
		return nil
	}
	c.recent.MoveToFront(e)
	return e.Value.(*page).bytes //nolint:forcetypeassert // the list holds nothing else
}

func (c *Cache) put(k key, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.entries[k]; ok {
		return
	}
	c.entries[k] = c.recent.PushFront(&page{k, b})
	for c.recent.Len() > c.pages {
		last := c.recent.Back()
		c.recent.Remove(last)
		delete(c.entries, last.Value.(*page).key) //nolint:forcetypeassert // the list holds nothing else
	}
}

// Reader reads a source through a [Cache]. It is safe for concurrent use; one read
// of the source follows the other.
type Reader struct {
	cache  *Cache
	source string
	r      io.ReaderAt
	size   int64

	mu    sync.Mutex
	next  int64 // page behind the last that was fetched
	ahead int64 // pages that were fetched then
}

// Reader returns a reader of r, which has size bytes. Readers of the same source
// share what they read.
func (c *Cache) Reader(source string, r io.ReaderAt, size int64) *Reader {
	return &Reader{cache: c, source: source, r: r, size: size, next: -1}
}

// ReadAt implements io.ReaderAt.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d", off)
	}
	if off >= r.size {
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), r.size-off)]
	n, err := r.read(want, off)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

func (r *Reader) read(p []byte, off int64) (n int, err error) {
	if len(p) >= direct {
		n, err = r.r.ReadAt(p, off)
		if n == len(p) {
			err = nil // io.EOF may come with the last bytes
		}
		return n, err
	}
	for n < len(p) {
		at := off + int64(n)
		b := r.cache.get(key{r.source, at / Page})
		if b == nil {
			if b, err = r.fetch(at/Page, (off+int64(len(p))-1)/Page); err != nil {
				return n, err
			}
		}
		if at%Page >= int64(len(b)) {
			return n, io.ErrUnexpectedEOF
		}
		n += copy(p[n:], b[at%Page:])
	}
	return n, nil
}

// fetch reads the pages from first to last, up to one that is there already, and
// more when they follow what was fetched before. It returns the first.
func (r *Reader) fetch(first, last int64) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b := r.cache.get(key{r.source, first}); b != nil {
		return b, nil // another one fetched it meanwhile
	}
	if first == r.next {
		last = max(last, first+min(2*r.ahead, window/Page)-1)
	}
	last = min(last, (r.size-1)/Page)
	n := int64(1)
	for first+n <= last && r.cache.get(key{r.source, first + n}) == nil {
		n++
	}
	r.next, r.ahead = first+n, n
	buf := make([]byte, min(n*Page, r.size-first*Page))
	got, err := r.r.ReadAt(buf, first*Page)
	if got < len(buf) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	for i := range n {
		// A copy, so that a page that stays does not keep its neighbours.
		b := append([]byte(nil), buf[i*Page:min((i+1)*Page, int64(len(buf)))]...)
		r.cache.put(key{r.source, first + i}, b)
	}
	return append([]byte(nil), buf[:min(Page, len(buf))]...), nil
}
