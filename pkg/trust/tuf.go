package trust

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// RefreshAfter is how long what was fetched is used before an online command asks
// the repository again: as long as a process of sigstore-go does, and a seventh
// of the time that the public-good instance's metadata are valid.
const RefreshAfter = 24 * time.Hour

// Targets of a repository of Sigstore. The second need not be there.
const (
	rootTarget          = "trusted_root.json"
	signingConfigTarget = "signing_config.v0.2.json"
)

// PublicGoodName is the name of what comes from the public-good instance of
// Sigstore.
const PublicGoodName = "public-good"

// Source is a repository of The Update Framework (TUF) with a trusted root in it.
type Source struct {
	Name string // under which a store keeps what is in it
	URL  string
	// Initial is the root metadata of any version that trust begins with
	// (root.json). It is empty for [PublicGood], whose is part of sigstore-go.
	Initial []byte
}

// PublicGood returns the repository of the public-good instance of Sigstore.
func PublicGood() Source { return Source{Name: PublicGoodName, URL: tuf.DefaultMirror} }

// Same reports whether trust begins with the same metadata at the same place,
// whatever the names.
func (s Source) Same(o Source) bool { return s.URL == o.URL && string(s.Initial) == string(o.Initial) }

// Check says what is wrong with the source, before anybody is asked.
func (s Source) Check() error {
	if err := s.check(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidItem, err)
	}
	return nil
}

func (s Source) check() error {
	if err := checkURL(s.URL); err != nil {
		return err
	}
	if u, err := url.Parse(s.URL); err != nil || u.RawQuery != "" || u.Fragment != "" || len(s.URL) > limits.TUFURLBytes {
		return fmt.Errorf("%s: the URL of a TUF repository has no query, no fragment and at most %d bytes", s.URL, limits.TUFURLBytes)
	}
	if !ValidName(s.Name) {
		return fmt.Errorf("%.80q is no name for what comes from TUF", s.Name)
	}
	if s.Name == PublicGoodName {
		if !s.Same(PublicGood()) {
			return fmt.Errorf("the name %s is kept for what comes from %s", PublicGoodName, tuf.DefaultMirror)
		}
		return nil
	}
	if len(s.Initial) == 0 {
		return fmt.Errorf("%s: the first root metadata (root.json) are missing: without them nothing from there can be believed", s.URL)
	}
	_, err := rootVersion(s.Initial)
	return err
}

// initial returns the root metadata that trust begins with.
func (s Source) initial() []byte {
	if len(s.Initial) == 0 {
		return tuf.DefaultRoot()
	}
	return s.Initial
}

func rootVersion(data []byte) (int64, error) {
	if len(data) > limits.TUFFileBytes {
		return 0, fmt.Errorf("root metadata of TUF: %d bytes, more than %d", len(data), limits.TUFFileBytes)
	}
	m, err := metadata.Root().FromBytes(data)
	if err != nil {
		return 0, fmt.Errorf("root metadata of TUF: %w", err)
	}
	return m.Signed.Version, nil
}

// FetchError says that a TUF repository could not be reached, or did not have
// what it must have.
type FetchError struct {
	URL string
	Err error
}

func (e *FetchError) Error() string { return e.URL + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *FetchError) Unwrap() error { return e.Err }

// RepositoryError says that what a TUF repository gave is not to be believed: it
// is not signed as it must be, too old, older than before, or too large.
type RepositoryError struct {
	URL string
	Err error
}

