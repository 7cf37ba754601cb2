package materialize_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/materialize"
)

func headerMode(mode int64) tar.Header      { return tar.Header{Mode: mode} }
func headerTime(at time.Time) tar.Header    { return tar.Header{ModTime: at} }
func typed(flag byte, to string) tar.Header { return tar.Header{Typeflag: flag, Linkname: to} }

// What a tar from elsewhere may not hold. Every case also has good members
// before and after, none of which may be there afterwards.
func TestHostileTars(t *testing.T) {
	for name, c := range map[string]struct {
		bad  member
		want error
	}{
		"traversal":            {member{name: "../x"}, artifacttypes.ErrUnsafePath},
		"absolute":             {member{name: "/x"}, artifacttypes.ErrUnsafePath},
		"traversal inside":     {member{name: "a/../../x"}, artifacttypes.ErrUnsafePath},
		"dot":                  {member{name: "./x"}, artifacttypes.ErrUnsafePath},
		"backslash":            {member{name: `a\x`}, artifacttypes.ErrUnsafePath},
		"drive":                {member{name: `C:x`}, artifacttypes.ErrUnsafePath},
		"control character":    {member{name: "a\x1b[2J"}, artifacttypes.ErrUnsafePath},
		"reading direction":    {member{name: "a\u202egnp.exe"}, artifacttypes.ErrUnsafePath},
		"long name":            {member{name: strings.Repeat("n", 300)}, artifacttypes.ErrUnsafePath},
		"staging":              {member{name: ".modseal-partial/x"}, artifacttypes.ErrUnsafePath},
		"directory outside":    {member{name: "../d/", header: typed(tar.TypeDir, "")}, artifacttypes.ErrUnsafePath},
		"symbolic link":        {member{name: "l", header: typed(tar.TypeSymlink, "/etc/passwd")}, materialize.ErrUnsafeArchive},
		"symbolic link inside": {member{name: "l", header: typed(tar.TypeSymlink, "good-1")}, materialize.ErrUnsafeArchive},
		"hard link":            {member{name: "l", header: typed(tar.TypeLink, "good-1")}, materialize.ErrUnsafeArchive},
		"hard link outside":    {member{name: "l", header: typed(tar.TypeLink, "../../x")}, materialize.ErrUnsafeArchive},
		"character device":     {member{name: "d", header: typed(tar.TypeChar, "")}, materialize.ErrUnsafeArchive},
		"block device":         {member{name: "d", header: typed(tar.TypeBlock, "")}, materialize.ErrUnsafeArchive},
		"fifo":                 {member{name: "d", header: typed(tar.TypeFifo, "")}, materialize.ErrUnsafeArchive},
		"whiteout":             {member{name: "a/.wh.b"}, materialize.ErrUnsafeArchive},
		"opaque whiteout":      {member{name: ".wh..wh..opq"}, materialize.ErrUnsafeArchive},
		"twice":                {member{name: "good-1"}, artifacttypes.ErrUnsafePath},
		"file as directory":    {member{name: "good-1/x"}, artifacttypes.ErrUnsafePath},
	} {
		m := newModel(t, tarLayer(member{name: "good-1", content: "1"}, c.bad, member{name: "good-2", content: "2"}), raw("good-3", "3"))
		parent := t.TempDir()
		_, err := m.pull(t, filepath.Join(parent, "a", "b"), materialize.Options{})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		for p := range tree(t, parent) {
			if !strings.HasPrefix(p, "a/b/"+materialize.StagingName+"/sha256-") && p != "a/b/"+materialize.StagingName+"/lock" {
				t.Errorf("%s: %s was left", name, p)
			}
		}
	}
}

// A sparse file of GNU tar expands a few bytes to terabytes without any
// compression.
func TestSparseTarIsRefused(t *testing.T) {
	var records string
	for _, r := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=x", "GNU.sparse.realsize=17592186044416"} {
		records += fmt.Sprintf("%d %s\n", len(r)+4, r)
	}
	// archive/tar writes no such file: its header is a file whose type is patched.
	content := tarBytes(member{name: "PaxHeaders.0/x", content: records}, member{name: "x", content: "1\n0\n0\n" + strings.Repeat("\x00", 506)})
	patchType(content[:512], tar.TypeXHeader)
	reader := tar.NewReader(bytes.NewReader(content))
	if h, err := reader.Next(); err != nil || h.Size != 1<<44 {
		t.Fatalf("%v, %v: this is no sparse file, so the test shows nothing", h, err)
	}
	dir := t.TempDir()
	_, err := newModel(t, blobLayer("weight", artifacttypes.EncodingTar, content, content)).pull(t, dir, materialize.Options{})
	if !errors.Is(err, materialize.ErrUnsafeArchive) {
		t.Errorf("%v", err)
	}
	wantTree(t, dir, map[string]string{})
}

