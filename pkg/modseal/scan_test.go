//go:build unix

package modseal

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/scan"
	"github.com/modseal/modseal/pkg/source"
)

const evilPickle = "cos\nsystem\n(S'id'\ntR."

// What was read in parts is compared with what the digest names: bytes that changed
// since, or that a registry shows only to scanners, are found out.
func TestScanProof(t *testing.T) {
	dir, _ := manyFiles(t)
	if err := os.WriteFile(filepath.Join(dir, "data", "0000.txt"), []byte(evilPickle), 0o644); err != nil {
		t.Fatal(err)
	}
	_, layout := newLayout(t)
	client := newClient(t)
	if _, err := client.Push(t.Context(), dir, layout+":v1", PackOptions{}); err != nil {
		t.Fatal(err)
	}
	v, _, err := client.viewTarget(t.Context(), layout+":v1")
	if err != nil {
		t.Fatal(err)
	}
	proof := newScanProof(v)
	r, err := scan.Scan(t.Context(), proof.files(v.files()), scan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Files) != len(v.entries()) || r.Verdict == "" {
		t.Errorf("%d of %d files", len(r.Files), len(v.entries()))
	}
	if err := proof.check(t.Context()); err != nil {
		t.Fatalf("what nobody touched: %v", err)
	}
	// One byte of what was read is another one when the layer is fetched.
	for _, l := range proof.layers {
		if len(l.blocks) == 0 {
			continue
		}
		for off, b := range l.blocks {
			b.sum[0] ^= 1
			l.blocks[off] = b
			break
		}
		err := proof.check(t.Context())
		var bad *integrity.Error
		if !errors.As(err, &bad) || ClassOf(err) != ClassIntegrity {
			t.Errorf("%s: %v", l.path, err)
		}
		return
	}
}

// A push that is to refuse refuses before it stores anything, and the class of its
// error is that of refusals.
func TestScanRefusesPush(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "model.pkl"), []byte(evilPickle), 0o644); err != nil {
		t.Fatal(err)
	}
	store, layout := newLayout(t)
	client := newClient(t)
	_, err := client.Push(t.Context(), dir, layout+":v1", PackOptions{Say: []Saying{SayScan(ScanPush{Refuse: hazard.High})}})
	var refused *ScanError
	if !errors.As(err, &refused) || ClassOf(err) != ClassRefused || refused.Scan.Verdict != hazard.Dangerous {
		t.Fatalf("%v", err)
	}
	err = store.Tags(t.Context(), "", func(tags []string) error {
		t.Errorf("it stored %v", tags)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if blobs, err := store.Blobs(t.Context()); err != nil || len(blobs) != 0 {
		t.Errorf("it stored %v, %v", blobs, err)
	}
	res, err := client.Push(t.Context(), dir, layout+":v1", PackOptions{Say: []Saying{SayScan(ScanPush{})}})
	if err != nil || res.Scan == nil || res.Scan.Counts.Critical != 1 || len(res.Signatures) != 0 {
		t.Errorf("%+v, %v", res, err)
	}
}

// A directory that came from a stranger brings its modseal.yaml. That lets pass no
// global that is known to be dangerous, by any name; what it lets pass is told.
func TestScanOfAModelThatAllowsItself(t *testing.T) {
	for _, row := range []struct {
		global, pickle string
		refused        bool
	}{
		{"os.system", evilPickle, true},
		{"posix.system", "cposix\nsystem\n(S'id'\ntR.", true},
		{"commands.getoutput", "ccommands\ngetoutput\n(S'id'\ntR.", true},
		{"torch.serialization:os.system", "\x80\x04\x8c\x13torch.serialization\x8c\x09os.system\x93\x8c\x02id\x85R.", true},
		{"team.models.Layer", "cteam.models\nLayer\n(tR.", false},
	} {
		dir := t.TempDir()
		for name, content := range map[string]string{"model.pkl": row.pickle, "modseal.yaml": "scan:\n  allowGlobals: ['" + row.global + "']\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		_, layout := newLayout(t)
		push := func(allow ...string) (*PushResult, error) {
			return newClient(t).Push(t.Context(), dir, layout+":v1", PackOptions{Say: []Saying{SayScan(ScanPush{Refuse: hazard.High, Allow: allow})}})
		}
		res, err := push()
		if row.refused {
			if ClassOf(err) != ClassRefused {
				t.Errorf("%s: %+v, %v", row.global, res, err)
			}
		} else if err != nil || !slices.ContainsFunc(res.Warnings, func(w string) bool { return strings.Contains(w, row.global) }) {
			t.Errorf("%s: %+v, %v", row.global, res, err)
		}
		if res, err := push(row.global); err != nil || res.Scan.Verdict != hazard.Clean || len(res.Scan.Allowed) != 1 {
			t.Errorf("%s, meant: %+v, %v", row.global, res, err)
		}
	}
}

// Between the scan and the upload a file can be replaced by another one of the same
// size, with its time of modification set back.
func TestScanOfAFileThatChangesBeforeItIsStored(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "model.pkl")
	if err := os.WriteFile(name, []byte("S'"+strings.Repeat("x", len(evilPickle)-5)+"'\n."), 0o644); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // times of change have ticks
	layout, at := newLayout(t)
	_, err := newClient(t).Push(t.Context(), dir, at+":v1", PackOptions{Say: []Saying{SayScan(ScanPush{Refuse: hazard.High}), meanwhile(func() {
		info, err := os.Stat(name)
		if err == nil {
			err = os.WriteFile(name, []byte(evilPickle), 0o644)
		}
		if err == nil {
			err = os.Chtimes(name, info.ModTime(), info.ModTime())
		}
		if err != nil {
			t.Error(err)
		}
	})}})
	if !errors.Is(err, source.ErrChanged) {
		t.Errorf("stored: %v", err)
	}
	if _, err := layout.Resolve(t.Context(), "v1"); err == nil {
		t.Error("it has a tag")
	}
	// No manifest either, which a digest and a signature would make as good as a tag.
	err = filepath.WalkDir(strings.TrimPrefix(at, "oci:"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(name)
		if bytes.Contains(raw, []byte("application/vnd.cncf.model.manifest")) {
			t.Errorf("%s holds a manifest", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// meanwhile does something when everything is prepared, and says nothing.
type meanwhile func()

func (m meanwhile) prepare(context.Context, *Client, *source.Tree, bool) error { m(); return nil }

func (meanwhile) about(context.Context, *PackedModel) (Said, error) { return Said{}, nil }
