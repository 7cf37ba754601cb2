package archive_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/archive"
)

// splitInto writes raw as parts of size bytes, below dir, and returns their list.
func splitInto(t testing.TB, dir, base string, raw []byte, size int) *archive.Parts {
	t.Helper()
	set := &archive.Parts{MediaType: artifacttypes.MediaTypeArchiveParts, Size: int64(len(raw)), PartSize: int64(size)}
	for part := range slices.Chunk(raw, size) {
		name := archive.PartName(base, len(set.Parts))
		set.Parts = append(set.Parts, archive.Part{Name: name, Size: int64(len(part)), SHA256: digest.FromBytes(part).Encoded()})
		mustWrite(t, filepath.Join(dir, name), part)
	}
	set.Set = set.ID()
	list, err := set.Encode()
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, filepath.Join(dir, archive.PartsName(base)), list)
	return set
}

func mustWrite(t testing.TB, name string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(name, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

func mustCheck(t testing.TB, path string, o archive.CheckOptions) *archive.Report {
	t.Helper()
	r, err := archive.Check(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// kinds returns what was found in the place of each part.
func kinds(r *archive.Report) []archive.PartKind {
	var out []archive.PartKind
	for _, p := range r.Parts {
		out = append(out, p.Kind)
	}
	return out
}

func TestCheckNamesEveryBadPart(t *testing.T) {
	s := newSmall()
	raw := tarOf(s.entries())
	other := tarOf(insert(s.entries(), indexName, entry{name: "manifest.json", data: []byte("[]")}))
	const good, size = archive.PartGood, 1400
	part := func(dir string, i int) string { return filepath.Join(dir, archive.PartName("x.tar", i)) }
	for _, tt := range []struct {
		name   string
		do     func(t *testing.T, dir string)
		kinds  []archive.PartKind
		holds  string
		rename []archive.Rename
		again  []string
		unread bool
	}{
		{name: "all good", do: func(*testing.T, string) {}, kinds: []archive.PartKind{good, good, good, good, good}},
		{
			name: "a byte flipped", do: func(t *testing.T, dir string) { flip(t, part(dir, 3), 7) },
			kinds: []archive.PartKind{good, good, good, archive.PartChanged, good}, again: []string{"x.tar.003"},
		},
		{
			name: "missing", do: func(t *testing.T, dir string) { mustRemove(t, part(dir, 1)) },
			kinds: []archive.PartKind{good, archive.PartMissing, good, good, good}, again: []string{"x.tar.001"}, unread: true,
		},
		{
			name: "one twice", do: func(t *testing.T, dir string) { mustWrite(t, part(dir, 2), readFile(t, part(dir, 1))) },
			kinds: []archive.PartKind{good, good, archive.PartOther, good, good}, holds: "x.tar.001", again: []string{"x.tar.002"},
		},
		{
			name: "two exchanged", do: func(t *testing.T, dir string) {
				a, b := readFile(t, part(dir, 1)), readFile(t, part(dir, 2))
				mustWrite(t, part(dir, 1), b)
				mustWrite(t, part(dir, 2), a)
			},
			kinds: []archive.PartKind{good, archive.PartOther, archive.PartOther, good, good}, holds: "x.tar.002",
			rename: []archive.Rename{{From: "x.tar.001", To: "x.tar.002"}, {From: "x.tar.002", To: "x.tar.001"}},
		},
		{
			name: "the last in another place", do: func(t *testing.T, dir string) {
				mustWrite(t, part(dir, 0), readFile(t, part(dir, 4)))
				mustRemove(t, part(dir, 4))
			},
			kinds: []archive.PartKind{archive.PartOther, good, good, good, archive.PartMissing}, holds: "x.tar.004",
			rename: []archive.Rename{{From: "x.tar.000", To: "x.tar.004"}}, again: []string{"x.tar.000"}, unread: true,
		},
		{
			name: "of another archive", do: func(t *testing.T, dir string) {
				set := splitInto(t, dir, "y.tar", other, size)
				mustWrite(t, part(dir, 2), readFile(t, filepath.Join(dir, set.Parts[4].Name))[:size])
				mustWrite(t, part(dir, 3), readFile(t, filepath.Join(dir, set.Parts[3].Name)))
			},
			kinds: []archive.PartKind{good, good, archive.PartForeign, archive.PartForeign, good}, holds: "y.tar.004",
			again: []string{"x.tar.002", "x.tar.003"},
		},
		{
			name: "cut off", do: func(t *testing.T, dir string) { mustWrite(t, part(dir, 1), readFile(t, part(dir, 1))[:5]) },
			kinds: []archive.PartKind{good, archive.PartShort, good, good, good}, again: []string{"x.tar.001"}, unread: true,
		},
		{
			name: "too long", do: func(t *testing.T, dir string) {
				mustWrite(t, part(dir, 1), append(readFile(t, part(dir, 1)), 'x'))
			},
			kinds: []archive.PartKind{good, archive.PartLong, good, good, good}, again: []string{"x.tar.001"}, unread: true,
		},
		{
			name: "a directory in its place", do: func(t *testing.T, dir string) {
				mustRemove(t, part(dir, 1))
				if err := os.Mkdir(part(dir, 1), 0o700); err != nil {
					t.Fatal(err)
				}
			},
			kinds: []archive.PartKind{good, archive.PartNoFile, good, good, good}, again: []string{"x.tar.001"}, unread: true,
		},
		{
			name: "many at once", do: func(t *testing.T, dir string) {
				flip(t, part(dir, 0), 1200)
				mustRemove(t, part(dir, 2))
				mustWrite(t, part(dir, 4), nil)
			},
			kinds: []archive.PartKind{archive.PartChanged, good, archive.PartMissing, good, archive.PartShort},
			again: []string{"x.tar.000", "x.tar.002", "x.tar.004"}, unread: true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			set := splitInto(t, dir, "x.tar", raw, size)
			if len(set.Parts) != 5 {
				t.Fatalf("%d parts", len(set.Parts))
			}
			tt.do(t, dir)
			r := mustCheck(t, filepath.Join(dir, "x.tar.004"), archive.CheckOptions{Concurrency: 2})
			if diff := cmp.Diff(tt.kinds, kinds(r)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.rename, r.Rename); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.again, r.Again); diff != "" {
				t.Error(diff)
			}
			i := slices.IndexFunc(r.Parts, func(p archive.PartProblem) bool { return p.Holds != "" })
			if (i >= 0) != (tt.holds != "") || i >= 0 && r.Parts[i].Holds != tt.holds {
				t.Errorf("holds: %+v", r.Parts)
			}
			if tt.unread && r.Unread == "" || r.Err != nil || r.Good() != (tt.again == nil && tt.rename == nil) {
				t.Errorf("unread %q, good %v", r.Unread, r.Good())
			}
			openedWhere(t, dir, tt.unread)
		})
	}
}

// Wherever the cut lies, a part of another archive is a part to be brought again,
// and no verdict on who made the whole: that would be another exit code.
func TestCheckBlamesPartsFirst(t *testing.T) {
	s := newSmall()
	raw := tarOf(s.entries())
	other := tarOf(insert(s.entries(), indexName, entry{name: "manifest.json", data: []byte("[]")}))
	unread := 0
	for size := 500; size < len(raw); size += 137 {
		for i := range len(raw) / size {
			dir := t.TempDir()
			splitInto(t, dir, "x.tar", raw, size)
			name := archive.PartName("x.tar", i)
			if theirs := other[i*size : (i+1)*size]; !bytes.Equal(theirs, raw[i*size:(i+1)*size]) {
				mustWrite(t, filepath.Join(dir, name), theirs)
			} else {
				continue
			}
			r := mustCheck(t, filepath.Join(dir, name), archive.CheckOptions{})
			if r.Good() || r.Err != nil || !slices.Equal(r.Again, []string{name}) {
				t.Errorf("part %d of %d bytes: again %q, %v", i, size, r.Again, r.Err)
			}
			if r.Unread != "" {
				unread++
			}
		}
	}
	if unread == 0 {
		t.Error("no cut made the whole unreadable: this test shows nothing")
	}
}

// openedWhere compares what Open and CheckParts say of the set.
func openedWhere(t *testing.T, dir string, sizesDiffer bool) {
	t.Helper()
	a, err := archive.Open(t.Context(), filepath.Join(dir, "x.tar"), archive.OpenOptions{})
	var parts *archive.PartsError
	var unreadable *archive.Error
	if errors.As(err, &parts) != sizesDiffer {
		t.Errorf("open: %v", err)
	}
	if errors.As(err, &unreadable) && !strings.Contains(unreadable.Next, "modseal check") {
		t.Errorf("open: %v; next: %s", err, unreadable.Next)
	}
	if err != nil {
		return
	}
	defer a.Close()
	r := mustCheck(t, filepath.Join(dir, "x.tar"), archive.CheckOptions{PartsOnly: true})
	err = a.CheckParts(t.Context(), archive.CheckOptions{})
	if errors.As(err, &parts) == r.Good() {
		t.Errorf("the parts: %v and %+v", err, r)
	}
	if parts != nil && !strings.Contains(err.Error(), parts.Bad[0].String()) {
		t.Errorf("%v", err)
	}
}

func mustRemove(t testing.TB, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}

// A blob that is damaged is named with what it is and where it lies.
func TestCheckNamesEveryBadBlob(t *testing.T) {
	s := newSmall()
	list := change(s.entries(), blobOf(s.layer).name, func(e *entry) { e.data = []byte("THE layer") })
	at := offset(list, blobOf(s.layer).name) + 512
	raw := tarOf(list)
	want := []archive.BlobProblem{{Digest: digest.FromBytes(s.layer), Size: int64(len(s.layer)), Path: "model.bin", Offset: at}}

	file := put(t, "x.tar", raw)
	r := mustCheck(t, file, archive.CheckOptions{})
	want[0].Files = []string{"x.tar"}
	if diff := cmp.Diff(want, r.Damaged); diff != "" || r.Good() || !slices.Equal(r.Again, []string{"x.tar"}) || r.Blobs != 3 {
		t.Errorf("%+v\n%s", r, diff)
	}

	dir := t.TempDir()
	splitInto(t, dir, "x.tar", raw, int(at)+4) // in the middle of the blob
	r = mustCheck(t, filepath.Join(dir, "x.tar"), archive.CheckOptions{})
	want[0].Files = []string{"x.tar.000", "x.tar.001"}
	if diff := cmp.Diff(want, r.Damaged); diff != "" || r.Good() || r.Again != nil {
		t.Errorf("%+v\n%s", r, diff)
	}
	if r := mustCheck(t, filepath.Join(dir, "x.tar"), archive.CheckOptions{PartsOnly: true}); !r.Good() || r.Unread == "" {
		t.Errorf("only the parts: %+v", r)
	}
}

// A blob that is not there is missing, unless the archive says that it is left out.
func TestCheckOfWhatIsLeftOut(t *testing.T) {
	for _, said := range []bool{false, true} {
		s := newSmall()
		if said {
			s.own(strings.TrimSuffix(s.says(nil), "}")+`,"omitted":[`+string(mustJSON(archive.Omitted{
				Digest: digest.FromBytes(s.layer), Size: int64(len(s.layer)), MediaType: "x", Path: "model.bin",
				Artifact: digest.FromBytes(s.manifest), Reason: archive.OmittedBase, From: "example.com/base:v1",
			}))+`]}`, nil)
			s.others = append(s.others, blobOf([]byte("{}")))
			s.others = slices.CompactFunc(s.others, func(a, b entry) bool { return a.name == b.name })
		}
		list := slices.DeleteFunc(s.entries(), func(e entry) bool { return e.name == blobOf(s.layer).name })
		seen := map[string]bool{}
		list = slices.DeleteFunc(list, func(e entry) bool { defer func() { seen[e.name] = true }(); return seen[e.name] })
		file := put(t, "x.tar", tarOf(list))
		r := mustCheck(t, file, archive.CheckOptions{})
		if r.Good() != said || (len(r.Missing) == 0) != said || (r.Omitted == 1) != said {
			t.Errorf("said %v: %+v", said, r)
		}
		a, err := archive.Open(t.Context(), file, archive.OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		missing, err := a.Missing(t.Context())
		if err != nil || len(missing) != 1 || missing[0].Descriptor.Digest != digest.FromBytes(s.layer) ||
			missing[0].Manifest != digest.FromBytes(s.manifest) || (missing[0].Omitted != nil) != said {
			t.Errorf("said %v: %+v, %v", said, missing, err)
		}
		if said && missing[0].Omitted.From != "example.com/base:v1" {
			t.Errorf("%+v", missing[0].Omitted)
		}
	}
}

// What is no archive is told apart from one that was damaged, and neither ends the
// check with an error.
func TestCheckOfWhatIsNoArchive(t *testing.T) {
	raw := tarOf(newSmall().entries())
	r := mustCheck(t, put(t, "x.tar", raw[:2000]), archive.CheckOptions{})
	if r.Good() || r.Problem == "" || !slices.Equal(r.Again, []string{"x.tar"}) {
		t.Errorf("cut off: %+v", r)
	}
	r = mustCheck(t, put(t, "x.tar", tarOf([]entry{{name: "/etc/passwd"}})), archive.CheckOptions{})
	if r.Good() || r.Problem == "" || r.Again != nil {
		t.Errorf("hostile: %+v", r)
	}
	if _, err := archive.Check(t.Context(), filepath.Join(t.TempDir(), "x.tar"), archive.CheckOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// cancelling cancels once something has begun to be read.
type cancelling struct {
	sync.Once
	cancel context.CancelFunc
}

func (*cancelling) Plan(int, int64)       {}
func (c *cancelling) Start(string, int64) { c.Do(c.cancel) }
func (*cancelling) Advance(string, int64) {}
func (*cancelling) Reuse(string, int64)   {}
func (*cancelling) Finish(string, bool)   {}

func TestCheckIsCancelled(t *testing.T) {
	dir := t.TempDir()
	raw := tarOf(newSmall().entries())
	splitInto(t, dir, "x.tar", raw, 1400)
	for _, path := range []string{filepath.Join(dir, "x.tar"), put(t, "y.tar", raw)} {
		ctx, cancel := context.WithCancel(t.Context())
		r, err := archive.Check(ctx, path, archive.CheckOptions{Concurrency: 1, Progress: &cancelling{cancel: cancel}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %+v, %v", path, r, err)
		}
	}
}

// moved counts what a Reporter is told.
type moved struct {
	mu                       sync.Mutex
	files, started, finished int
	planned, bytes           int64
}

func (m *moved) Plan(files int, bytes int64) { m.files += files; m.planned += bytes }
func (m *moved) Start(string, int64)         { m.mu.Lock(); m.started++; m.mu.Unlock() }
func (m *moved) Advance(_ string, n int64)   { m.mu.Lock(); m.bytes += n; m.mu.Unlock() }
func (m *moved) Reuse(string, int64)         {}
func (m *moved) Finish(string, bool)         { m.mu.Lock(); m.finished++; m.mu.Unlock() }

func TestCheckTellsWhatItReads(t *testing.T) {
	dir := t.TempDir()
	s := newSmall()
	raw := tarOf(s.entries())
	splitInto(t, dir, "x.tar", raw, 1400)
	var m moved
	mustCheck(t, filepath.Join(dir, "x.tar"), archive.CheckOptions{Progress: &m})
	want := int64(len(raw) + len(s.layer) + len(s.config) + len(s.manifest))
	if m.files != 5+3 || m.started != 8 || m.finished != 8 || m.planned != want || m.bytes != want {
		t.Errorf("%+v, want %d bytes", &m, want)
	}
}
