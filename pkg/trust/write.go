package trust

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// ErrExists is wrapped when a store has something else under a name.
var ErrExists = errors.New("the trust store has another one of this name")

// ErrNotRefreshable is wrapped when something did not come from TUF and
// therefore cannot be refreshed.
var ErrNotRefreshable = errors.New("it was added from a file, and no TUF repository is known for it")

// Add keeps an item. One that is there already is left alone; another one of its
// kind and name is replaced only when replace is true, and is [ErrExists]
// otherwise.
func (s Store) Add(ctx context.Context, it Item, replace bool) error {
	if err := it.Check(); err != nil {
		return err
	}
	return s.change(ctx, func(have []Item) ([]Item, error) {
		if i := slices.IndexFunc(have, it.sameName); i >= 0 && !replace && have[i].Digest() != it.Digest() {
			return nil, fmt.Errorf("%s: %w", it.label(), ErrExists)
		}
		return put(have, it), nil
	})
}

// Remove removes what has one of the names, of every kind, and returns it. A name
// that nothing has is a [*NotFoundError], and nothing is removed then.
func (s Store) Remove(ctx context.Context, names ...string) ([]Item, error) {
	var gone []Item
	err := s.change(ctx, func(have []Item) ([]Item, error) {
		for _, n := range names {
			if !slices.ContainsFunc(have, func(it Item) bool { return it.Name == n }) {
				return nil, &NotFoundError{Name: n, Dir: s.Dir}
			}
		}
		for _, it := range have {
			if slices.Contains(names, it.Name) {
				gone = append(gone, it)
			}
		}
		return slices.DeleteFunc(have, func(it Item) bool { return slices.Contains(names, it.Name) }), nil
	})
	if err != nil {
		return nil, err
	}
	return gone, nil
}

// Updated is an item that was refreshed.
type Updated struct {
	Item
	Changed bool // its bytes are not those of before
	New     bool // there was none before
}

// Update fetches what a repository has and keeps it, with the time. It fails as
// [Fetch] does, and with [ErrNotRefreshable] when the store has something under
// the name that did not come from this repository: that stays. The CacheDir of o
// is that of the store unless it is set.
func (s Store) Update(ctx context.Context, src Source, o FetchOptions) ([]Updated, error) {
	if s.Dir == "" {
		return nil, errors.New("there is no trust store to keep what is fetched")
	}
	if err := src.Check(); err != nil {
		return nil, err
	}
	if err := s.mayUpdate(src); err != nil {
		return nil, err
	}
	if o.CacheDir == "" {
		o.CacheDir = filepath.Join(s.Dir, tufDir)
	}
	fresh, err := fetchItems(ctx, src, o)
	if err != nil {
		return nil, err
	}
	var out []Updated
	err = s.change(ctx, func(have []Item) ([]Item, error) {
		for _, it := range fresh {
			i := slices.IndexFunc(have, it.sameName)
			if i >= 0 && !updates(src, have[i]) {
				return nil, notRefreshable(have[i])
			}
			out = append(out, Updated{Item: it, New: i < 0, Changed: i < 0 || have[i].Digest() != it.Digest()})
			have = put(have, it)
		}
		return have, nil
	})
	return out, err
}

func (s Store) mayUpdate(src Source) error {
	items, err := s.find(func(r record) bool { return r.Name == src.Name && (r.Kind == KindRoot || r.Kind == KindSigningConfig) })
	for _, it := range items {
		if !updates(src, it) {
			return notRefreshable(it)
		}
	}
	return err
}

func updates(src Source, it Item) bool { return it.TUF != nil && it.TUF.Same(src) }

func notRefreshable(it Item) error {
	if it.TUF != nil {
		return fmt.Errorf("%s: %w: it came from %s, beginning with other root metadata or at another place", it.label(), ErrExists, it.TUF.URL)
	}
	return fmt.Errorf("%s: %w", it.label(), ErrNotRefreshable)
}

// Sources returns the repositories that something in the store came from.
func (s Store) Sources() ([]Source, error) {
	items, err := s.Items()
	if err != nil {
		return nil, err
	}
	var out []Source
	for _, it := range items {
		if it.TUF != nil && !slices.ContainsFunc(out, func(o Source) bool { return o.Name == it.Name }) {
			out = append(out, *it.TUF)
		}
	}
	return out, nil
}

func put(have []Item, it Item) []Item {
	return append(slices.DeleteFunc(have, it.sameName), it)
}

// change replaces all items by what fn makes of them. The new index is written
// last, in one step: a crash before it leaves the old store, with files that the
// next change removes.
func (s Store) change(ctx context.Context, fn func([]Item) ([]Item, error)) error {
	if s.Dir == "" {
		return errors.New("there is no directory for the trust store")
	}
	if err := os.MkdirAll(filepath.Join(s.Dir, materialDir), 0o755); err != nil {
		return err
	}
	unlock, err := lockDir(ctx, s.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	items, err := s.Items()
	if err != nil {
		return err
	}
	if items, err = fn(items); err != nil {
		return err
	}
	if len(items) > limits.TrustItems {
		return fmt.Errorf("%w: the trust store would have %d items, more than %d", ErrInvalidItem, len(items), limits.TrustItems)
	}
	return s.write(items)
}

func (s Store) write(items []Item) error {
	x := index{MediaType: indexMediaType, Items: records{}}
	used := map[string]bool{}
	for _, it := range sorted(items) {
		r := record{Kind: it.Kind, Name: it.Name, Source: it.Source, Fetched: it.Fetched.UTC()}
		var err error
		if r.Digest, err = s.keep(it.Data, used); err != nil {
			return err
		}
		if it.TUF != nil {
			r.TUF = &recordTUF{URL: it.TUF.URL}
			if len(it.TUF.Initial) > 0 {
				if r.TUF.Root, err = s.keep(it.TUF.Initial, used); err != nil {
					return err
				}
			}
		}
		x.Items = append(x.Items, r)
	}
	data, err := marshal(x)
	if err != nil {
		return err
	}
	if err := writeFile(s.indexPath(), data); err != nil {
		return err
	}
	s.sweep(used)
	return nil
}

// keep writes material under the name of its digest, unless it is there.
func (s Store) keep(data []byte, used map[string]bool) (digest.Digest, error) {
	d := digest.FromBytes(data)
	name := s.materialPath(d)
	used[filepath.Base(name)] = true
	if have, err := readFile(name, limits.TUFFileBytes); err == nil && digest.FromBytes(have) == d {
		return d, nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return d, writeFile(name, data)
}

// sweep removes material that the index does not name, and what writers left that
// died. What cannot be removed now is removed after the next change; files of
// others stay.
func (s Store) sweep(used map[string]bool) {
	dir := filepath.Join(s.Dir, materialDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		ours := strings.HasPrefix(e.Name(), materialPrefix) || strings.HasPrefix(e.Name(), unfinishedPrefix)
		if ours && !used[e.Name()] {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
