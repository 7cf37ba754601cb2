package materialize_test

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/materialize"
)

// A selection leaves the record of what it did not take alone, and what it took
// is compared by the next call.
func TestEditAfterASelection(t *testing.T) {
	for name, first := range map[string][]string{"all": nil, "the same": {"a.py"}, "the other": {"b.py"}} {
		m := newModel(t, tarLayer(member{name: "a.py", content: "good a"}, member{name: "b.py", content: "good b"}))
		dir := t.TempDir()
		m.mustPull(t, dir, materialize.Options{Include: first})
		m.mustPull(t, dir, materialize.Options{Include: []string{"a.py"}})
		put(t, dir, "a.py", "EVIL a")
		r := m.mustPull(t, dir, materialize.Options{})
		if got := outcomes(r)["a.py"]; got != materialize.Repaired {
			t.Errorf("%s: %s", name, got)
		}
		want := map[string]string{"a.py": "good a", "b.py": "good b"}
		wantTree(t, dir, want)
		// All of it is here now, so nothing is fetched.
		m.source.count()
		m.mustPull(t, dir, materialize.Options{})
		if n := m.source.count(); n != 0 {
			t.Errorf("%s: %d fetches", name, n)
		}
		put(t, dir, "b.py", "EVIL b")
		m.mustPull(t, dir, materialize.Options{})
		wantTree(t, dir, want)
	}
}

// That a file of a layer is here does not say that the others are: a version in
// between did not have them.
func TestBackToALayerOfWhichAPartIsHere(t *testing.T) {
	a, b := member{name: "a.py", content: "good a"}, member{name: "b.py", content: "good b"}
	v1 := signed(t, map[string]string{"a.py": "good a", "b.py": "good b"}, tarLayer(a, b))
	v2 := signed(t, map[string]string{"a.py": "good a"}, tarLayer(a))
	v2.record = v1.record
	dir := t.TempDir()
	v1.mustPull(t, dir, materialize.Options{})
	v2.mustPull(t, dir, materialize.Options{})
	wantTree(t, dir, map[string]string{"a.py": "good a"})
	v1.verified = verified(t, v1) // the list of files is not known any more
	v1.mustPull(t, dir, materialize.Options{})
	wantTree(t, dir, map[string]string{"a.py": "good a", "b.py": "good b"})
}

// Somebody writes into a staged file while another layer is slow.
func TestWriteIntoTheStagingDirectory(t *testing.T) {
	large := strings.Repeat("\x00", 64<<20) // so large that it is not simply hashed again
	for name, waiting := range map[string]layer{
		"raw": raw("m.py", "print('good')"), "large": raw("m.py", large), "member": tarLayer(member{name: "m.py", content: "print('good')"}),
	} {
		if testing.Short() && name == "large" {
			continue
		}
		slow := tarLayer(member{name: "z.json", content: "{}"}) // tars come after raw layers
		m := newModel(t, waiting, slow)
		dir := t.TempDir()
		m.source.on = func(_ context.Context, desc ocispec.Descriptor, rc io.ReadCloser) (io.ReadCloser, error) {
			if desc.Digest != slow.desc.Digest {
				return rc, nil
			}
			entries, err := filepath.Glob(filepath.Join(dir, materialize.StagingName, "[ps]*-*"))
			if err != nil || len(entries) != 1 {
				t.Errorf("%s: staged are %q, %v", name, entries, err)
				return rc, err
			}
			f, err := os.OpenFile(entries[0], os.O_WRONLY, 0)
			if err != nil {
				return nil, err
			}
			defer f.Close()
			_, err = f.WriteString("print('EVIL')")
			return rc, err
		}
		_, err := m.pull(t, dir, materialize.Options{Concurrency: 1})
		var bad *integrity.Error
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), "m.py") {
			t.Errorf("%s: %v", name, err)
		}
		wantNothing(t, dir)
		m.source.on = nil
		m.mustPull(t, dir, materialize.Options{})
		if got := tree(t, dir)["m.py"]; strings.Contains(got, "EVIL") {
			t.Errorf("%s: the next call took what was written", name)
		}
	}
}

