package trust

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
)

// Store is a directory that keeps trust material. The zero Store keeps nothing.
// Several processes may use one at the same time: each sees what some writer
// meant as a whole.
//
// In it are index.json, which names what is kept, material/, a file for each,
// named by the SHA-256 of its bytes, tuf/, what is remembered about TUF
// repositories, and lock.
type Store struct{ Dir string }

// NotFoundError says that a store does not have something. It is an
// [fs.ErrNotExist].
type NotFoundError struct {
	Kind Kind   // empty: of no kind
	Name string // empty: nothing at all is there
	Dir  string
}

func (e *NotFoundError) Error() string {
	what := "trust material"
	if e.Kind != "" {
		what = string(e.Kind)
	}
	if e.Name == "" {
		return fmt.Sprintf("nothing is in the trust store %s", e.Dir)
	}
	if e.Dir == "" {
		return fmt.Sprintf("there is no %s %s: there is no trust store", what, e.Name)
	}
	return fmt.Sprintf("there is no %s %s in the trust store %s", what, e.Name, e.Dir)
}

// Is makes it an [fs.ErrNotExist].
func (e *NotFoundError) Is(target error) bool { return target == fs.ErrNotExist }

// DamagedError says that a store does not have what its index says.
type DamagedError struct {
	File string
	Err  error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("%s: the trust store is damaged: %s", e.File, e.Err)
}

// Unwrap returns the cause.
func (e *DamagedError) Unwrap() error { return e.Err }

// Items returns everything in the store, by kind and name. It asks nobody.
func (s Store) Items() ([]Item, error) { return s.find(func(record) bool { return true }) }

// Root returns the trusted root of a name as it was last fetched or added,
// whatever its age. It asks nobody.
func (s Store) Root(name string) (*Root, error) {
	it, err := s.item(KindRoot, name)
	if err != nil {
		return nil, err
	}
	return it.root()
}

// RootFrom returns the trusted root that was last fetched from a repository,
// whatever its name and its age. It asks nobody.
func (s Store) RootFrom(src Source) (*Root, error) {
	it, err := s.itemFrom(KindRoot, src)
	if err != nil {
		return nil, err
	}
	return it.root()
}

// SigningConfig returns the signing configuration of a name. It asks nobody.
func (s Store) SigningConfig(name string) (*SigningConfig, error) {
	it, err := s.item(KindSigningConfig, name)
	if err != nil {
		return nil, err
	}
	return it.signingConfig()
}

// Key returns the public key of a name.
func (s Store) Key(name string) (Key, error) {
	it, err := s.item(KindKey, name)
	if err != nil {
		return Key{}, err
	}
	return it.key()
}

// Authority returns the certificate authority of a name.
func (s Store) Authority(name string) (Authority, error) {
	it, err := s.item(KindCertificate, name)
	if err != nil {
		return Authority{}, err
	}
	return it.authority()
}

// Named returns what has one of the names, of every kind, and everything without
// names. A name that nothing has is a [*NotFoundError].
func (s Store) Named(names ...string) ([]Item, error) {
	items, err := s.find(func(r record) bool { return len(names) == 0 || slices.Contains(names, r.Name) })
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if !slices.ContainsFunc(items, func(it Item) bool { return it.Name == n }) {
			return nil, &NotFoundError{Name: n, Dir: s.Dir}
		}
	}
	return items, nil
}

func (s Store) item(kind Kind, name string) (Item, error) {
	items, err := s.find(func(r record) bool { return r.Kind == kind && r.Name == name })
	if err != nil {
		return Item{}, err
	}
	if len(items) == 0 {
		return Item{}, &NotFoundError{Kind: kind, Name: name, Dir: s.Dir}
	}
	return items[0], nil
}

func (s Store) itemFrom(kind Kind, src Source) (Item, error) {
	items, err := s.find(func(r record) bool { return r.Kind == kind && r.TUF != nil && r.TUF.URL == src.URL })
	if err != nil {
		return Item{}, err
	}
	items = slices.DeleteFunc(items, func(it Item) bool { return !it.TUF.Same(src) })
	if len(items) == 0 {
		return Item{}, &NotFoundError{Kind: kind, Name: "from " + src.URL, Dir: s.Dir}
	}
	return slices.MaxFunc(items, func(a, b Item) int { return a.Fetched.Compare(b.Fetched) }), nil
}

// find reads the items that match, again when a writer removed one meanwhile.
func (s Store) find(match func(record) bool) ([]Item, error) {
	if s.Dir == "" {
		return nil, nil
	}
	const tries = 3
	var items []Item
	var err error
	for range tries {
		var list []record
		if list, err = s.readIndex(); err != nil {
			return nil, err
		}
		list = slices.DeleteFunc(list, func(r record) bool { return !match(r) })
		if items, err = s.readItems(list); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		// Not "not found": the index has it.
		err = &DamagedError{filepath.Join(s.Dir, materialDir), errors.New("files are missing: " + err.Error())}
	}
	return items, err
}

func (s Store) readItems(list []record) ([]Item, error) {
	var items []Item
	for _, r := range list {
		it := Item{Kind: r.Kind, Name: r.Name, Source: r.Source, Fetched: r.Fetched}
		var err error
		if it.Data, err = s.readMaterial(r.Digest); err != nil {
			return nil, err
		}
		if r.TUF != nil {
			it.TUF = &Source{Name: r.Name, URL: r.TUF.URL}
			if r.TUF.Root != "" {
				if it.TUF.Initial, err = s.readMaterial(r.TUF.Root); err != nil {
					return nil, err
				}
			}
		}
		if err := it.Check(); err != nil {
			return nil, &DamagedError{s.indexPath(), err}
		}
		items = append(items, it)
	}
	return items, nil
}
