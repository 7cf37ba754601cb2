package tarfile_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/tarfile"
)

type member struct {
	tar.Header
	data string
}

func file(name, data string) member {
	return member{tar.Header{Name: name, Mode: 0o644, Typeflag: tar.TypeReg}, data}
}

// archive writes members with archive/tar, and the end.
func archive(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		m.Size = int64(len(m.data))
		if err := w.WriteHeader(&m.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sum writes the checksum of a header anew.
func sum(b []byte) []byte {
	copy(b[148:156], "        ")
	n := 0
	for _, c := range b[:512] {
		n += int(c)
	}
	copy(b[148:156], fmt.Sprintf("%06o\x00 ", n))
	return b
}

// patch overwrites a part of the first header.
func patch(b []byte, at int, with string) []byte {
	b = slices.Clone(b)
	copy(b[at:], with)
	return sum(b)
}

func scan(t testing.TB, c hazard.Content) (findings, members []string) {
	t.Helper()
	err := tarfile.Scan(t.Context(), c, func(f hazard.Finding) {
		if hazard.RuleOf(f.Rule).ID == "" {
			t.Errorf("no rule %q", f.Rule)
		}
		findings = append(findings, strings.TrimSpace(f.Severity.String()+" "+f.Rule+" "+f.Subject))
	}, func(_ context.Context, m hazard.Content) error {
		r, err := m.Open()
		if err != nil {
			return err
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		members = append(members, m.Name+"="+string(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return findings, members
}

// sparse is a member of GNU's old form: 5 bytes at 3 of 10.
func sparse(t testing.TB) []byte {
	b := archive(t, file("holes", "abcde"))
	b[156] = tar.TypeGNUSparse
	copy(b[257:], "ustar  \x00")
	copy(b[386:], "00000000003\x0000000000005\x00")
	copy(b[483:], "00000000012\x00")
	return sum(b)
}

func TestScan(t *testing.T) {
	whole := archive(t, file("a", "text"))
	link := member{tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, ""}
	hard := member{tar.Header{Name: "h", Typeflag: tar.TypeLink, Linkname: "a"}, ""}
	long := strings.Repeat("d/", 60) + "name"
	tests := []struct {
		name              string
		file              []byte
		findings, members []string
	}{
		{"files", archive(t, file("a", "text"), file("b/c", "more")), nil, []string{"a=text", "b/c=more"}},
		{"empty", archive(t), nil, nil},
		{"directories", archive(t, member{tar.Header{Name: "./", Typeflag: tar.TypeDir}, ""}, member{tar.Header{Name: "./d/", Typeflag: tar.TypeDir}, ""}, file("./d/a", "b")), nil, []string{"./d/a=b"}},
		{"long name", archive(t, member{tar.Header{Name: long, Format: tar.FormatPAX}, "x"}), nil, []string{long + "=x"}},
		{"long name of GNU", archive(t, member{tar.Header{Name: long, Format: tar.FormatGNU}, "x"}), nil, []string{long + "=x"}},
		{"links", archive(t, link, hard), []string{"high archive-link l", "high archive-link h"}, nil},
		{"device", archive(t, member{tar.Header{Name: "null", Typeflag: tar.TypeChar}, ""}), []string{"high archive-special null"}, nil},
		{"block device", archive(t, member{tar.Header{Name: "sda", Typeflag: tar.TypeBlock}, ""}), []string{"high archive-special sda"}, nil},
		{"pipe", archive(t, member{tar.Header{Name: "p", Typeflag: tar.TypeFifo}, ""}), []string{"high archive-special p"}, nil},
		{"leads up", archive(t, file("../a", "x")), []string{"high archive-unsafe-name ../a"}, []string{"../a=x"}},
		{"leads up inside", archive(t, file("a/../../b", "x")), []string{"high archive-unsafe-name a/../../b"}, []string{"a/../../b=x"}},
		{"absolute", archive(t, file("/etc/a", "x")), []string{"high archive-unsafe-name /etc/a"}, []string{"/etc/a=x"}},
		{"twice", archive(t, file("a", "1"), file("./a", "2")), []string{"medium archive-duplicate-member ./a"}, []string{"a=1", "./a=2"}},
		{"unknown type", patch(whole, 156, "Z"), nil, []string{"a=text"}},
		{"sparse", sparse(t), nil, []string{"holes=\x00\x00\x00abcde\x00\x00"}},
		{"wrong checksum", append([]byte("b"), whole[1:]...), []string{"high archive-malformed"}, nil},
		{"size is no number", patch(whole, 124, "00000000xyz"), []string{"high archive-malformed"}, nil},
		{"size is negative", patch(whole, 124, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"), []string{"high archive-malformed"}, nil},
		{"size is beyond the file", patch(whole, 124, "00777777777"), []string{"high archive-malformed a", "high archive-malformed"}, []string{"a=" + string(whole[512:])}},
		{"size of 2^60", patch(whole, 124, "\x80\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00"), []string{"high archive-malformed a", "high archive-malformed"}, []string{"a=" + string(whole[512:])}},
		{"cut in the data", whole[:514], []string{"high archive-malformed a", "high archive-malformed"}, []string{"a=te"}},
		{"cut in the header", whole[:100], []string{"high archive-malformed"}, nil},
		{"text", []byte(strings.Repeat("text", 500)), []string{"high archive-malformed"}, nil},
		{"attributes that are none", archive(t, member{tar.Header{Name: strings.Repeat("é", 150), Format: tar.FormatPAX}, ""})[:600], []string{"high archive-malformed"}, nil},
		{"zeros behind", append(slices.Clone(whole), make([]byte, 5000)...), nil, []string{"a=text"}},
		{"something behind", append(slices.Clone(whole), "\x80\x04N."...), []string{"medium archive-unlisted-bytes"}, []string{"a=text", fmt.Sprintf("bytes-at-%d=\x80\x04N.", len(whole))}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			stream := hazard.Content{Size: -1, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(test.file)), nil }}
			for _, c := range []hazard.Content{hazard.OfFile("a.tar", bytes.NewReader(test.file), int64(len(test.file))), stream} {
				findings, members := scan(t, c)
				if diff := cmp.Diff(test.findings, findings); diff != "" {
					t.Errorf("findings (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(test.members, members); diff != "" {
					t.Errorf("members (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// What is no archive, or stops being one, is said and never passed over.
func TestScanMalformed(t *testing.T) {
	whole := archive(t, file("a", "text"))
	two := archive(t, file("a", "text"), file("b", "more"))
	second := func(at int, with string) []byte {
		b := slices.Clone(two)
		copy(b[1024:], patch(b[1024:], at, with))
		return b
	}
	const invalid = "archive-malformed : the tar breaks the rules of its format: archive/tar: invalid tar header at "
	const cut = "archive-malformed : the tar breaks the rules of its format: unexpected EOF at "
	pax := func(record string) []byte {
		b := archive(t, file("a", record), file("b", "x"))
		return patch(b, 156, "x")
	}
	for _, test := range []struct {
		name    string
		file    []byte
		want    string
		members []string
	}{
		{"text", []byte(strings.Repeat("text", 500)), invalid + "0", nil},
		{"less than a header", whole[:100], cut + "100", nil},
		{"one byte less than a header", whole[:511], cut + "511", nil},
		{"checksum of another header", append([]byte("b"), whole[1:]...), invalid + "0", nil},
		{"checksum is no number", append(append(slices.Clone(whole[:148]), "xxxxxxxx"...), whole[156:]...), invalid + "0", nil},
		{"checksum is empty", append(append(slices.Clone(whole[:148]), make([]byte, 8)...), whole[156:]...), invalid + "0", nil},
		{"size is no number", patch(whole, 124, "00000000xyz"), invalid + "0", nil},
		{"size has a sign", patch(whole, 124, "-0000000004"), invalid + "0", nil},
		{"size is negative", patch(whole, 124, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"), invalid + "0", nil},
		{"size of 2^95", patch(whole, 124, "\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), invalid + "0", nil},
		{"size of 2^60", patch(whole, 124, "\x80\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00"), "archive-malformed a: the member of 1152921504606846976 bytes ends beyond the tar of 2048 bytes at 512; " + cut + "2048", []string{"a"}},
		{"size is beyond the file", patch(whole, 124, "00777777777"), "archive-malformed a: the member of 134217727 bytes ends beyond the tar of 2048 bytes at 512; " + cut + "2048", []string{"a"}},
		{"mode is no number", patch(whole, 100, "rw-r--r"), invalid + "0", nil},
		{"time is no number", patch(whole, 136, "yesterday!!"), invalid + "0", nil},
		{"owner is no number", patch(whole, 108, "nobody!"), invalid + "0", nil},
		{"cut in the data", whole[:514], "archive-malformed a: the member of 4 bytes ends beyond the tar of 514 bytes at 512; " + cut + "514", []string{"a"}},
		{"cut in the second header", two[:1100], cut + "1100", []string{"a"}},
		{"second header is none", second(0, "\xff")[:1536], "archive-unsafe-name \xff: the name is not UTF-8 at 1536; archive-malformed \xff: the member of 4 bytes ends beyond the tar of 1536 bytes at 1536; " + cut + "1536", []string{"a", "\xff"}},
		{"second size is no number", second(124, "9999999999z"), invalid + "1024", []string{"a"}},
		{"record without a length", pax("path=b\n"), invalid + "512", nil},
		{"record longer than it is", pax("99 path=b\n"), invalid + "512", nil},
		{"record without a line feed", pax("9 path=bc"), invalid + "512", nil},
		{"record without a key", pax("5 =b\n"), invalid + "512", nil},
		{"record of a size that is none", pax("10 size=x\n"), invalid + "1024", nil},
		{"record with a zero byte in a name", pax("12 path=a\x00b\n"), invalid + "512", nil},
		{"records are cut", archive(t, member{tar.Header{Name: strings.Repeat("é", 150), Format: tar.FormatPAX}, ""})[:600], cut + "600", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			var members []string
			err := tarfile.Scan(t.Context(), hazard.OfFile("a.tar", bytes.NewReader(test.file), int64(len(test.file))), func(f hazard.Finding) {
				got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s: %s at %d", f.Rule, f.Subject, f.Message, f.Offset)))
			}, func(_ context.Context, m hazard.Content) error {
				members = append(members, m.Name)
				r, err := m.Open()
				if err != nil {
					return err
				}
				_, err = io.Copy(io.Discard, r)
				return err
			})
			if d := cmp.Diff(test.want, strings.Join(got, "; ")); err != nil || d != "" {
				t.Error(err, d)
			}
			if d := cmp.Diff(test.members, members); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestScanPassesErrorsOn(t *testing.T) {
	failure := errors.New("the cable was pulled")
	b := archive(t, file("a", strings.Repeat("x", 2000)))
	c := hazard.OfFile("a.tar", failing{bytes.NewReader(b), failure}, int64(len(b)))
	err := tarfile.Scan(t.Context(), c, func(f hazard.Finding) { t.Errorf("%+v", f) }, func(context.Context, hazard.Content) error { return nil })
	if !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
}

// failing reads the first header.
type failing struct {
	r   *bytes.Reader
	err error
}

func (f failing) ReadAt(b []byte, at int64) (int, error) {
	if at >= 512 {
		return 0, f.err
	}
	return f.r.ReadAt(b, at)
}

func TestScanMemory(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := range tarfile.MaxMembers + 1 {
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprintf("%d", i), Format: tar.FormatUSTAR}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	before, peak, n := heap(), uint64(0), 0
	var findings []string
	err := tarfile.Scan(t.Context(), hazard.OfFile("a.tar", bytes.NewReader(b.Bytes()), int64(b.Len())), func(f hazard.Finding) {
		findings = append(findings, f.Rule)
	}, func(context.Context, hazard.Content) error {
		if n++; n%30_000 == 0 {
			peak = max(peak, heap())
		}
		return nil
	})
	if err != nil || n != tarfile.MaxMembers || !slices.Equal(findings, []string{"archive-members"}) {
		t.Errorf("%d members, %q, %v", n, findings, err)
	}
	if got := int64(peak) - int64(before); got > 32<<20 {
		t.Errorf("%d bytes are held", got)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func FuzzScan(f *testing.F) {
	f.Add(archive(f, file("a", "text"), file("b/c", "more")))
	f.Add(archive(f, member{tar.Header{Name: strings.Repeat("d/", 60) + "name", Format: tar.FormatPAX}, "x"}))
	f.Add(sparse(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := hazard.OfFile("a.tar", bytes.NewReader(b), int64(len(b)))
		var total int64
		err := tarfile.Scan(t.Context(), c, func(hazard.Finding) {}, func(_ context.Context, m hazard.Content) error {
			r, err := m.Open()
			if err != nil {
				return err
			}
			defer r.Close()
			n, err := io.CopyN(io.Discard, r, 1<<20)
			if total += n; m.At != nil && n > int64(len(b)) {
				t.Errorf("%q has %d of %d bytes", m.Name, n, len(b))
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
