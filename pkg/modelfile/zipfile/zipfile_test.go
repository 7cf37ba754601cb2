package zipfile_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/zipfile"
)

// entry is a member as it is written: what both headers say of it can be changed
// apart.
type entry struct {
	name         string
	data         string // as stored
	method       uint16
	flags        uint16
	size         int    // of the data when it is not stored
	crc          uint32 // of the data when it is not stored
	local        func(h *header)
	central      func(h *header)
	before       string // bytes before the local header
	noDescriptor bool
}

type header struct {
	name          string
	flags, method uint16
	crc           uint32
	packed, size  uint32
	extra         string
	at            uint32
}

func (h *header) fields() []byte {
	b := binary.LittleEndian.AppendUint16(nil, h.flags)
	b = binary.LittleEndian.AppendUint16(b, h.method)
	b = binary.LittleEndian.AppendUint32(b, 0) // time
	b = binary.LittleEndian.AppendUint32(b, h.crc)
	b = binary.LittleEndian.AppendUint32(b, h.packed)
	b = binary.LittleEndian.AppendUint32(b, h.size)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(h.name)))
	return binary.LittleEndian.AppendUint16(b, uint16(len(h.extra)))
}

// archive writes entries; those that hidden names are left out of the directory.
type archive struct {
	entries []entry
	hidden  []string
	prefix  string
	gap     string // before the directory
	shift   int    // added to what the end record says of the directory
	count   int    // added to the number of members
	zip64   bool
	comment string
	tail    string
	cut     int // bytes of the end
}

func (a archive) bytes() []byte {
	var b, directory bytes.Buffer
	b.WriteString(a.prefix)
	members := a.count
	for _, e := range a.entries {
		b.WriteString(e.before)
		at := uint32(b.Len())
		h := header{
			name: e.name, flags: e.flags, method: e.method, at: at,
			crc: crc32.ChecksumIEEE([]byte(e.data)), packed: uint32(len(e.data)), size: uint32(len(e.data)),
		}
		if e.method == zipfile.Deflated {
			h.crc, h.size = e.crc, uint32(e.size)
		}
		l, c := h, h
		if e.flags&zipfile.FlagDescriptor != 0 {
			l.crc, l.packed, l.size = 0, 0, 0
		}
		if e.local != nil {
			e.local(&l)
		}
		if e.central != nil {
			e.central(&c)
		}
		fmt.Fprintf(&b, "PK\x03\x04\x14\x00%s%s%s%s", l.fields(), l.name, l.extra, e.data)
		if e.flags&zipfile.FlagDescriptor != 0 && !e.noDescriptor {
			b.WriteString("PK\x07\x08")
			for _, n := range []uint32{h.crc, h.packed, h.size} {
				b.Write(binary.LittleEndian.AppendUint32(nil, n))
			}
		}
		if slices.Contains(a.hidden, e.name) {
			continue
		}
		members++
		fmt.Fprintf(&directory, "PK\x01\x02\x14\x00\x14\x00%s\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00%s%s%s",
			c.fields(), binary.LittleEndian.AppendUint32(nil, c.at), c.name, c.extra)
	}
	b.WriteString(a.gap)
	at := b.Len() + a.shift
	b.Write(directory.Bytes())
	if a.zip64 {
		recordAt := b.Len()
		b.WriteString("PK\x06\x06")
		b.Write(binary.LittleEndian.AppendUint64(nil, 44))
		b.Write(make([]byte, 12))
		for _, n := range []int{members, members, directory.Len(), at} {
			b.Write(binary.LittleEndian.AppendUint64(nil, uint64(n)))
		}
		b.WriteString("PK\x06\x07\x00\x00\x00\x00")
		b.Write(binary.LittleEndian.AppendUint64(nil, uint64(recordAt)))
		b.WriteString("\x01\x00\x00\x00")
	}
	b.WriteString("PK\x05\x06\x00\x00\x00\x00")
	b.Write(binary.LittleEndian.AppendUint16(nil, uint16(members)))
	b.Write(binary.LittleEndian.AppendUint16(nil, uint16(members)))
	b.Write(binary.LittleEndian.AppendUint32(nil, uint32(directory.Len())))
	b.Write(binary.LittleEndian.AppendUint32(nil, uint32(at)))
	b.Write(binary.LittleEndian.AppendUint16(nil, uint16(len(a.comment))))
	b.WriteString(a.comment + a.tail)
	return b.Bytes()[:b.Len()-a.cut]
}

