package zipfile_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/zipfile"
)

// A directory of the most members and the longest names, and one that announces more
// than there are, fit the memory.
func TestReadHostileMemory(t *testing.T) {
	var many, long archive
	for i := range zipfile.MaxMembers {
		many.entries = append(many.entries, stored(fmt.Sprintf("archive/data/%d", i), ""))
	}
	many.zip64 = true
	for i := range 120 {
		long.entries = append(long.entries, stored(strings.Repeat(string(rune('a'+i%26)), 65_000)+fmt.Sprint(i), ""))
	}
	for name, b := range map[string][]byte{
		"100,000 members": many.bytes(),
		"names of 8 MiB":  long.bytes(),
		"2^60 members":    archive{count: 1 << 60, zip64: true}.bytes(),
	} {
		before := heap()
		peak := before
		c := hazard.OfFile("a", bytes.NewReader(b), int64(len(b)))
		n := 0
		err := zipfile.Scan(t.Context(), c, func(hazard.Finding) {}, func(context.Context, hazard.Content) error {
			if n++; n%40_000 == 1 {
				peak = max(peak, heap())
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := peak - before; got > 32<<20 {
			t.Errorf("%s: %d bytes are held", name, got)
		}
	}
}

// heap returns how many bytes are in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestReadMembersCap(t *testing.T) {
	a := archive{zip64: true}
	for range zipfile.MaxMembers + 1 {
		a.entries = append(a.entries, stored("", ""))
	}
	b := a.bytes()
	_, err := zipfile.Read(bytes.NewReader(b), int64(len(b)))
	if err == nil || !strings.HasSuffix(err.Error(), "100001 members are more than 100000") {
		t.Error(err)
	}
}

// Every byte of an archive belongs to a member, to the directory, or to a finding. Where
// nothing is found, archive/zip reads no member that was not visited.
func FuzzScan(f *testing.F) {
	later := stored("a/b", "text")
	later.flags = zipfile.FlagDescriptor
	for _, a := range []archive{
		{entries: []entry{stored("m/data.pkl", "pickle"), deflated("m/version", "3")}},
		{entries: []entry{later, stored("b", "more")}, zip64: true, comment: "hello"},
		{entries: []entry{stored("a", "1"), stored("a", "2")}, prefix: "\x80\x02N.", hidden: []string{"b"}},
		{entries: []entry{stored("a", "1"), stored("b", "2")}, hidden: []string{"b"}, gap: "gap"},
	} {
		f.Add(a.bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := hazard.OfFile("a.zip", bytes.NewReader(b), int64(len(b)))
		findings, members := 0, 0
		visited := map[string]string{}
		err := zipfile.Scan(t.Context(), c, func(f hazard.Finding) {
			if findings++; f.Offset > int64(len(b)) {
				t.Errorf("finding at byte %d of %d: %+v", f.Offset, len(b), f)
			}
		}, func(_ context.Context, m hazard.Content) error {
			members++
			r, err := m.Open()
			if err != nil {
				return err
			}
			defer r.Close()
			content, err := io.ReadAll(r)
			visited[m.Name] = string(content)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		a, err := zipfile.Read(bytes.NewReader(b), int64(len(b)))
		if _, breach := errors.AsType[*zipfile.Error](err); err != nil && !breach {
			t.Fatal(err)
		}
		if err != nil && findings == 0 {
			t.Error("neither an archive nor a finding")
		}
		if err != nil || findings > 0 {
			return
		}
		if len(a.Members) < members {
			t.Errorf("%d members were visited, the directory has %d", members, len(a.Members))
		}
		for name, content := range readByOthers(b) {
			if got, ok := visited[name]; !ok || got != content {
				t.Errorf("archive/zip reads %q in %q; visited: %t, with %q", content, name, ok, got)
			}
		}
	})
}

// readByOthers returns the members that archive/zip reads, without empty ones.
func readByOthers(b []byte) map[string]string {
	read := map[string]string{}
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil
	}
	for _, f := range r.File {
		file, err := f.Open()
		if err != nil {
			continue
		}
		if content, err := io.ReadAll(file); err == nil && len(content) > 0 {
			read[f.Name] = string(content)
		}
		_ = file.Close()
	}
	return read
}
