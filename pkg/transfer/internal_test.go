package transfer

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/ingest"
)

func TestReceived(t *testing.T) {
	for header, want := range map[string]int64{
		"": 0, "0-0": 0, "0--1": 0, "0-1": 2, "0-4194303": 4194304,
	} {
		if n, ok := received(header); !ok || n != want {
			t.Errorf("%q: %d, %v", header, n, ok)
		}
	}
	for _, header := range []string{"bytes=0-5", "5", "1-5", "0-", "0--2", "0-x", "0-5-6", "0-9223372036854775807", "0-99999999999999999999", " 0-5"} {
		if n, ok := received(header); ok {
			t.Errorf("%q: %d", header, n)
		}
	}
}

func TestTraitsOfHosts(t *testing.T) {
	for host, want := range map[string]fact{
		"europe-docker.pkg.dev": no, "gcr.io": no, "eu.gcr.io": no, "gcr.io:443": no,
		"ghcr.io": yes, "123.dkr.ecr.us-east-1.amazonaws.com": yes, "public.ecr.aws": yes, "acme.azurecr.io": yes,
		"registry.example.com": "", "notgcr.io": "", "gcr.io.example.com": "", "localhost:5000": "", "[::1]:5000": "",
	} {
		if got := traitsOf(host).Stream; got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
	for _, row := range hosts {
		if row.source == "" || !row.valid() {
			t.Errorf("%s: %+v", row.pattern, row)
		}
	}
}

func TestProfilesAreKept(t *testing.T) {
	name := filepath.Join(t.TempDir(), "state", "registries.json")
	p := NewProfiles(name)
	p.learn(t.Context(), "a.example:5000", traits{Stream: no})
	// Another process that read before that.
	q := NewProfiles(name)
	q.learn(t.Context(), "b.example", traits{Resume: keepsBytes})
	p.learn(t.Context(), "a.example:5000", traits{Resume: keepsNothing})
	r := NewProfiles(name)
	if got, want := r.of("a.example:5000"), (traits{Stream: no, Resume: keepsNothing}); got != want {
		t.Errorf("%+v", got)
	}
	if got := r.of("b.example"); got.Resume != keepsBytes {
		t.Errorf("%+v", got)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	// What was learned is above the table, and for a while.
	r.learn(t.Context(), "gcr.io", traits{Stream: yes})
	if got := r.of("gcr.io").Stream; got != yes {
		t.Errorf("gcr.io: %q", got)
	}
	late := NewProfiles(name)
	late.now = func() time.Time { return time.Now().Add(profileLife + time.Hour) }
	if got := late.of("gcr.io").Stream; got != no {
		t.Errorf("gcr.io a month later: %q", got)
	}
	for _, text := range []string{"", "{", `{"version":2,"hosts":{"gcr.io":{"stream":"yes"}}}`, `{"version":1,"hosts":{"gcr.io":{"stream":"maybe","learned":9999}}}`} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := NewProfiles(name).of("gcr.io").Stream; got != no {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// Hashing goes on while sending does, and not far ahead of it.
func TestHasherStaysNearTheSending(t *testing.T) {
	raw := make([]byte, hashWindow+40<<20)
	_, _ = rand.Read(raw[:1<<20])
	name := filepath.Join(t.TempDir(), "w")
	if err := os.WriteFile(name, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	var sent atomic.Int64
	b := ingest.Blob{Name: "w", Size: int64(len(raw)), Open: func() (io.ReadCloser, error) { return os.Open(name) }}
	h := startHasher(t.Context(), b, f, nil, 0, sent.Load)
	defer h.close()
	for h.n.Load() < hashWindow {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond) // when it does not wait, it is done by then
	if n := h.n.Load(); n >= hashWindow+hashBuffer {
		t.Errorf("it is at %d while nothing was sent", n)
	}
	state, at := h.newest()
	if at < stateEvery {
		t.Errorf("no state was taken: %d", at)
	}
	sent.Store(b.Size)
	if d, err := h.finish(t.Context()); err != nil || d != digest.FromBytes(raw) {
		t.Errorf("%s, %v", d, err)
	}
	// From the state another one goes on.
	if f, err = os.Open(name); err != nil {
		t.Fatal(err)
	}
	again := startHasher(t.Context(), b, f, state, at, sent.Load)
	defer again.close()
	if d, err := again.finish(t.Context()); err != nil || d != digest.FromBytes(raw) {
		t.Errorf("from %d: %s, %v", at, d, err)
	}
	// A file of another size is noticed.
	for _, size := range []int64{b.Size - 1, b.Size + 1} {
		c := b
		c.Size = size
		if f, err = os.Open(name); err != nil {
			t.Fatal(err)
		}
		h := startHasher(t.Context(), c, f, nil, 0, sent.Load)
		var changed *ingest.SizeError
		if _, err := h.finish(t.Context()); !errors.As(err, &changed) {
			t.Errorf("%d bytes announced: %v", size, err)
		}
		h.close()
	}
	// And it ends when nobody needs it any more.
	ctx, cancel := context.WithCancelCause(t.Context())
	if f, err = os.Open(name); err != nil {
		t.Fatal(err)
	}
	sent.Store(0)
	last := startHasher(ctx, b, f, nil, 0, sent.Load)
	why := errors.New("enough")
	cancel(why)
	if _, err := last.finish(t.Context()); !errors.Is(err, why) {
		t.Error(err)
	}
	last.close()
}

func TestStaleJournalsAreRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "uploads")
	e := entry{Version: journalVersion, Registry: "h", Repository: "r", Name: "w", Identity: "1-2-3-4-5", Size: 1 << 30}
	write := func(e entry) string {
		j, left, err := openJournal(dir, e)
		if err != nil || left != nil {
			t.Fatalf("%+v, %v", left, err)
		}
		j.write(func(e *entry) { e.Location, e.Started = "http://h/v2/r/blobs/uploads/x", time.Now().Unix() })
		j.close()
		return journalName(dir, e.Registry, e.Repository, e.Identity)
	}
	fresh := write(e)
	e.Identity = "1-2-3-4-6"
	old := write(e)
	e.Repository = "other"
	other := write(e)
	week := time.Now().Add(-journalLife - time.Hour)
	if err := os.Chtimes(old, week, week); err != nil {
		t.Fatal(err)
	}
	// What a process that works on it has locked stays.
	e.Repository, e.Identity = "r", "1-2-3-4-7"
	locked := write(e)
	j, left, err := openJournal(dir, e)
	if err != nil || left == nil || left.Location == "" {
		t.Fatalf("%+v, %v", left, err)
	}
	defer j.close()
	if err := os.Chtimes(locked, week, week); err != nil {
		t.Fatal(err)
	}
	found := leftJournals(dir, "h", "r")
	if len(found) != 1 || found[0].name != fresh {
		t.Errorf("found %+v", found)
	}
	for name, want := range map[string]bool{fresh: true, other: true, locked: true, old: false} {
		if _, err := os.Stat(name); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	j.clear()
	j.close()
	if _, err := os.Stat(locked); err == nil {
		t.Error("a journal with nothing to go on with was left")
	}
}

func FuzzJournal(f *testing.F) {
	good, err := json.Marshal(entry{
		Version: journalVersion, Registry: "h", Repository: "r", Name: "w", Identity: "i", Size: 10, Location: "http://h/x",
		Offset: 5, HashState: []byte("state"), HashOffset: 5, Started: 1_700_000_000,
	})
	if err != nil {
		f.Fatal(err)
	}
	now := time.Unix(1_700_000_100, 0)
	if _, err := parseEntry(good, now); err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(bytes.Replace(good, []byte(`"offset":5`), []byte(`"offset":-5`), 1))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := parseEntry(raw, now)
		if err != nil {
			return
		}
		if e.Offset < 0 || e.Offset > e.Size || e.HashOffset < 0 || e.HashOffset > e.Size || len(e.HashState) > hashStateBytes || e.Location == "" {
			t.Errorf("taken: %+v", e)
		}
	})
}

// Somebody who comes for a blob while another one gives it up does not fail with
// that one: it has an entry of its own, with the lock and the room of the other.
func TestDepositIsGivenUpByOne(t *testing.T) {
	d, err := OpenDepot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	first, second := d.Join(), d.Join()
	desc := ocispec.Descriptor{Digest: digest.FromString("blob"), Size: 4}
	given := first.enter("blob", desc)
	if err := given.acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.reserve(t.Context(), first, given); err != nil {
		t.Fatal(err)
	}
	var late *deposit
	given.started = true
	given.cancel = func(cause error) {
		late = second.enter("blob", desc)
		given.err = cause
		close(given.opened)
		close(given.done)
	}
	first.leave(given, false)
	if late == nil || late == given || late.ended() {
		t.Fatal("the second got what the first gave up")
	}
	if err := late.acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d.used != 0 || d.entries[desc.Digest] != late {
		t.Errorf("%d bytes are reserved, and the entry is not that of the second: %v", d.used, d.entries[desc.Digest])
	}
	second.leave(late, false)
}
