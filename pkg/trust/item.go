package trust

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/internal/lazyregexp"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// Kind is what an [Item] is.
type Kind string

// Kinds of trust material.
const (
	KindRoot          Kind = "root"           // a trusted root, as JSON
	KindSigningConfig Kind = "signing-config" // a signing configuration, as JSON
	KindKey           Kind = "key"            // a public key, as PEM
	KindCertificate   Kind = "certificate"    // certificate authorities, as PEM: see [ParseChain]
)

// Kinds returns all kinds, in the order in which they are shown.
func Kinds() []Kind { return []Kind{KindRoot, KindSigningConfig, KindKey, KindCertificate} }

// ErrInvalidItem is wrapped when something cannot be kept or carried for what is
// said about it.
var ErrInvalidItem = errors.New("invalid trust material")

// Item is one piece of trust material, as a [Store] keeps it and a file carries
// it. Kind and Name tell it from others.
type Item struct {
	Kind Kind
	Name string // 1 to 64 letters, digits, dots, hyphens and underscores; the first is a letter or a digit
	// Source is where it comes from, for people: a file, or the URL of TUF.
	Source string
	// Fetched is when it came from its source of truth, in whole seconds; zero
	// when nobody noted it.
	Fetched time.Time
	// TUF is the repository that it came from and can be refreshed from; nil for
	// what was added from a file. Only roots and signing configurations have one.
	TUF  *Source
	Data []byte
}

// Digest returns the SHA-256 of the data.
func (it Item) Digest() digest.Digest { return digest.FromBytes(it.Data) }

// Age returns how long ago the item was fetched, as [Root.Age] does.
func (it Item) Age(now time.Time) (time.Duration, bool) { return age(it.Fetched, now) }

// label names the item in messages.
func (it Item) label() string { return string(it.Kind) + " " + it.Name }

var safeName = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// ValidName reports whether something can be kept under a name.
func ValidName(name string) bool { return safeName.MatchString(name) }

// Check parses the data and says with [ErrInvalidItem] what is wrong with the
// rest.
func (it Item) Check() error {
	if !ValidName(it.Name) {
		return fmt.Errorf("%w: %.80q is no name: 1 to 64 of a-z A-Z 0-9 . _ - are meant, a letter or a digit first", ErrInvalidItem, it.Name)
	}
	if err := it.checkOrigin(); err != nil {
		return fmt.Errorf("%s: %w: %w", it.label(), ErrInvalidItem, err)
	}
	var err error
	switch it.Kind {
	case KindRoot:
		_, err = it.root()
	case KindSigningConfig:
		_, err = it.signingConfig()
	case KindKey:
		_, err = it.key()
	case KindCertificate:
		_, err = it.authority()
	default:
		err = fmt.Errorf("%w: there is no kind %.80q", ErrInvalidItem, it.Kind)
	}
	return err
}

// Years in which something can have been fetched: RFC 3339 has no others, and
// Sigstore is younger.
const firstYear, lastYear = 2000, 9999

func (it Item) checkOrigin() error {
	if err := checkText(it.Source); err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if y := it.Fetched.UTC().Year(); !it.Fetched.IsZero() && (y < firstYear || y > lastYear) {
		return fmt.Errorf("fetched in the year %d", y)
	}
	if it.TUF == nil {
		return nil
	}
	switch {
	case it.Kind != KindRoot && it.Kind != KindSigningConfig:
		return errors.New("only roots and signing configurations come from TUF")
	case it.TUF.Name != it.Name || it.TUF.URL != it.Source:
		return errors.New("its name and its source are not those of its TUF repository")
	case it.Fetched.IsZero():
		return errors.New("it comes from TUF and it is not said when")
	}
	return it.TUF.check()
}

func (it Item) root() (*Root, error) {
	r, err := ParseRoot(it.Name, it.Data)
	if err != nil {
		return nil, err
	}
	r.Source, r.Fetched = it.Source, it.Fetched
	return r, nil
}

func (it Item) signingConfig() (*SigningConfig, error) {
	c, err := ParseSigningConfig(it.Name, it.Data)
	if err != nil {
		return nil, err
	}
	c.Source, c.Fetched = it.Source, it.Fetched
	return c, nil
}

func (it Item) key() (Key, error)             { return ParseKey(it.Name, it.Data) }
func (it Item) authority() (Authority, error) { return ParseChain(it.Name, it.Data) }

// loadItem reads an item of a kind from a file: the bare material, or a file that
// carries exactly one of that kind.
func loadItem(file string, kind Kind) (Item, error) {
	data, err := readFile(file, limits.TrustFileBytes)
	if err != nil {
		return Item{}, err
	}
	if !IsEncoded(data) {
		it := Item{Kind: kind, Name: file, Source: file, Data: data}
		return it, nil
	}
	items, err := Decode(file, data)
	if err != nil {
		return Item{}, err
	}
	items = slices.DeleteFunc(items, func(it Item) bool { return it.Kind != kind })
	if len(items) != 1 {
		return Item{}, fmt.Errorf("%s: %w: it carries %d of kind %s, and exactly one is meant here; name one when exporting",
			file, ErrInvalidItem, len(items), kind)
	}
	return items[0], nil
}

// ReadItems reads trust material from the bytes of a file: the items that it
// carries, or the one that it is, called by the name of the file.
func ReadItems(file string, data []byte) ([]Item, error) {
	if IsEncoded(data) {
		return Decode(file, data)
	}
	kind, ok := KindOf(data)
	if !ok {
		return nil, fmt.Errorf("%s: %w: it is no trusted root, no signing configuration, no key, no certificate and nothing that modseal trust export wrote",
			file, ErrInvalidItem)
	}
	return []Item{{Kind: kind, Name: file, Source: file, Data: data}}, nil
}

func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s: %w: more than %d bytes", name, ErrInvalidItem, limit)
	}
	return b, err
}
