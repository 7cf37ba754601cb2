package trust

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/internal/limits"
)

const (
	indexFile   = "index.json"
	materialDir = "material"
	tufDir      = "tuf"
	lockFile    = "lock"
	// How the names of files of material begin, and of those that are being written.
	materialPrefix   = "sha256-"
	unfinishedPrefix = ".new-"
	// indexMediaType is that of the index, which is not for others.
	indexMediaType = "application/vnd.modseal.trust.index.v1+json"
)

type index struct {
	MediaType string  `json:"mediaType"`
	Items     records `json:"items"`
}

type records []record

// UnmarshalJSON implements json.Unmarshaler.
func (r *records) UnmarshalJSON(data []byte) error { return unmarshalList(data, (*[]record)(r)) }

type record struct {
	Kind    Kind          `json:"kind"`
	Name    string        `json:"name"`
	Source  string        `json:"source,omitempty"`
	Fetched time.Time     `json:"fetched,omitzero"`
	TUF     *recordTUF    `json:"tuf,omitempty"`
	Digest  digest.Digest `json:"digest"`
}

type recordTUF struct {
	URL  string        `json:"url"`
	Root digest.Digest `json:"root,omitempty"` // of the initial metadata
}

func (s Store) indexPath() string { return filepath.Join(s.Dir, indexFile) }

// readIndex returns no records when there is no store yet.
func (s Store) readIndex() ([]record, error) {
	data, err := readFile(s.indexPath(), limits.TrustIndexBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list, err := decodeIndex(data)
	if err != nil {
		return nil, &DamagedError{s.indexPath(), err}
	}
	return list, nil
}

func decodeIndex(data []byte) ([]record, error) {
	var x index
	if err := unmarshal(data, &x); err != nil {
		return nil, err
	}
	if x.MediaType != indexMediaType {
		return nil, fmt.Errorf("media type %.80q is not %q; it may be of a newer modseal", x.MediaType, indexMediaType)
	}
	for i, r := range x.Items {
		if slices.ContainsFunc(x.Items[:i], func(o record) bool { return o.Kind == r.Kind && o.Name == r.Name }) {
			return nil, fmt.Errorf("%s %.80q is there twice", r.Kind, r.Name)
		}
		if err := checkDigest(r.Digest); err != nil {
			return nil, err
		}
		if r.TUF != nil && r.TUF.Root != "" {
			if err := checkDigest(r.TUF.Root); err != nil {
				return nil, err
			}
		}
	}
	return x.Items, nil
}

// checkDigest keeps anything but a hash from becoming the name of a file.
func checkDigest(d digest.Digest) error {
	if err := d.Validate(); err != nil || d.Algorithm() != digest.SHA256 {
		return fmt.Errorf("%.80q is no SHA-256 digest", d)
	}
	return nil
}

func (s Store) materialPath(d digest.Digest) string {
	return filepath.Join(s.Dir, materialDir, materialPrefix+d.Encoded())
}

func (s Store) readMaterial(d digest.Digest) ([]byte, error) {
	data, err := readFile(s.materialPath(d), limits.TUFFileBytes)
	if err == nil && digest.FromBytes(data) != d {
		err = &DamagedError{s.materialPath(d), errors.New("its bytes are not what its name says")}
	}
	return data, err
}

// lockDir locks a directory against other writers, and waits for them as long as
// ctx lasts. The directory must exist.
func lockDir(ctx context.Context, dir string) (unlock func(), err error) {
	lock := flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, lockRetry); err != nil {
		_ = lock.Close()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("lock of %s: %w", dir, err)
	}
	return func() { _ = lock.Close() }, nil
}

const lockRetry = 20 * time.Millisecond

// writeFile gives a file its content as a whole, on disk when it returns.
func writeFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), unfinishedPrefix+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
