package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// FuzzScan reads any bytes as the headers of a tar, with sums that are right, since
// no fuzzer finds those. What is accepted archive/tar reads too, and what the two see
// must be the same.
func FuzzScan(f *testing.F) {
	var tp tape
	for _, d := range []digest.Digest{digest.FromString("a"), digest.SHA512.FromString("b")} {
		if err := tp.blob(ReaderBlob(ocispec.Descriptor{Digest: d, Size: 1}, "", nil)); err != nil {
			f.Fatal(err)
		}
	}
	tp.end()
	raw := make([]byte, tp.size)
	if _, err := (virtual{&tp}).ReadAt(raw, 0); err != nil && !errors.Is(err, io.EOF) {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(append(emptyBlob(1), make([]byte, 2*block)...))
	f.Add(goodFields()[6].tar())
	f.Fuzz(func(t *testing.T, raw []byte) {
		raw = bytes.Clone(raw)
		for i := 0; i+block <= len(raw); i += block {
			if bytes.HasPrefix(raw[i+257:], []byte("ustar")) {
				setSum(raw[i:])
			}
		}
		compareScan(t, raw)
	})
}

// fields are what one entry is made of: the fields of its header and what is in the
// extended headers before it.
type fields struct {
	name string
	kind byte
	// numbers are the fields from the mode to the time, rest those from the magic on.
	numbers, rest string
	// long is a name as GNU tar writes one that is long; records are those of PAX.
	long, records string
}

// tar returns a tar of the entry, with its end. A block of content has room in it.
func (e fields) tar() []byte {
	var b bytes.Buffer
	for _, extended := range []struct {
		kind byte
		data string
	}{{typeLongName, e.long}, {typePAX, e.records}} {
		if extended.data != "" {
			size := fmt.Sprintf("%011o\x00", len(extended.data))
			b.Write(fields{name: "x", kind: extended.kind, numbers: string(make([]byte, 24)) + size, rest: "ustar\x0000"}.header())
			b.WriteString(extended.data)
			b.Write(make([]byte, -b.Len()&(block-1)))
		}
	}
	b.Write(e.header())
	b.Write(make([]byte, 3*block))
	return b.Bytes()
}

func (e fields) header() []byte {
	h := make([]byte, block)
	copy(h[:100], e.name)
	copy(h[100:148], e.numbers)
	h[156] = e.kind
	copy(h[257:], e.rest)
	setSum(h)
	return h
}

func paxRecord(key, value string) string {
	n := len(key) + len(value) + 3
	for n != len(fmt.Sprintf("%d %s=%s\n", n, key, value)) {
		n = len(fmt.Sprintf("%d %s=%s\n", n, key, value))
	}
	return fmt.Sprintf("%d %s=%s\n", n, key, value)
}

// goodFields are entries that are accepted.
func goodFields() []fields {
	const (
		numbers = "0000644\x000000000\x000000000\x0000000000000\x0000000000000\x00"
		posix   = "ustar\x0000"
		gnu     = "ustar  \x00"
	)
	name := entryName(digest.FromString("a"))
	long := entryName(digest.SHA512.FromString("b"))
	devices := strings.Repeat("\x00", 64) + "0000000\x000000000\x00"
	binary := "\x80\x00\x00\x00\x00\x00\x00\x01" + numbers[8:24] + "\x80" + strings.Repeat("\x00", 11) + strings.Repeat("\xff", 12)
	return []fields{
		{name: name, kind: typeRegular, numbers: numbers, rest: posix},
		{name: name, kind: typeRegular, numbers: numbers[:24] + "00000000001\x00" + numbers[36:], rest: gnu + devices},
		{name: name, kind: typeRegular, numbers: binary, rest: gnu},
		{name: name[len("blobs/"):], kind: typeRegularOld, numbers: strings.Repeat("\x00", 24) + numbers[24:36], rest: posix + devices + "blobs"},
		{name: "blobs/", kind: typeDirectory, numbers: numbers, rest: posix + devices},
		{name: "x", kind: typeRegular, numbers: numbers, rest: gnu, long: long + "\x00"},
		{name: "x", kind: typeRegular, numbers: numbers, rest: posix, records: paxRecord("path", long) + paxRecord("size", "0") + paxRecord("SCHILY.xattr.user.x", "\x00")},
		{name: name, kind: typeRegular, numbers: numbers, rest: posix, records: paxRecord("uid", "1") + paxRecord("gid", "") + paxRecord("uname", "x") + paxRecord("gname", "x") + paxRecord("linkpath", "x")},
		{name: name, kind: typeRegular, numbers: numbers, rest: posix, records: paxRecord("mtime", "1.5") + paxRecord("atime", "-1.") + paxRecord("ctime", "+0.0000000001")},
	}
}

// Headers as tools write them are accepted, whatever they have where nothing matters.
func TestScanOfGoodHeaders(t *testing.T) {
	for _, e := range goodFields() {
		raw := e.tar()
		if _, err := scan(t.Context(), bytes.NewReader(raw), int64(len(raw))); err != nil {
			t.Errorf("%+q: %v", e, err)
		}
		compareScan(t, raw)
	}
}

// FuzzHeader makes one entry and compares like FuzzScan. Its inputs are all fields,
// where those of FuzzScan are zeros for the most part.
func FuzzHeader(f *testing.F) {
	for _, e := range goodFields() {
		f.Add(e.name, e.kind, e.numbers, e.rest, e.long, e.records)
	}
	f.Fuzz(func(t *testing.T, name string, kind byte, numbers, rest, long, records string) {
		compareScan(t, fields{name, kind, numbers, rest, long, records}.tar())
	})
}

// compareScan fails when a tar is accepted that archive/tar does not read, or in which
// it sees other files.
func compareScan(t *testing.T, raw []byte) {
	t.Helper()
	x, err := scan(t.Context(), bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		return
	}
	files := map[string]place{}
	for sum, at := range x.blobs.sha256 {
		files[entryName(digest.NewDigestFromBytes(digest.SHA256, sum[:]))] = at
	}
	for sum, at := range x.blobs.sha512 {
		files[entryName(digest.NewDigestFromBytes(digest.SHA512, sum[:]))] = at
	}
	if x.found[ocispec.ImageLayoutFile] {
		files[ocispec.ImageLayoutFile] = x.layout
	}
	if x.found[ocispec.ImageIndexFile] {
		files[ocispec.ImageIndexFile] = x.index
	}
	others := seenByOthers(t, raw)
	for name, at := range files {
		if at.offset < block || at.size < 0 || at.offset+at.size > int64(len(raw)) {
			t.Fatalf("%s lies at %+v", name, at)
		}
		if content, ok := others[name]; !ok || !bytes.Equal(content, raw[at.offset:][:at.size]) {
			t.Errorf("%s has the %d bytes at %d, and archive/tar sees %d others", name, at.size, at.offset, len(content))
		}
	}
	if len(files) != len(others) {
		t.Errorf("%d files, and archive/tar sees %d", len(files), len(others))
	}
}

// seenByOthers returns the files that archive/tar finds, but for those that are passed
// over.
func seenByOthers(t *testing.T, raw []byte) map[string][]byte {
	t.Helper()
	seen := map[string][]byte{}
	r := tar.NewReader(bytes.NewReader(raw))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return seen
		}
		if err != nil {
			t.Fatalf("archive/tar does not read it: %v", err)
		}
		name, f := plainName(h.Name)
		if f != nil {
			t.Fatalf("archive/tar sees %q", h.Name)
		}
		if h.Typeflag == tar.TypeDir || ignoredFiles[name] {
			continue
		}
		if _, twice := seen[name]; twice || h.Typeflag != tar.TypeReg {
			t.Fatalf("archive/tar sees %q of type %q, twice: %t", name, h.Typeflag, twice)
		}
		if seen[name], err = io.ReadAll(r); err != nil {
			t.Fatalf("archive/tar does not read %q: %v", name, err)
		}
	}
}
