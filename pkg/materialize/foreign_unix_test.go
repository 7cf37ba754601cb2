//go:build unix

package materialize_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/modseal/modseal/pkg/fileid"
	"github.com/modseal/modseal/pkg/materialize"
)

// A file that looks as the record says is used without reading it. A record that
// somebody else can have written would make any file one that was verified.
func TestRecordsOfOthersAreIgnored(t *testing.T) {
	for name, c := range map[string]struct {
		change func(record string) error
		want   materialize.Outcome
		skip   bool
	}{
		// Without this one, the others show nothing.
		"of this user":          {func(string) error { return nil }, materialize.Reused, false},
		"that others may write": {func(r string) error { return os.Chmod(r, 0o622) }, materialize.Written, false},
		"of another user":       {func(r string) error { return os.Chown(r, 12345, -1) }, materialize.Written, os.Geteuid() != 0},
	} {
		t.Run(name, func(t *testing.T) {
			if c.skip {
				t.Skip("only root can give files away")
			}
			m := newModel(t, raw("a.bin", "weights"))
			dir := t.TempDir()
			m.mustPull(t, dir, materialize.Options{})
			file := filepath.Join(dir, "a.bin")
			put(t, dir, "a.bin", "wEights")
			past := time.Now().Add(-time.Hour)
			if err := os.Chtimes(file, past, past); err != nil {
				t.Fatal(err)
			}
			forgeRecord(t, m.record, file)
			if err := c.change(m.record); err != nil {
				t.Fatal(err)
			}
			r := m.mustPull(t, dir, materialize.Options{Overwrite: true})
			wantOutcomes(t, r, every(c.want, "a.bin"))
		})
	}
}

// Whoever owns the staging directory can put other files in the place of those
// that were compared with their digests, up to the moment of their renaming.
func TestStagingDirectoryOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give directories away")
	}
	m := newModel(t, raw("a.bin", "weights"))
	dir := t.TempDir()
	staging := filepath.Join(dir, materialize.StagingName)
	if err := errors.Join(os.Mkdir(staging, 0o777), os.Chown(staging, 12345, -1)); err != nil {
		t.Fatal(err)
	}
	if _, err := m.pull(t, dir, materialize.Options{}); !errors.Is(err, materialize.ErrUnsafeDestination) {
		t.Errorf("%v", err)
	}
	if err := os.Chown(staging, 0, -1); err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, m.mustPull(t, dir, materialize.Options{}), every(materialize.Written, "a.bin"))
}

// forgeRecord has the only entry of a record say of a file that it is as it was.
func forgeRecord(t *testing.T, name, file string) {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := fileid.Of(info)
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var r map[string]json.RawMessage
	if err := json.Unmarshal(content, &r); err != nil {
		t.Fatal(err)
	}
	var entries []map[string]json.RawMessage // the numbers are longer than a float
	if err := json.Unmarshal(r["files"], &entries); err != nil || len(entries) != 1 {
		t.Fatal(len(entries), err)
	}
	looks, err := json.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(looks, &entries[0]); err != nil {
		t.Fatal(err)
	}
	if r["files"], err = json.Marshal(entries); err != nil {
		t.Fatal(err)
	}
	if content, err = json.Marshal(r); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
