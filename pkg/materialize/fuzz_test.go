package materialize_test

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/materialize"
)

// FuzzTar unpacks any bytes as a tar layer. Whatever they are, nothing may be
// made outside of the directory, nothing but regular files and directories
// inside, and nothing at all when it is refused.
func FuzzTar(f *testing.F) {
	f.Add(tarBytes(member{name: "a", content: "1"}, member{name: "d/", header: typed(tar.TypeDir, "")}, member{name: "d/e", content: "2"}))
	for _, m := range []member{
		{name: "../x"},
		{name: "l", header: typed(tar.TypeSymlink, "..")},
		{name: "l", header: typed(tar.TypeLink, "a")},
		{name: "d", header: typed(tar.TypeChar, "")},
		{name: strings.Repeat("n", 200)},
		{name: "m", header: headerMode(0o7777)},
	} {
		f.Add(tarBytes(member{name: "a", content: "1"}, m))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		m := newModel(t, blobLayer("doc", artifacttypes.EncodingTar, content, content))
		parent := t.TempDir()
		dir := filepath.Join(parent, "x", "y")
		r, err := m.pull(t, dir, materialize.Options{})
		found := 0
		walkErr := filepath.WalkDir(parent, func(name string, e os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, _ := filepath.Rel(dir, name)
			switch {
			case e.IsDir():
			case !e.Type().IsRegular():
				t.Errorf("%s is %v", name, e.Type())
			case strings.HasPrefix(rel, ".."):
				t.Errorf("%s is outside", name)
			default:
				found++
				if info, err := e.Info(); err != nil || info.Mode() != 0o644 && info.Mode() != 0o755 {
					t.Errorf("%s: %v, %v", name, info.Mode(), err)
				}
			}
			return nil
		})
		if walkErr != nil {
			t.Fatal(walkErr)
		}
		if err != nil && found > 0 {
			t.Errorf("%d files after %v", found, err)
		}
		if err != nil {
			return
		}
		if found != len(r.Files) {
			t.Errorf("%d files are there, %d are reported", found, len(r.Files))
		}
		// An independent reading agrees about what is in it.
		reader := tar.NewReader(bytes.NewReader(content))
		for {
			h, err := reader.Next()
			if err != nil {
				break
			}
			if info, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(h.Name))); h.Typeflag == tar.TypeReg && (err != nil || info.Size() != h.Size) {
				t.Errorf("%s: %v", h.Name, err)
			}
		}
	})
}
