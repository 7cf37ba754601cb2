package digestcache

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

func open(t *testing.T) (*Cache, string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("no state is kept on Windows")
	}
	name := filepath.Join(t.TempDir(), "state", "digests")
	return Open(name), name
}

func flush(t *testing.T, c *Cache) {
	t.Helper()
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

var one, two = digest.FromString("one"), digest.FromString("two")

func TestWhatIsRemembered(t *testing.T) {
	c, name := open(t)
	c.Remember("1-2-3", one)
	c.Remember("4-5-6", two)
	c.Saw("r.example:5000", "team/a", one)
	c.Saw("r.example:5000", "team/b", one)
	c.Saw("other.example", "team/c", one)
	flush(t, c)
	c = Open(name)
	if got := c.Digest("1-2-3"); got != one {
		t.Errorf("%q", got)
	}
	if got := c.Digest("7-8-9"); got != "" {
		t.Errorf("%q of what nobody hashed", got)
	}
	if got, want := c.Where("r.example:5000", "team/x", one), []string{"team/b", "team/a"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := c.Where("r.example:5000", "team/a", two); got != nil {
		t.Errorf("%v", got)
	}
	if got, want := c.Where("r.example:5000", "team/b", one), []string{"team/a"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for i := range 2 * placesKept {
		c.Saw("r.example:5000", fmt.Sprint("team/", i), one)
	}
	if got := c.Where("r.example:5000", "", one); len(got) != placesKept || got[0] != fmt.Sprint("team/", 2*placesKept-1) {
		t.Errorf("%v", got)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestNilRemembersNothing(t *testing.T) {
	var c *Cache
	c.Remember("1", one)
	c.Saw("h", "r", one)
	c.Forget("1", one)
	if c.Digest("1") != "" || c.Where("h", "", one) != nil || c.Flush(t.Context()) != nil {
		t.Error("it does")
	}
}

// What cannot be a word of the file is not remembered, instead of becoming
// another entry.
func TestOddNames(t *testing.T) {
	c, name := open(t)
	for _, odd := range []string{"", "a b", "a\nf x " + two.Encoded() + " 1", "a\t", strings.Repeat("x", maxToken+1)} {
		c.Remember(odd, one)
		c.Saw(odd, "r", one)
		c.Saw("h", odd, one)
	}
	c.Remember("1", digest.FromString("x").Algorithm().FromString("x")+"x")
	c.Remember("2", digest.SHA512.FromString("x"))
	c.Remember("3", one)
	flush(t, c)
	if c = Open(name); c.Digest("3") != one || len(c.files) != 1 || len(c.places) != 0 {
		t.Errorf("%v, %v", c.files, c.places)
	}
}

// Processes that know different things lose nothing of each other.
func TestManyProcesses(t *testing.T) {
	_, name := open(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			c := Open(name)
			for n := range 5 {
				c.Remember(fmt.Sprintf("%d-%d", i, n), digest.FromString(fmt.Sprint(i, n)))
				c.Saw("h", fmt.Sprintf("r%d", i%3), one)
				if err := c.Flush(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	c := Open(name)
	for i := range 8 {
		for n := range 5 {
			if got := c.Digest(fmt.Sprintf("%d-%d", i, n)); got != digest.FromString(fmt.Sprint(i, n)) {
				t.Errorf("%d-%d: %q", i, n, got)
			}
		}
	}
	if got := c.Where("h", "", one); len(got) != 3 {
		t.Errorf("%v", got)
	}
}

// What turned out to be wrong does not come back from the disk.
func TestForget(t *testing.T) {
	c, name := open(t)
	c.Remember("1", one)
	flush(t, c)
	c.Forget("1", one)
	flush(t, c)
	if got := Open(name).Digest("1"); got != "" {
		t.Errorf("%q", got)
	}
	c.Remember("1", two)
	flush(t, c)
	if got := Open(name).Digest("1"); got != two {
		t.Errorf("%q", got)
	}
}

func TestDamagedCachesAreIgnored(t *testing.T) {
	c, name := open(t)
	c.Remember("1", one)
	c.Saw("h", "r", one)
	flush(t, c)
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for what, raw := range map[string][]byte{
		"empty":           {},
		"cut":             good[:len(good)-10],
		"another version": bytes.Replace(good, []byte("digests 1"), []byte("digests 2"), 1),
		"another digest":  bytes.Replace(good, []byte(one.Encoded()), []byte(two.Encoded()), 1),
		"longer":          append(bytes.Clone(good), "f 2 "+one.Encoded()+" 1\n"...),
		"no cache at all": []byte("{}"),
	} {
		if err := os.WriteFile(name, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		c := Open(name)
		if got := c.Digest("1"); got != "" {
			t.Errorf("%s: %q", what, got)
		}
		// It is replaced.
		c.Remember("2", two)
		flush(t, c)
		if got := Open(name).Digest("2"); got != two {
			t.Errorf("%s: %q afterwards", what, got)
		}
	}
	if err := os.WriteFile(name, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, 0o666); err != nil {
		t.Fatal(err)
	}
	if got := Open(name).Digest("1"); got != "" {
		t.Errorf("a file that everybody writes is believed: %q", got)
	}
}

func TestTheOldestGoFirst(t *testing.T) {
	c, _ := open(t)
	day := time.Unix(1_700_000_000, 0)
	c.now = func() time.Time { return day }
	for i := range 40 {
		c.Remember(fmt.Sprint(i), digest.FromString(fmt.Sprint(i)))
		c.Saw("h", "r", digest.FromString(fmt.Sprint(i)))
		day = day.Add(24 * time.Hour)
	}
	if c.Digest("0") == "" { // used again
		t.Fatal("0 is gone")
	}
	c.trim(20)
	if len(c.files) != 20 || c.Digest("0") == "" || c.Digest("1") != "" || c.Digest("39") == "" {
		t.Errorf("%d entries: %v", len(c.files), c.files)
	}
	if n := len(c.places); n != 20/placesKept || c.Where("h", "", digest.FromString("39")) == nil {
		t.Errorf("%d places", n)
	}
}

// FuzzDecode: whatever is read is written so that it reads the same. The sum at the end
// is made right, since no fuzzer finds it.
func FuzzDecode(f *testing.F) {
	d := newDigests()
	d.files["1-2-3"] = entry{one, 20000}
	d.see(place{"h", two}, seen{"r", 1})
	d.see(place{"h", two}, seen{"s", -2})
	raw := d.encode()
	f.Add(raw[len(header):bytes.LastIndex(raw, []byte("sum "))])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, lines []byte) {
		raw := append([]byte(header), lines...)
		sum := sha256.Sum256(raw)
		d, err := decode(fmt.Appendf(raw, "sum %x\n", sum))
		if err != nil {
			if !errors.Is(err, errFormat) {
				t.Fatal(err)
			}
			return
		}
		written := d.encode()
		again, err := decode(written)
		if err != nil || !maps.Equal(again.files, d.files) || !maps.EqualFunc(again.places, d.places, slices.Equal) {
			t.Fatalf("%q reads otherwise: %v", written, err)
		}
		if !bytes.Equal(again.encode(), written) {
			t.Fatalf("%q is written otherwise", written)
		}
	})
}
