//go:build linux

package partial

import (
	"bytes"
	"encoding"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/fileid"
	"github.com/modseal/modseal/pkg/internal/integrity"
)

// forge puts a data file into dir whose bytes are not those of a blob, and a
// journal with the state that the hash of the right ones has: what everybody can
// who may write there. change has the last word about the journal.
func forge(t *testing.T, dir string, change func(*journal)) ocispec.Descriptor {
	t.Helper()
	good := bytes.Repeat([]byte("weights "), 1<<17)
	desc := ocispec.Descriptor{MediaType: "application/x-test", Digest: digest.FromBytes(good), Size: int64(len(good))}
	sum := digest.SHA256.Hash()
	sum.Write(good[:len(good)/2])
	state, err := sum.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	evil := bytes.Clone(good)
	evil[10] ^= 1
	file := filepath.Join(dir, "blob.part")
	past := time.Now().Add(-time.Minute)
	if err := errors.Join(os.WriteFile(file, evil, 0o600), os.Chtimes(file, past, past)); err != nil {
		t.Fatal(err)
	}
	j := &journal{
		Version: journalVersion, Digest: desc.Digest, Size: desc.Size, Boot: bootID(),
		Durable: spans{{0, desc.Size}}, Front: desc.Size / 2, State: state,
	}
	change(j)
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	write(t, root, file, j)
	return desc
}

// write writes a journal of a data file as the file is now.
func write(t *testing.T, root *os.Root, file string, j *journal) {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := fileid.Of(info)
	j.ID = &id
	f, err := writeJournal(root, filepath.Base(file), j)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// A state of the hash that somebody else can have written would make bytes that
// nobody hashed a part of a whole file.
func TestForgedStates(t *testing.T) {
	asRoot := os.Geteuid() == 0 // others cannot give files away
	for name, c := range map[string]struct {
		journal  func(*journal)
		after    func(data, journal string) error
		believed bool
		skip     bool
	}{
		// Without this one, the others show nothing.
		"by this user on this boot": {believed: true},
		"on another boot":           {journal: func(j *journal) { j.Boot = "another" }},
		"on a boot of no name":      {journal: func(j *journal) { j.Boot = "" }},
		"in a journal that others may write": {after: func(_, journal string) error {
			return os.Chmod(journal, 0o622)
		}},
		"in a journal of another user": {skip: !asRoot, after: func(_, journal string) error {
			return os.Chown(journal, 12345, -1)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.skip {
				t.Skip("only root can give files away")
			}
			dir := t.TempDir()
			change := c.journal
			if change == nil {
				change = func(*journal) {}
			}
			desc := forge(t, dir, change)
			file := filepath.Join(dir, "blob.part")
			if c.after != nil {
				if err := c.after(file, file+journalSuffix); err != nil {
					t.Fatal(err)
				}
			}
			root, err := os.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			f, err := Open(t.Context(), root, "blob.part", desc, Options{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.Finish(t.Context(), "blob")
			var bad *integrity.Error
			var missing *MissingError
			switch {
			case c.believed && err != nil:
				t.Errorf("the forgery is not good enough to show anything: %v", err)
			case !c.believed && !errors.As(err, &bad) && !errors.As(err, &missing):
				t.Errorf("a file of other bytes is whole: %v", err)
			}
			if err != nil {
				if err := f.Discard(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// A file of others, or one that they may write to, can change after it was hashed.
func TestDataOfOthersIsNotGoneOnWith(t *testing.T) {
	for name, c := range map[string]struct {
		change func(data string) error
		taken  bool // though hashed again
		skip   bool
	}{
		"of another user":       {change: func(data string) error { return os.Chown(data, 12345, -1) }, skip: os.Geteuid() != 0},
		"that others may write": {change: func(data string) error { return os.Chmod(data, 0o666) }, taken: true},
	} {
		t.Run(name, func(t *testing.T) {
			if c.skip {
				t.Skip("only root can give files away")
			}
			dir := t.TempDir()
			var left *journal
			desc := forge(t, dir, func(j *journal) { left = j })
			root, err := os.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			file := filepath.Join(dir, "blob.part")
			if err := c.change(file); err != nil {
				t.Fatal(err)
			}
			write(t, root, file, left)
			f, err := Open(t.Context(), root, "blob.part", desc, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := f.Taken() > 0; got != c.taken {
				t.Errorf("taken up: %v, want %v", got, c.taken)
			}
			if w, err := f.Finish(t.Context(), "blob"); err == nil {
				t.Errorf("a file of other bytes is whole: %+v", w)
			} else if err := f.Discard(); err != nil {
				t.Fatal(err)
			}
			if entries, err := fs.ReadDir(root.FS(), "."); err != nil || len(entries) != 0 {
				t.Errorf("left behind: %v, %v", entries, err)
			}
		})
	}
}
