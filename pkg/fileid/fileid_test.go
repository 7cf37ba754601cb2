//go:build unix

package fileid_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/modseal/modseal/pkg/fileid"
)

func identify(t *testing.T, name string) fileid.ID {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	id, trusted := fileid.Of(info)
	if !trusted {
		t.Fatal("a file of this system is not to be trusted")
	}
	return id
}

// Every way to change a file gives it another identity, also the one that
// programs use to hide it.
func TestEveryChangeShows(t *testing.T) {
	name := filepath.Join(t.TempDir(), "weights")
	if err := os.WriteFile(name, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := identify(t, name)
	if before.Settled() {
		t.Error("settled in the moment it was written")
	}
	time.Sleep(2 * fileid.ClockTick)
	if !before.Settled() {
		t.Error("not settled after two ticks")
	}
	if again := identify(t, name); again != before || again.String() != before.String() {
		t.Errorf("%v, and untouched %v", before, again)
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte("after!"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(name, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	after := identify(t, name)
	if after == before || after.String() == before.String() {
		t.Error("a change of the same length with the time set back does not show")
	}
	if after.MtimeNs != before.MtimeNs {
		t.Error("the modification time was not set back: this test shows nothing")
	}
}
