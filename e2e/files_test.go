package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/modseal/modseal/hack/samplemodel"
)

// partialDir is where a pull stages what is not yet complete.
const partialDir = ".modseal-partial"

// mkmodel DIR [BYTES]
func mkmodel(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 1 || len(args) == 2, neg, "mkmodel DIR [BYTES]")
	o := samplemodel.Options{Size: 512 << 10}
	if len(args) == 2 {
		o.Size = parseSize(ts, args[1])
	}
	ts.Check(samplemodel.Write(ts.MkAbs(args[0]), o))
}

// scramble SRC DST copies a tree so that all differs that must not matter: the
// order in which files are made, times, group and world permissions, and, where
// that is possible, owners.
func scramble(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2, neg, "scramble SRC DST")
	src, dst := ts.MkAbs(args[0]), ts.MkAbs(args[1])
	files, err := listTree(src)
	ts.Check(err)
	slices.Reverse(files)
	for i, f := range files {
		if f.mode.IsDir() {
			continue
		}
		to := filepath.Join(dst, f.path)
		ts.Check(os.MkdirAll(filepath.Dir(to), 0o750))
		content, err := os.ReadFile(filepath.Join(src, f.path))
		ts.Check(err)
		ts.Check(os.WriteFile(to, content, 0o600))
		ts.Check(os.Chmod(to, f.mode.Perm()&0o700|0o040))
		when := time.Date(2001, 1, 1+i, 0, 0, 0, 0, time.UTC)
		ts.Check(os.Chtimes(to, when, when))
		if os.Geteuid() == 0 {
			ts.Check(os.Chown(to, 1000+i, 1000))
		}
	}
}

// manyfiles DIR N makes N small files in directories of 100.
func manyfiles(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2, neg, "manyfiles DIR N")
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	root := ts.MkAbs(args[0])
	for i := range n {
		dir := filepath.Join(root, fmt.Sprintf("part-%03d", i/100))
		if i%100 == 0 {
			ts.Check(os.MkdirAll(dir, 0o755))
		}
		content := fmt.Appendf(nil, `{"record":%d,"text":"%s"}`+"\n", i, strings.Repeat("x", i%512))
		ts.Check(os.WriteFile(filepath.Join(dir, fmt.Sprintf("record %05d.json", i)), content, 0o644))
	}
}

// sparse FILE SIZE makes a file of zeros that takes no room.
func sparse(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2, neg, "sparse FILE SIZE")
	name := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(name), 0o755))
	f, err := os.Create(name)
	ts.Check(err)
	defer f.Close()
	ts.Check(f.Truncate(parseSize(ts, args[1])))
}

// rawfile FILE TEXT writes TEXT, in which escapes are those of a text in Go, and no
// line break behind it: a pickle ends where it ends.
func rawfile(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2, neg, "rawfile FILE TEXT")
	text, err := strconv.Unquote(`"` + args[1] + `"`)
	ts.Check(err)
	name := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(name), 0o755))
	ts.Check(os.WriteFile(name, []byte(text), 0o644))
}

// randomfile FILE SIZE makes a file that no compression makes smaller; the same
// name and size give the same bytes.
func randomfile(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2, neg, "randomfile FILE SIZE")
	name := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(name), 0o755))
	f, err := os.Create(name)
	ts.Check(err)
	_, err = io.CopyN(f, rand.NewChaCha8(sha256.Sum256([]byte(args[0]))), parseSize(ts, args[1]))
	ts.Check(err)
	ts.Check(f.Close())
}

// flip FILE OFFSET changes one byte; a negative offset counts from the end.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2, neg, "flip FILE OFFSET")
	name := ts.MkAbs(args[0])
	content, err := os.ReadFile(name)
	ts.Check(err)
	i, err := strconv.Atoi(args[1])
	ts.Check(err)
	if i < 0 {
		i += len(content)
	}
	if i < 0 || i >= len(content) {
		ts.Fatalf("%s has %d bytes", args[0], len(content))
	}
	content[i] ^= 1
	ts.Check(os.WriteFile(name, content, 0o644))
}

// sametree A B: the same files with the same bytes and permissions.
func sametree(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2, neg, "sametree A B")
	if what := treeDifference(ts.MkAbs(args[0]), ts.MkAbs(args[1])); what != "" {
		ts.Fatalf("%s and %s: %s", args[0], args[1], what)
	}
}

// treeDifference says what differs between two directories, or "".
func treeDifference(x, y string) string {
	a, err := listTree(x)
	if err != nil {
		return err.Error()
	}
	b, err := listTree(y)
	if err != nil {
		return err.Error()
	}
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			return fmt.Sprintf("the second has %s more", b[i])
		case i >= len(b):
			return fmt.Sprintf("the second lacks %s", a[i])
		case a[i].path != b[i].path || a[i].mode != b[i].mode || a[i].size != b[i].size:
			return fmt.Sprintf("the second has %s where the first has %s", b[i], a[i])
		case a[i].mode.IsRegular():
			same, err := sameContent(filepath.Join(x, a[i].path), filepath.Join(y, b[i].path))
			if err != nil {
				return err.Error()
			}
			if !same {
				return a[i].path + " differs"
			}
		}
	}
	return ""
}

type treeFile struct {
	path string
	mode fs.FileMode
	size int64 // of regular files
}

func (f treeFile) String() string { return fmt.Sprintf("%q (%v, %d bytes)", f.path, f.mode, f.size) }

// listTree lists what is below root, sorted by path.
func listTree(root string) ([]treeFile, error) {
	var files []treeFile
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		f := treeFile{path: rel, mode: info.Mode()}
		if info.Mode().IsRegular() {
			f.size = info.Size()
		}
		files = append(files, f)
		return nil
	})
	slices.SortFunc(files, func(a, b treeFile) int { return strings.Compare(a.path, b.path) })
	return files, err
}

// sameContent compares two files: byte by byte, which takes a fraction of
// what two digests take of a large model.
func sameContent(a, b string) (bool, error) {
	x, err := os.Open(a)
	if err != nil {
		return false, err
	}
	defer x.Close()
	y, err := os.Open(b)
	if err != nil {
		return false, err
	}
	defer y.Close()
	p, q := make([]byte, 1<<20), make([]byte, 1<<20)
	for {
		n, errX := io.ReadFull(x, p)
		m, errY := io.ReadFull(y, q)
		if err := errors.Join(unlessEnd(errX), unlessEnd(errY)); err != nil {
			return false, err
		}
		if !bytes.Equal(p[:n], q[:m]) {
			return false, nil
		}
		if n < len(p) {
			return true, nil
		}
	}
}

func unlessEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// parseSize reads 1048576, 512KiB, 1MiB or 16GiB.
func parseSize(ts *testscript.TestScript, s string) int64 {
	n, err := sizeOf(s)
	ts.Check(err)
	return n
}

func sizeOf(s string) (int64, error) {
	for suffix, shift := range map[string]uint{"KiB": 10, "MiB": 20, "GiB": 30} {
		if number, ok := strings.CutSuffix(s, suffix); ok {
			n, err := strconv.ParseInt(number, 10, 64)
			return n << shift, err
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, errors.New(s + " is no size")
	}
	return n, nil
}

// expand FILE replaces the script's variables in a file; what is none stays.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 1, neg, "expand FILE")
	text := os.Expand(ts.ReadFile(args[0]), func(name string) string {
		if value := ts.Getenv(name); value != "" {
			return value
		}
		return "$" + name
	})
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o644))
}