func patchType(header []byte, flag byte) {
	header[156] = flag
	copy(header[148:156], "        ")
	sum := 0
	for _, b := range header[:512] {
		sum += int(b)
	}
	copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
}

func TestBytesAfterTheTar(t *testing.T) {
	plain := tarBytes(member{name: "a", content: "1"})
	long := tarBytes(member{name: "a", content: strings.Repeat("1", 600)})
	padded := append(bytes.Clone(plain), make([]byte, 10<<10)...)
	hidden := append(bytes.Clone(padded), []byte("PK\x03\x04 another archive")...)
	second := append(bytes.Clone(plain), tarBytes(member{name: "b", content: "2"})...)
	var twoStreams bytes.Buffer
	twoStreams.Write(gzipLayer(plain).content)
	twoStreams.Write(gzipLayer([]byte("hidden")).content)
	garbage := append(bytes.Clone(gzipLayer(plain).content), "garbage"...)
	for name, c := range map[string]struct {
		l  layer
		ok bool
	}{
		"padding":                {blobLayer("doc", artifacttypes.EncodingTar, padded, padded), true},
		"padding, compressed":    {gzipLayer(padded), true},
		"zip after it":           {blobLayer("doc", artifacttypes.EncodingTar, hidden, hidden), false},
		"zip after it, gzip":     {gzipLayer(hidden), false},
		"zip after it, zstd":     {blobLayer("doc", artifacttypes.EncodingTarZstd, zstdBytes(hidden), hidden), false},
		"second tar":             {blobLayer("doc", artifacttypes.EncodingTar, second, second), false},
		"second gzip stream":     {blobLayer("doc", artifacttypes.EncodingTarGzip, twoStreams.Bytes(), plain), false},
		"garbage after the gzip": {blobLayer("doc", artifacttypes.EncodingTarGzip, garbage, plain), false},
		"cut inside a member":    {blobLayer("doc", artifacttypes.EncodingTar, long[:1000], long[:1000]), false},
		"not even a tar":         {blobLayer("doc", artifacttypes.EncodingTar, []byte(strings.Repeat("x", 2000)), nil), false},
	} {
		dir := t.TempDir()
		_, err := newModel(t, c.l).pull(t, dir, materialize.Options{})
		if c.ok != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		var bad *integrity.Error
		if errors.As(err, &bad) {
			t.Errorf("%s: the layer is what it says, and yet: %v", name, err)
		}
		want := map[string]string{}
		if c.ok {
			want["a"] = "1"
		}
		wantTree(t, dir, want)
	}
}

