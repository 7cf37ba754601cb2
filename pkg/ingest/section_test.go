package ingest_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/modseal/modseal/pkg/ingest"
)

func sectionOf(t *testing.T, content string, offset, size int64) (*ingest.Section, string, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "archive")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	s, err := ingest.NewSection(f, offset, size)
	return s, name, err
}

func TestSection(t *testing.T) {
	s, _, err := sectionOf(t, "before|the blob|behind", 7, 8)
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(s, []byte("the blob")); err != nil {
		t.Error(err)
	}
	if info, err := s.Stat(); err != nil || info.Size() != 8 || !info.Mode().IsRegular() {
		t.Errorf("Stat: %v, %v", info, err)
	}
	if n, err := s.ReadAt(make([]byte, 20), 4); n != 4 || !errors.Is(err, io.EOF) {
		t.Errorf("ReadAt at 4 of 8 = %d, %v", n, err)
	}
	if _, err := s.Seek(-1, io.SeekStart); err == nil {
		t.Error("Seek went before the section")
	}
}

// What others do with the descriptor is where the section is.
func TestSectionFollowsItsDescriptor(t *testing.T) {
	s, _, err := sectionOf(t, "before|the blob|behind", 7, 8)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Seek(4, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(got, []byte("blob")) {
		t.Errorf("read %q, %v", got, err)
	}
	if at, err := s.Seek(0, io.SeekCurrent); at != 8 || err != nil {
		t.Errorf("it is at %d, %v", at, err)
	}
}

func TestSectionBeyondItsFile(t *testing.T) {
	for _, c := range []struct{ offset, size int64 }{{7, 16}, {30, 0}, {-1, 2}, {1, -2}, {1, 1<<63 - 1}} {
		if _, _, err := sectionOf(t, "before|the blob|behind", c.offset, c.size); err == nil {
			t.Errorf("a section of %d bytes at %d of 22", c.size, c.offset)
		}
	}
	s, name, err := sectionOf(t, "before|the blob|behind", 7, 8)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, 10); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(s); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("of a file that was cut: %q, %v", got, err)
	}
}

// A section that is opened leaves the file to others, whatever its name has become.
func TestOpenSection(t *testing.T) {
	name := filepath.Join(t.TempDir(), "archive")
	if err := os.WriteFile(name, []byte("before|the blob|behind"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Rename(name, name+".moved"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte("a file of somebody else"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := ingest.OpenSection(f, 7, 8)
	if runtime.GOOS != "linux" {
		if err == nil {
			t.Error("another file was opened")
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(s); err != nil || string(got) != "the blob" {
		t.Errorf("read %q, %v", got, err)
	}
	if at, err := f.Seek(0, io.SeekCurrent); at != 0 || err != nil {
		t.Errorf("the file is at %d now, %v", at, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := f.Stat(); err != nil {
		t.Errorf("the file was closed too: %v", err)
	}
}