// deflated returns an entry whose data inflate to text.
func deflated(name, text string) entry {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return entry{name: name, method: zipfile.Deflated, data: b.String(), size: len(text), crc: crc32.ChecksumIEEE([]byte(text))}
}

// scan returns the findings as "rule subject" and the members as "name=content".
func scan(t *testing.T, b []byte) (findings, members []string) {
	t.Helper()
	c := hazard.OfFile("a.zip", bytes.NewReader(b), int64(len(b)))
	err := zipfile.Scan(t.Context(), c, func(f hazard.Finding) {
		if hazard.RuleOf(f.Rule).ID == "" {
			t.Errorf("no rule %q", f.Rule)
		}
		findings = append(findings, strings.TrimSpace(f.Rule+" "+f.Subject))
	}, func(_ context.Context, m hazard.Content) error {
		if m.Depth != 1 {
			t.Errorf("%q is at depth %d", m.Name, m.Depth)
		}
		text, err := read(m)
		members = append(members, m.Name+"="+text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return findings, members
}

func read(c hazard.Content) (string, error) {
	r, err := c.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}

func stored(name, data string) entry { return entry{name: name, data: data} }

func TestScan(t *testing.T) {
	two := []entry{stored("m/data.pkl", "pickle"), deflated("m/version", "3")}
	later := stored("a", "text")
	later.flags = zipfile.FlagDescriptor
	with := func(change func(a *archive)) archive {
		a := archive{entries: slices.Clone(two)}
		change(&a)
		return a
	}
	local := func(f func(h *header)) archive {
		return with(func(a *archive) { a.entries[0].local = f })
	}
	both := []string{"m/data.pkl=pickle", "m/version=3"}
	tests := []struct {
		name     string
		archive  archive
		findings []string
		members  []string
	}{
		{"plain", archive{entries: two}, nil, both},
		{"empty", archive{}, nil, nil},
		{"zip64", with(func(a *archive) { a.zip64 = true }), nil, both},
		{"comment", with(func(a *archive) { a.comment = "hello" }), nil, both},
		{"directory", archive{entries: []entry{stored("d/", ""), stored("d/a", "b")}}, nil, []string{"d/a=b"}},
		{"sizes behind the data", archive{entries: []entry{later, stored("b", "more")}}, nil, []string{"a=text", "b=more"}},
		{"sizes behind the data and none there", with(func(a *archive) {
			a.entries[0].flags, a.entries[0].noDescriptor = zipfile.FlagDescriptor, true
			a.entries[0].before = ""
			a.gap = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
			a.entries = a.entries[:1]
		}), []string{"archive-header-mismatch m/data.pkl", "archive-unlisted-bytes"}, []string{"m/data.pkl=pickle", "bytes-at-46=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}},

		{"another name in the local header", local(func(h *header) { h.name = "m/data.pkx" }), []string{"archive-header-mismatch m/data.pkl"}, both},
		{"another method in the local header", local(func(h *header) { h.method = 8 }), []string{"archive-header-mismatch m/data.pkl"}, both},
		{"another size in the local header", local(func(h *header) { h.size++ }), []string{"archive-header-mismatch m/data.pkl"}, both},
		{"another packed size in the local header", local(func(h *header) { h.packed-- }), []string{"archive-header-mismatch m/data.pkl"}, both},
		{"another checksum in the local header", local(func(h *header) { h.crc++ }), []string{"archive-header-mismatch m/data.pkl"}, both},
		{"flags differ", local(func(h *header) { h.flags = zipfile.FlagUTF8 }), []string{"archive-header-mismatch m/data.pkl"}, both},
		{"encrypted in the local header alone", local(func(h *header) { h.flags = zipfile.FlagEncrypted }), []string{"archive-header-mismatch m/data.pkl", "archive-encrypted m/data.pkl"}, both},
		{"encrypted", with(func(a *archive) { a.entries[0].flags = zipfile.FlagEncrypted }), []string{"archive-encrypted m/data.pkl"}, both},
		{"wrong checksum", with(func(a *archive) {
			wrong := func(h *header) { h.crc++ }
			a.entries[0].local, a.entries[0].central = wrong, wrong
		}), []string{"archive-crc m/data.pkl"}, both},
		{"wrong checksum of a deflated member", with(func(a *archive) { a.entries[1].crc++ }), []string{"archive-crc m/version"}, both},
		{"stored and of another size", with(func(a *archive) {
			wrong := func(h *header) { h.size = 3 }
			a.entries[0].local, a.entries[0].central = wrong, wrong
		}), []string{"archive-size m/data.pkl"}, both},
		{"more comes out", with(func(a *archive) { a.entries[1] = deflated("m/version", "333"); a.entries[1].size = 1 }), []string{"archive-size m/version"}, both},
		{"less comes out", with(func(a *archive) { a.entries[1].size = 9 }), []string{"archive-size m/version"}, both},
		{"damaged", with(func(a *archive) { a.entries[1].data = "\xff\xff\xff" }), []string{"archive-malformed m/version"}, []string{both[0], "m/version="}},
		{"cut", with(func(a *archive) { a.entries[1].data = a.entries[1].data[:1] }), []string{"archive-malformed m/version"}, []string{both[0], "m/version="}},
		{"unknown method", with(func(a *archive) { a.entries[0].method = 12 }), []string{"archive-method m/data.pkl"}, both[1:]},
		{"twice", archive{entries: []entry{stored("a", "1"), stored("a", "2")}}, []string{"archive-duplicate-member a"}, []string{"a=1", "a=2"}},
		{"the same header twice", with(func(a *archive) {
			a.entries[1].central = func(h *header) { h.at, h.name, h.method = 0, "m/other", 0; h.packed, h.size = 6, 6 }
		}), []string{
			"archive-overlap m/other", "archive-header-mismatch m/other", "archive-crc m/other", "archive-hidden-member m/version",
		}, []string{both[0], "m/other=pickle", both[1]}},
		{"leads up", archive{entries: []entry{stored("../a", "1")}}, []string{"archive-unsafe-name ../a"}, []string{"../a=1"}},
		{"leads to the root", archive{entries: []entry{stored("/etc/a", "1")}}, []string{"archive-unsafe-name /etc/a"}, []string{"/etc/a=1"}},
		{"hidden", with(func(a *archive) { a.hidden = []string{"m/data.pkl"} }), []string{"archive-hidden-member m/data.pkl"}, both},
		{"hidden and deflated", with(func(a *archive) { a.hidden = []string{"m/version"} }), []string{"archive-hidden-member m/version"}, both},
		{
			"hidden with its size behind the data", with(func(a *archive) { a.entries[0].flags = zipfile.FlagDescriptor; a.hidden = []string{"m/data.pkl"} }),
			[]string{"archive-hidden-member m/data.pkl"},
			both,
		},
		{"zeros between", with(func(a *archive) { a.entries[1].before = "\x00\x00\x00" }), []string{"archive-unlisted-bytes"}, both},
		{
			"bytes between", with(func(a *archive) { a.entries[1].before = "cos\nsystem\n." }),
			[]string{"archive-unlisted-bytes"},
			[]string{both[0], "bytes-at-46=cos\nsystem\n.", both[1]},
		},
		{"the mark of a member and none", with(func(a *archive) { a.gap = "PK\x03\x04" }), []string{"archive-unlisted-bytes"}, append(slices.Clone(both), "bytes-at-92=PK\x03\x04")},
		{"behind a pickle", with(func(a *archive) { a.prefix = "\x80\x02N." }), []string{"archive-polyglot"}, append([]string{"bytes-at-0=\x80\x02N."}, both...)},
		{"behind a pickle and not saying so", with(func(a *archive) {
			a.prefix, a.shift = "\x80\x02N.", -4
			moved := func(h *header) { h.at -= 4 }
			a.entries[0].central, a.entries[1].central = moved, moved
		}), []string{"archive-polyglot", "archive-polyglot"}, append([]string{"bytes-at-0=\x80\x02N."}, both...)},
		{"directory is elsewhere", with(func(a *archive) { a.shift = 1 }), []string{
			"archive-malformed", "archive-hidden-member m/data.pkl", "archive-hidden-member m/version", "archive-unlisted-bytes",
		}, nil},
		{"bytes at the end", with(func(a *archive) { a.tail = "tail" }), []string{"archive-unlisted-bytes"}, append(slices.Clone(both), "bytes-at-225=tail")},
		// As far from the end as zipfile finds it, as miniz does, and farther.
		{"end record before 64 KiB", with(func(a *archive) { a.tail = strings.Repeat("\x00", 1<<16) }), []string{"archive-malformed", "archive-unlisted-bytes"}, both},
		{"end record before 68 KiB", with(func(a *archive) { a.tail = strings.Repeat("\x00", 69_584-endSize) }), []string{"archive-malformed", "archive-unlisted-bytes"}, both},
		{"end record before 100 KiB", with(func(a *archive) { a.tail = strings.Repeat("\x00", 100<<10) }), []string{"archive-malformed", "archive-unlisted-bytes"}, both},
		{"end record behind a comment and before 64 KiB", with(func(a *archive) { a.comment = strings.Repeat("c", 1<<16-1) }), nil, both},
		{"comment is cut", with(func(a *archive) { a.comment, a.cut = "hello", 1 }), []string{"archive-malformed"}, both},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			findings, members := scan(t, test.archive.bytes())
			if diff := cmp.Diff(test.findings, findings); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if test.members == nil && test.archive.entries != nil {
				return
			}
			if diff := cmp.Diff(test.members, members); diff != "" {
				t.Errorf("members (-want +got):\n%s", diff)
			}
		})
	}
}

// What archive/zip writes is read as it says, from a stream too.
func TestScanStream(t *testing.T) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	big := strings.Repeat("0123456789abcdef", 1<<17)
	for _, f := range []struct {
		name, text string
		method     uint16
	}{{"a", "text", zip.Deflate}, {"b", big, zip.Store}, {"c", big, zip.Deflate}, {"d", "end", zip.Store}} {
		m, err := w.CreateHeader(&zip.FileHeader{Name: f.name, Method: f.method})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(m, f.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	c := hazard.Content{Name: "x", Size: -1, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b.Bytes())), nil
	}}
	got := map[string]string{}
	err := zipfile.Scan(t.Context(), c, func(f hazard.Finding) { t.Errorf("%+v", f) }, func(_ context.Context, m hazard.Content) error {
		if _, err := read(m); err != nil {
			return err
		}
		text, err := read(m) // again
		got[m.Name] = text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"a": "text", "b": big, "c": big, "d": "end"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadErrors(t *testing.T) {
	one := archive{entries: []entry{stored("a", "text")}}
	central := func(f func(h *header)) archive {
		e := one.entries[0]
		e.central = f
		return archive{entries: []entry{e}}
	}
	patch := func(b []byte, at int, with string) []byte {
		if at < 0 {
			at += len(b)
		}
		return append(append(slices.Clone(b[:at]), with...), b[at+len(with):]...)
	}
	whole := one.bytes()
	wide := archive{entries: one.entries, zip64: true}.bytes()
	tests := []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "byte 0: no end record of a zip archive in the last 0 bytes"},
		{"short", []byte("PK\x05\x06"), "byte 0: no end record of a zip archive in the last 4 bytes"},
		{"no end", whole[:len(whole)-endSize], "byte 60: no end record of a zip archive in the last 82 bytes"},
		{"cut end", whole[:len(whole)-1], "byte 81: no end record of a zip archive in the last 103 bytes"},
		{"several disks", patch(whole, -18, "\x01\x00\x01\x00"), "byte 86: archive is one of several disks"},
		{"directory larger than the file", patch(whole, -10, "\xff\xff\xff\x00"), "byte 82: central directory of 16777215 bytes does not fit before byte 82"},
		{"directory too large", patch(whole, -10, "\xff\xff\xff\x7f"), "byte 82: central directory of 2147483647 bytes does not fit before byte 82"},
		{"directory too small", patch(whole, -10, "\x10\x00\x00\x00"), "byte 66: entry of 46 bytes ends beyond the central directory"},
		{"more members announced", archive{entries: one.entries, count: 1}.bytes(), "byte 82: 2 members are announced, the directory has 1"},
		{"fewer members announced", archive{entries: one.entries, count: -1}.bytes(), "byte 82: 0 members are announced, the directory has 1"},
		{"no entry", patch(whole, 35, "PK\x01\x03"), "byte 35: no entry of the central directory"},
		{"name is longer", patch(whole, 35+28, "\x02"), "byte 35: entry of 48 bytes ends beyond the central directory"},
		{"extra is longer", patch(whole, 35+30, "\xff\xff"), "byte 35: entry of 65582 bytes ends beyond the central directory"},
		{"comment is longer", patch(whole, 35+32, "\x01"), "byte 35: entry of 48 bytes ends beyond the central directory"},
		{"member behind the directory", central(func(h *header) { h.at = 1 << 30 }).bytes(), `byte 35: member "a" of 4 bytes at byte 1073741824 does not fit before the directory`},
		{"member reaches into the directory", central(func(h *header) { h.packed = 6 }).bytes(), `byte 35: member "a" of 6 bytes at byte 0 does not fit before the directory`},
		{"short zip64 field", central(func(h *header) { h.size = 1<<32 - 1; h.extra = "\x01\x00\x04\x00\x00\x00\x00\x00" }).bytes(), `byte 35: member "a": its zip64 field is too short`},
		{"large zip64 field", central(func(h *header) { h.size = 1<<32 - 1; h.extra = "\x01\x00\x08\x00\xff\xff\xff\xff\xff\xff\xff\xff" }).bytes(), `byte 35: member "a": its zip64 field has a number beyond 2^63`},
		{"packed size in zip64", central(func(h *header) {
			h.packed = 1<<32 - 1
			h.extra = "\x01\x00\x08\x00\xff\xff\xff\xff\xff\xff\xff\x7f"
		}).bytes(), `byte 35: member "a" of 9223372036854775807 bytes at byte 0 does not fit before the directory`},
		{"locator without a record", patch(wide, 82, "PK\x06\x05"), "byte 82: no zip64 end record before its locator"},
		{"locator alone", append([]byte("PK\x06\x07"+strings.Repeat("\x00", 16)), whole[82:]...), "byte 0: zip64 locator without a record before it"},
		{"zip64 directory of 2^60", patch(wide, 82+40, "\x00\x00\x00\x00\x00\x00\x00\x10"), "byte 82: central directory of 1152921504606846976 bytes at byte 35 does not fit before byte 82"},
		{"zip64 members", patch(wide, 82+32, "\x00\x00\x00\x00\x00\x00\x00\x10"), "byte 158: 1152921504606846976 members are more than 100000"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := zipfile.Read(bytes.NewReader(test.file), int64(len(test.file)))
			breach, ok := errors.AsType[*zipfile.Error](err)
			if !ok {
				t.Fatalf("got %v", err)
			}
			if diff := cmp.Diff(test.want, breach.Error()); diff != "" {
				t.Error(diff)
			}
			// A malformed archive is a finding, and never a failure.
			findings, _ := scan(t, test.file)
			if !slices.ContainsFunc(findings, func(f string) bool { return strings.HasPrefix(f, "archive-malformed") }) {
				t.Errorf("findings: %q", findings)
			}
		})
	}
}

const endSize = 22

// Of an archive that was cut off, what the local headers show is looked at. Nothing in it
// is hidden from a directory that is not there.
func TestScanWithoutDirectory(t *testing.T) {
	later := stored("m/later", "numbers PK\x07\x08 and more")
	later.flags = zipfile.FlagDescriptor
	b := archive{entries: []entry{stored("m/data.pkl", "pickle"), deflated("b", "text"), later, stored("c", "end")}}.bytes()
	members := []string{"m/data.pkl=pickle", "b=text", "m/later=numbers PK\x07\x08 and more", "c=end"}
	directory, last := bytes.Index(b, []byte("PK\x01\x02")), bytes.LastIndex(b, []byte("PK\x03\x04"))
	for _, tt := range []struct {
		name    string
		cut     int
		members []string
	}{
		{"behind the members", directory, members},
		{"in the directory", directory + 10, append(slices.Clone(members), fmt.Sprintf("bytes-at-%d=%s", directory+4, b[directory+4:directory+10]))},
		{"in the end record", len(b) - 1, append(slices.Clone(members), fmt.Sprintf("bytes-at-%d=%s", directory+4, b[directory+4:len(b)-1]))},
		{"in a member", directory - 1, append(slices.Clone(members[:3]), "c=en")},
		{"in a name", last + 30, append(slices.Clone(members[:3]), fmt.Sprintf("bytes-at-%d=%s", last+4, b[last+4:last+30]))},
		{"in a header", last + 8, append(slices.Clone(members[:3]), fmt.Sprintf("bytes-at-%d=%s", last+4, b[last+4:last+8]))},
		{"in a signature", last + 3, append(slices.Clone(members[:3]), fmt.Sprintf("bytes-at-%d=PK\x03", last))},
		{"in a descriptor", last - 7, append(slices.Clone(members[:3]), fmt.Sprintf("bytes-at-%d=%s", last-12, b[last-12:last-7]))},
		{"at the end of a descriptor", last - 1, append(slices.Clone(members[:3]), fmt.Sprintf("bytes-at-%d=%s", last-12, b[last-12:last-1]))},
		{"in its mark", last - 15, append(slices.Clone(members[:3]), fmt.Sprintf("bytes-at-%d=P", last-16))},
	} {
		findings, got := scan(t, b[:tt.cut])
		if diff := cmp.Diff([]string{"archive-malformed"}, findings); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
		if diff := cmp.Diff(tt.members, got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

func TestScanExpansion(t *testing.T) {
	b := archive{entries: []entry{deflated("bomb", strings.Repeat("\x00", 64<<20))}}.bytes()
	var findings []string
	n := 0
	err := zipfile.Scan(t.Context(), hazard.OfFile("a", bytes.NewReader(b), int64(len(b))), func(f hazard.Finding) {
		findings = append(findings, f.Rule)
	}, func(_ context.Context, m hazard.Content) error {
		for { // each round reads 64 MiB of a file of 64 KiB
			r, err := m.Open()
			if err != nil {
				return err
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
				return err
			}
			if n++; n > 100 {
				t.Fatal("it goes on")
			}
		}
	})
	if err != nil || !slices.Equal(findings, []string{"archive-expansion"}) {
		t.Errorf("%q, %v", findings, err)
	}
}

// Python and miniz go by the zip64 records when they are there, others only when they
// are told to.
func TestScanTwoEnds(t *testing.T) {
	a := archive{entries: []entry{stored("a", "text")}, zip64: true}
	b := a.bytes()
	end, locator := bytes.LastIndex(b, []byte("PK\x05\x06")), bytes.LastIndex(b, []byte("PK\x06\x07"))
	for name, at := range map[string]int{"members": end + 10, "place of the directory": end + 16, "place of the zip64 record": locator + 8} {
		changed := slices.Clone(b)
		changed[at]++
		findings, members := scan(t, changed)
		if !slices.Equal(findings, []string{"archive-header-mismatch"}) || !slices.Equal(members, []string{"a=text"}) {
			t.Errorf("%s: %q, %q", name, findings, members)
		}
	}
}

func TestWithin(t *testing.T) {
	one := archive{entries: []entry{stored("a", "text")}}
	behind := archive{entries: one.entries, prefix: "\x89HDF\r\n\x1a\n"}
	for _, test := range []struct {
		name string
		file []byte
		want bool
	}{
		{"archive", one.bytes(), true},
		{"behind another format", behind.bytes(), true},
		{"archive appended as it is", append([]byte("#!/bin/sh\n"), one.bytes()...), true},
		{"empty archive", archive{}.bytes(), false},
		{"short", []byte("PK\x05\x06"), false},
		{"the mark by chance", append(append(make([]byte, 200), "PK\x05\x06\x00\x00\x00\x00\x01\x00\x01\x00\x2e\x00\x00\x00\x10\x00\x00\x00"...), 0, 0), false},
		{"text", []byte(strings.Repeat("text", 100)), false},
	} {
		got, err := zipfile.Within(bytes.NewReader(test.file), int64(len(test.file)))
		if err != nil || got != test.want {
			t.Errorf("%s: %v, %v", test.name, got, err)
		}
	}
}