// Others than the user have no business in the staging directory, even when it
// is there from somebody with other ideas.
func TestStagingIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes")
	}
	m := newModel(t, raw("a.bin", "weights"))
	dir := t.TempDir()
	staging := filepath.Join(dir, materialize.StagingName)
	if err := errors.Join(os.Mkdir(staging, 0o700), os.Chmod(staging, 0o777)); err != nil {
		t.Fatal(err)
	}
	looked := false
	m.source.on = func(_ context.Context, _ ocispec.Descriptor, rc io.ReadCloser) (io.ReadCloser, error) {
		looked = true
		for name, want := range map[string]os.FileMode{"": 0o700, "lock": 0o600, "sha256-" + digest.FromString("weights").Encoded() + ".part": 0o600} {
			if info, err := os.Stat(filepath.Join(staging, name)); err != nil || info.Mode().Perm() != want {
				t.Errorf("%q: %v, %v, want %v", name, info, err, want)
			}
		}
		return rc, nil
	}
	m.mustPull(t, dir, materialize.Options{})
	if !looked {
		t.Error("nothing was looked at")
	}
}

// A file that was right when the call began and is not when it ends is no
// success.
func TestEditOfAPresentFileDuringThePull(t *testing.T) {
	m := newModel(t, raw("a.bin", "weights"), raw("b.bin", "others"))
	dir := t.TempDir()
	put(t, dir, "a.bin", "weights")
	m.source.on = func(_ context.Context, _ ocispec.Descriptor, rc io.ReadCloser) (io.ReadCloser, error) {
		flip(t, filepath.Join(dir, "a.bin"))
		return rc, nil
	}
	if _, err := m.pull(t, dir, materialize.Options{Overwrite: true}); err == nil {
		t.Error("it passed")
	}
}

func (m *model) members(t *testing.T) ([]materialize.Member, error) {
	t.Helper()
	return materialize.Members(t.Context(), m.source, m.verified.Model().Layers)
}

func TestMembers(t *testing.T) {
	m := newModel(t, tarLayer(member{name: "a.json", content: "1"}), raw("model.bin", "weights"),
		gzipLayer(tarBytes(member{name: "d/", header: typed(tar.TypeDir, "")}, member{name: "d/b.json", content: "2"})))
	got, err := m.members(t)
	if err != nil || len(got) != 2 || got[0] != (materialize.Member{Path: "a.json", Size: 1, Offset: 512, Digest: digest.FromString("1")}) ||
		got[1] != (materialize.Member{Path: "d/b.json", Size: 1, Offset: 1024, Digest: digest.FromString("2")}) {
		t.Errorf("%v, %v", got, err)
	}
	if n := m.source.count(); n != 2 {
		t.Errorf("%d fetches for two tars", n)
	}
}

