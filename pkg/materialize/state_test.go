package materialize_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/materialize"
)

func TestRecordSaysWhatIsThere(t *testing.T) {
	m := newModel(t, raw("a.bin", "weights"), tarLayer(member{name: "b.json", content: "{}", header: headerMode(0o755)}))
	dir := t.TempDir()
	m.mustPull(t, dir, materialize.Options{})
	var r struct {
		Version int           `json:"version"`
		Dir     string        `json:"dir"`
		Digest  digest.Digest `json:"digest"`
		Files   []struct {
			Path    string        `json:"path"`
			Size    int64         `json:"size"`
			Digest  digest.Digest `json:"digest"`
			Mode    uint32        `json:"mode"`
			MtimeNs int64         `json:"mtimeNs"`
		} `json:"files"`
	}
	content, err := os.ReadFile(m.record)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &r); err != nil {
		t.Fatal(err)
	}
	if r.Version != 1 || r.Dir != dir || r.Digest != m.desc.Digest || len(r.Files) != 2 {
		t.Fatalf("%s", content)
	}
	for i, want := range []struct {
		path, content string
		mode          uint32
	}{{"a.bin", "weights", 0o644}, {"b.json", "{}", 0o755}} {
		f := r.Files[i]
		if f.Path != want.path || f.Digest != digest.FromString(want.content) || f.Size != int64(len(want.content)) || f.Mode != want.mode || f.MtimeNs == 0 {
			t.Errorf("%+v", f)
		}
	}
	if entries, _ := os.ReadDir(filepath.Dir(m.record)); len(entries) != 1 {
		t.Errorf("beside the record there is %v", entries)
	}
}

// A record that is damaged, of another directory or of a later version decides
// nothing: the bytes do.
func TestRecordsThatAreIgnored(t *testing.T) {
	for name, change := range map[string]func([]byte) []byte{
		"cut":               func(b []byte) []byte { return b[:len(b)/2] },
		"empty":             func([]byte) []byte { return nil },
		"another directory": func(b []byte) []byte { return bytes.Replace(b, []byte(`"dir":"`), []byte(`"dir":"/x`), 1) },
		"another version":   func(b []byte) []byte { return bytes.Replace(b, []byte(`"version":1`), []byte(`"version":2`), 1) },
		"path outside":      func(b []byte) []byte { return bytes.Replace(b, []byte(`"gone.bin"`), []byte(`"../x"`), 1) },
		"no digest":         func(b []byte) []byte { return bytes.Replace(b, []byte(`"sha256:`), []byte(`"sha257:`), -1) },
	} {
		old := newModel(t, raw("a.bin", "weights"), raw("gone.bin", "gone"))
		parent := t.TempDir()
		put(t, parent, "x", "gone")
		dir := filepath.Join(parent, "dir")
		old.mustPull(t, dir, materialize.Options{})
		content, err := os.ReadFile(old.record)
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Dir(old.record), filepath.Base(old.record), string(change(content)))
		next := newModel(t, raw("a.bin", "weights"))
		next.record = old.record
		r := next.mustPull(t, dir, materialize.Options{})
		wantOutcomes(t, r, every(materialize.Reused, "a.bin"))
		wantTree(t, parent, map[string]string{"x": "gone", "dir/a.bin": "weights", "dir/gone.bin": "gone"})
		if len(r.Unknown) != 1 {
			t.Errorf("%s: unknown %q", name, r.Unknown)
		}
	}
}

// The record of an honest pull does not vouch for bytes that were there before
// it: a wrong digest in it does not pass for a right one.
func TestRecordIsNotBelievedOverBytes(t *testing.T) {
	m := newModel(t, raw("a.bin", "weights"))
	dir := t.TempDir()
	m.mustPull(t, dir, materialize.Options{})
	put(t, dir, "a.bin", "wEights")
	content, err := os.ReadFile(m.record)
	if err != nil {
		t.Fatal(err)
	}
	// The times of the edited file are not those of the record, whatever it says
	// about the digest.
	if !strings.Contains(string(content), digest.FromString("weights").String()) {
		t.Fatalf("%s", content)
	}
	wantOutcomes(t, m.mustPull(t, dir, materialize.Options{}), every(materialize.Repaired, "a.bin"))
	wantTree(t, dir, map[string]string{"a.bin": "weights"})
}

// An edit right after the pull, within one tick of the file system's clock, is
// found too.
func TestEditRightAfterThePull(t *testing.T) {
	for range 20 {
		m := newModel(t, raw("a.bin", "weights"))
		dir := t.TempDir()
		m.mustPull(t, dir, materialize.Options{})
		name := filepath.Join(dir, "a.bin")
		before, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("wEights"), 0); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, before.ModTime(), before.ModTime()); err != nil {
			t.Fatal(err)
		}
		wantOutcomes(t, m.mustPull(t, dir, materialize.Options{}), every(materialize.Repaired, "a.bin"))
	}
}

// Without a place for the record the files are there all the same.
func TestRecordCannotBeWritten(t *testing.T) {
	m := newModel(t, raw("a.bin", "weights"))
	file := filepath.Join(t.TempDir(), "file")
	put(t, filepath.Dir(file), "file", "")
	dir := t.TempDir()
	r := m.mustPull(t, dir, materialize.Options{StateFile: filepath.Join(file, "record")})
	wantTree(t, dir, map[string]string{"a.bin": "weights"})
	if len(r.Warnings) != 1 {
		t.Errorf("%q", r.Warnings)
	}
}