func (e *RepositoryError) Error() string { return e.URL + ": not to be believed: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *RepositoryError) Unwrap() error { return e.Err }

// FetchOptions say how to ask a TUF repository.
type FetchOptions struct {
	// CacheDir is where metadata are remembered: what was seen once may not go
	// back to an older version. Empty remembers nothing.
	CacheDir string
	// Transport sends the requests and must not be nil.
	Transport http.RoundTripper
	UserAgent string
	Now       func() time.Time // nil means time.Now
}

func (o FetchOptions) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

// Fetch returns the trusted root of a TUF repository and its signing
// configuration, nil when it has none, as its newest metadata have them. Failures
// are a [*FetchError] or a [*RepositoryError]; a cancelled ctx ends it with its
// cause. It follows the client workflow of the TUF specification
// (https://theupdateframework.github.io/specification/v1.0.33/#detailed-client-workflow)
// with go-tuf's updater: sigstore-go's client around it cannot be cancelled, and
// does not tell a target that is absent from one that cannot be fetched.
func Fetch(ctx context.Context, src Source, o FetchOptions) (*Root, *SigningConfig, error) {
	if err := src.Check(); err != nil {
		return nil, nil, err
	}
	items, err := fetchItems(ctx, src, o)
	if err != nil {
		return nil, nil, err
	}
	r, err := items[0].root()
	if err != nil || len(items) == 1 {
		return r, nil, err
	}
	c, err := items[1].signingConfig()
	return r, c, err
}

// fetchItems returns the trusted root and, when there is one, the signing
// configuration, both parsed once.
func fetchItems(ctx context.Context, src Source, o FetchOptions) ([]Item, error) {
	dir, done, err := cacheOf(ctx, src, o.CacheDir)
	if err != nil {
		return nil, err
	}
	defer done()
	limited, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	d := &download{get: getter(limited, o)}
	root, signing, err := refresh(src, dir, d, o)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, d.explain(src.URL, err)
	}
	now := o.now().UTC().Truncate(time.Second)
	items := []Item{{Kind: KindRoot, Name: src.Name, Source: src.URL, Fetched: now, TUF: &src, Data: root}}
	if signing != nil {
		items = append(items, Item{Kind: KindSigningConfig, Name: src.Name, Source: src.URL, Fetched: now, TUF: &src, Data: signing})
	}
	if err := checkItems(items); err != nil {
		return nil, &RepositoryError{src.URL, err}
	}
	return items, nil
}

// cacheOf returns the directory for the metadata of a repository, locked. Each
// beginning of trust has its own, so that none can meet the metadata of another.
func cacheOf(ctx context.Context, src Source, cacheDir string) (dir string, done func(), err error) {
	if cacheDir == "" {
		dir, err = os.MkdirTemp("", "modseal-tuf-")
		return dir, func() { _ = os.RemoveAll(dir) }, err
	}
	sum := sha256.Sum256([]byte(src.URL + "\n" + string(src.Initial)))
	dir = filepath.Join(cacheDir, hex.EncodeToString(sum[:])[:cacheName])
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, err
	}
	unlock, err := lockDir(ctx, dir)
	return dir, unlock, err
}

const (
	cacheName = 32 // hexadecimal digits
	// fetchTimeout bounds a whole refresh: a server that sends a byte a second
	// must not hold up a verification for ever.
	fetchTimeout = 2 * time.Minute
)

func refresh(src Source, dir string, d *download, o FetchOptions) (root, signing []byte, err error) {
	cfg, err := config.New(src.URL, newestRoot(src, dir))
	if err != nil {
		return nil, nil, err
	}
	cfg.LocalMetadataDir = dir
	cfg.LocalTargetsDir = filepath.Join(dir, "targets")
	cfg.Fetcher = d
	up, err := updater.New(cfg)
	if err != nil {
		return nil, nil, err
	}
	if o.Now != nil {
		up.UnsafeSetRefTime(o.Now())
	}
	if err := up.Refresh(); err != nil {
		return nil, nil, err
	}
	if root, err = target(up, rootTarget); err != nil {
		return nil, nil, err
	}
	if _, ok := up.GetTopLevelTargets()[signingConfigTarget]; ok {
		signing, err = target(up, signingConfigTarget)
	}
	return root, signing, err
}

// newestRoot returns the root metadata that the last refresh ended with: who
// controls the network may not make a client forget that keys were replaced.
func newestRoot(src Source, dir string) []byte {
	initial := src.initial()
	kept, err := readFile(filepath.Join(dir, "root.json"), limits.TUFFileBytes)
	if err != nil {
		return initial
	}
	first, err := rootVersion(initial)
	if err != nil {
		return initial
	}
	if v, err := rootVersion(kept); err != nil || v <= first {
		return initial
	}
	return kept
}

func target(up *updater.Updater, name string) ([]byte, error) {
	info, err := up.GetTargetInfo(name)
	if err != nil {
		return nil, err
	}
	if file, data, err := up.FindCachedTarget(info, ""); err == nil && file != "" {
		return data, nil
	}
	_, data, err := up.DownloadTarget(info, "", "")
	return data, err
}