// What could not be pulled is not listed for signing.
func TestMembersAreJudgedTogether(t *testing.T) {
	for name, layers := range map[string][]layer{
		"two tars":       {tarLayer(member{name: "a", content: "1"}), tarLayer(member{name: "A", content: "2"})},
		"raw and member": {tarLayer(member{name: "a/b", content: "1"}), raw("a", "2")},
		"deep":           {tarLayer(member{name: strings.Repeat("d/", artifacttypes.MaxPathComponents) + "f"})},
	} {
		if _, err := newModel(t, layers...).members(t); !errors.Is(err, artifacttypes.ErrUnsafePath) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each tar stays below the bounds, and all together do not.
func TestBoundsOverAllLayers(t *testing.T) {
	if testing.Short() {
		t.Skip("writes tars of 150 MB")
	}
	dirs := gzipLayer(tarBytes(repeated(limits.Files/2, func(int) member {
		return member{name: "d/", header: typed(tar.TypeDir, "")}
	})...))
	long := strings.Repeat(strings.Repeat("x", 250)+"/", 15)
	names := func(prefix string) layer {
		return gzipLayer(tarBytes(repeated(limits.PathBytes/2/len(long), func(i int) member {
			return member{name: fmt.Sprintf("%s%05d/%s", prefix, i, long) + "f"}
		})...))
	}
	paths := newModel(t, names("a"), names("b"))
	for name, m := range map[string]*model{"entries": newModel(t, dirs, dirs, raw("a.bin", "weights")), "paths": paths} {
		if _, err := m.members(t); !errors.Is(err, materialize.ErrUnsafeArchive) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, m := range map[string]*model{"entries": newModel(t, dirs, dirs, dirs, dirs, dirs), "paths": paths} {
		_, err := m.pull(t, t.TempDir(), materialize.Options{Include: []string{"none"}})
		if !errors.Is(err, materialize.ErrUnsafeArchive) {
			t.Errorf("%s, pull: %v", name, err)
		}
	}
}

func repeated(n int, one func(int) member) []member {
	all := make([]member, n)
	for i := range all {
		all[i] = one(i)
	}
	return all
}

// A layer that has the announced bytes and is broken all the same stays so: its
// error must not look like that of a connection, which is worth another try.
func TestBrokenTarsAreNotTransport(t *testing.T) {
	plain := tarBytes(member{name: "a", content: strings.Repeat("1", 5000)}, member{name: "b", content: "2"})
	half := func(l layer) layer {
		n := len(l.content) / 2
		return blobLayer("doc", l.encoding(), l.content[:n], plain)
	}
	compressed := func(b []byte) layer { return blobLayer("doc", artifacttypes.EncodingTarZstd, zstdBytes(b), b) }
	for name, l := range map[string]layer{
		"tar, in a member":  blobLayer("doc", artifacttypes.EncodingTar, plain[:1000], plain),
		"tar, in a header":  blobLayer("doc", artifacttypes.EncodingTar, plain[:100], plain),
		"gzip":              half(gzipLayer(plain)),
		"zstd":              half(compressed(plain)),
		"tar in gzip":       gzipLayer(plain[:1000]),
		"tar in zstd":       compressed(plain[:1000]),
		"header in gzip":    gzipLayer(plain[:100]),
		"empty gzip":        blobLayer("doc", artifacttypes.EncodingTarGzip, nil, nil),
		"no gzip":           blobLayer("doc", artifacttypes.EncodingTarGzip, plain, nil),
		"no zstd":           blobLayer("doc", artifacttypes.EncodingTarZstd, plain, nil),
		"gzip without tail": blobLayer("doc", artifacttypes.EncodingTarGzip, gzipLayer(plain).content[:len(gzipLayer(plain).content)-4], nil),
	} {
		m := newModel(t, l)
		_, pulled := m.pull(t, t.TempDir(), materialize.Options{})
		_, listed := m.members(t)
		for _, err := range []error{pulled, listed} {
			if !errors.Is(err, materialize.ErrUnsafeArchive) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
				t.Errorf("%s: %v", name, err)
			}
		}
		// And what is a connection's stays the connection's.
		m.source.on = func(_ context.Context, _ ocispec.Descriptor, rc io.ReadCloser) (io.ReadCloser, error) {
			return struct {
				io.Reader
				io.Closer
			}{failing{}, rc}, nil
		}
		if l.desc.Size == 0 {
			continue
		}
		_, pulled = m.pull(t, t.TempDir(), materialize.Options{})
		_, listed = m.members(t)
		for _, err := range []error{pulled, listed} {
			if errors.Is(err, materialize.ErrUnsafeArchive) || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s, cut off: %v", name, err)
			}
		}
	}
}

func (l layer) encoding() artifacttypes.Encoding {
	_, e, _ := artifacttypes.ParseLayerType(l.desc.MediaType)
	return e
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