// A compressed layer that expands out of all proportion is stopped, although
// nothing of it was to be written.
func TestExpansionBomb(t *testing.T) {
	if testing.Short() {
		t.Skip("expands two gibibytes")
	}
	var plain bytes.Buffer
	w := tar.NewWriter(&plain)
	if err := w.WriteHeader(&tar.Header{Name: "not-wanted", Size: 2 * limits.ExpandedSlack, Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	for encoding, compress := range map[artifacttypes.Encoding]func([]byte) []byte{
		artifacttypes.EncodingTarGzip: func(b []byte) []byte { return gzipLayer(b).content },
		artifacttypes.EncodingTarZstd: zstdBytes,
	} {
		// One stream behind the other is one stream, in both formats.
		const piece = 32 << 20
		content := compress(plain.Bytes())
		content = append(content, bytes.Repeat(compress(make([]byte, piece)), limits.ExpandedSlack/piece+4)...)
		dir := t.TempDir()
		_, err := newModel(t, blobLayer("weight", encoding, content, nil)).pull(t, dir, materialize.Options{Include: []string{"other"}})
		if !errors.Is(err, materialize.ErrUnsafeArchive) || !strings.Contains(err.Error(), "expands") {
			t.Errorf("%s, %d bytes: %v", encoding, len(content), err)
		}
		wantTree(t, dir, map[string]string{})
	}
}

// A zstd frame may not ask for more memory than the bound on windows.
func TestZstdWindow(t *testing.T) {
	// Magic, a frame header without content size, a window of 1 GiB, one empty
	// last block (RFC 8878, 3.1.1).
	content := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, (30 - 10) << 3, 0x01, 0x00, 0x00}
	dir := t.TempDir()
	_, err := newModel(t, blobLayer("doc", artifacttypes.EncodingTarZstd, content, nil)).pull(t, dir, materialize.Options{})
	if err == nil || !strings.Contains(err.Error(), "window") {
		t.Errorf("%v", err)
	}
}

func TestTooManyEntries(t *testing.T) {
	if testing.Short() {
		t.Skip("writes a tar of 100 MB")
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for range 2*limits.Files + 2 {
		if err := w.WriteHeader(&tar.Header{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := newModel(t, gzipLayer(buf.Bytes())).pull(t, t.TempDir(), materialize.Options{})
	if !errors.Is(err, materialize.ErrUnsafeArchive) {
		t.Errorf("%v", err)
	}
}

// diffIds of the config are compared with what comes out; the digest of the
// compressed layer, which modctl writes, is accepted and told.
func TestDiffIDs(t *testing.T) {
	plain := tarBytes(member{name: "a", content: "1"})
	good := gzipLayer(plain)
	blobDigest, wrong := good, good
	blobDigest.diffID = good.desc.Digest
	wrong.diffID = digest.FromString("another tar")
	dir := t.TempDir()
	if r := newModel(t, good).mustPull(t, dir, materialize.Options{}); len(r.Warnings) != 0 {
		t.Errorf("%q", r.Warnings)
	}
	if r := newModel(t, blobDigest).mustPull(t, t.TempDir(), materialize.Options{}); len(r.Warnings) != 1 {
		t.Errorf("%q", r.Warnings)
	}
	var bad *integrity.Error
	empty := t.TempDir()
	if _, err := newModel(t, wrong).pull(t, empty, materialize.Options{}); !errors.As(err, &bad) {
		t.Errorf("%v", err)
	}
	wantTree(t, empty, map[string]string{})
}

// Long names and large sizes as PAX and GNU tar write them; directories and
// global headers are passed over.
func TestHonestTars(t *testing.T) {
	long := strings.Repeat("d", 120) + "/" + strings.Repeat("f", 150)
	for _, format := range []tar.Format{tar.FormatPAX, tar.FormatGNU} {
		m := newModel(t, tarLayer(
			member{name: "dir/", header: tar.Header{Typeflag: tar.TypeDir, Mode: 0o700, Format: format}},
			member{name: long, content: "long", header: tar.Header{Format: format, Uid: 1 << 30, Uname: "somebody"}},
			member{name: "dir/empty", header: tar.Header{Format: format}},
		))
		dir := t.TempDir()
		m.mustPull(t, dir, materialize.Options{})
		wantTree(t, dir, map[string]string{long: "long", "dir/empty": ""})
	}
}

// Members do not take over what is not modseal's, and find what is right.
func TestMembersMeetTheDestination(t *testing.T) {
	m := newModel(t, tarLayer(member{name: "right", content: "1"}, member{name: "wrong", content: "2"}, member{name: "x", content: "3", header: headerMode(0o755)}))
	dir := t.TempDir()
	put(t, dir, "right", "1")
	put(t, dir, "wrong", "mine")
	put(t, dir, "x", "3")
	if _, err := m.pull(t, dir, materialize.Options{}); !errors.Is(err, materialize.ErrForeignFile) || !strings.Contains(err.Error(), "wrong") {
		t.Errorf("%v", err)
	}
	wantTree(t, dir, map[string]string{"right": "1", "wrong": "mine", "x": "3"})
	r := m.mustPull(t, dir, materialize.Options{Overwrite: true})
	wantOutcomes(t, r, map[string]materialize.Outcome{"right": materialize.Reused, "wrong": materialize.Written, "x": materialize.Repaired})
	if info, err := os.Stat(filepath.Join(dir, "x")); err != nil || info.Mode() != 0o755 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	// A damaged member brings the layer again, and nothing else.
	put(t, dir, "wrong", "damaged")
	m.source.count()
	r = m.mustPull(t, dir, materialize.Options{})
	wantOutcomes(t, r, map[string]materialize.Outcome{"right": materialize.Reused, "wrong": materialize.Repaired, "x": materialize.Reused})
	if n := m.source.count(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}
