package referrer_test

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"

	"github.com/modseal/modseal/pkg/referrer"
	"github.com/modseal/modseal/pkg/remote"
)

// tagged matches requests of the list under the fallback tag.
func tagged(r *http.Request, method string, subject ocispec.Descriptor) bool {
	return r.Method == method && strings.HasSuffix(r.URL.Path, "/manifests/"+referrer.FallbackTag(subject.Digest))
}

// pushEntries stores manifests that refer to subject, and lists them nowhere.
func pushEntries(t *testing.T, repo *remote.Repository, subject ocispec.Descriptor, names ...string) []referrer.Entry {
	t.Helper()
	var entries []referrer.Entry
	for _, n := range names {
		raw := manifest(t, &subject, n)
		entries = append(entries, referrer.Entry{Descriptor: push(t, repo, ocispec.MediaTypeImageManifest, raw), Raw: raw})
	}
	return entries
}

// writeList puts a list with one entry under the fallback tag, as somebody else
// does.
func writeList(t *testing.T, repo *remote.Repository, subject ocispec.Descriptor, entries ...referrer.Entry) {
	t.Helper()
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, e := range entries {
		index.Manifests = append(index.Manifests, e.Descriptor)
	}
	desc := push(t, repo, ocispec.MediaTypeImageIndex, marshal(t, index))
	if err := repo.Tag(t.Context(), desc, referrer.FallbackTag(subject.Digest)); err != nil {
		t.Error(err)
	}
}

// Many referrers are one change of the list.
func TestAdd(t *testing.T) {
	var subject ocispec.Descriptor
	var puts atomic.Int32
	repo := newRepository(t, newRegistry(t, false, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if tagged(r, http.MethodPut, subject) {
			puts.Add(1)
		}
		next.ServeHTTP(w, r)
	}))
	subject = newSubject(t, repo)
	entries := pushEntries(t, repo, subject, "a", "b", "c")
	for range 2 { // the second time there is nothing to do
		if err := referrer.Add(t.Context(), repo, subject, entries...); err != nil {
			t.Fatal(err)
		}
	}
	nodes, err := referrer.List(t.Context(), repo, subject)
	if err != nil || len(nodes) != 3 || puts.Load() != 1 {
		t.Errorf("%d listed, %v, after %d changes", len(nodes), err, puts.Load())
	}
	// What belongs elsewhere is not listed here.
	other := newSubject(t, repo)
	other.Digest = entries[0].Descriptor.Digest
	var foreign *referrer.NotListedError
	if err := referrer.Add(t.Context(), repo, other, entries...); !errors.As(err, &foreign) {
		t.Errorf("err = %v", err)
	}
}

// A list that somebody else writes between our reading and our writing is read
// again.
func TestListThatChangesMeanwhile(t *testing.T) {
	var subject ocispec.Descriptor
	var change func()
	var done atomic.Bool
	host := newRegistry(t, false, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(w, r)
		if change != nil && tagged(r, http.MethodHead, subject) && done.CompareAndSwap(false, true) {
			change() // after the first look at the tag
		}
	})
	repo, others := newRepository(t, host), newRepository(t, host)
	subject = newSubject(t, repo)
	entries := pushEntries(t, repo, subject, "first", "theirs", "ours")
	writeList(t, others, subject, entries[0])
	change = func() { writeList(t, others, subject, entries[:2]...) }
	if err := referrer.Add(t.Context(), repo, subject, entries[2]); err != nil {
		t.Fatal(err)
	}
	nodes, err := referrer.List(t.Context(), repo, subject)
	if err != nil || len(nodes) != 3 {
		t.Errorf("%d of 3 listed, %v", len(nodes), err)
	}
}

// A list that somebody else writes after ours, and read before it, lacks our entry:
// it is added again, and theirs stays.
func TestListThatIsOverwritten(t *testing.T) {
	var subject ocispec.Descriptor
	var overwrite func()
	var done atomic.Bool
	host := newRegistry(t, false, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(w, r)
		if overwrite != nil && tagged(r, http.MethodPut, subject) && done.CompareAndSwap(false, true) {
			overwrite()
		}
	})
	repo, others := newRepository(t, host), newRepository(t, host)
	subject = newSubject(t, repo)
	entries := pushEntries(t, repo, subject, "theirs", "ours")
	overwrite = func() { writeList(t, others, subject, entries[0]) }
	if err := referrer.Add(t.Context(), repo, subject, entries[1]); err != nil {
		t.Fatal(err)
	}
	nodes, err := referrer.List(t.Context(), repo, subject)
	if err != nil || len(nodes) != 2 {
		t.Errorf("%d of 2 listed, %v", len(nodes), err)
	}
}

// Where the client has a directory for locks, processes take turns: nobody writes
// to a list that another one is about to write.
func TestLocksOfAMachine(t *testing.T) {
	dir := t.TempDir() + "/locks"
	var inside, most, unlocked atomic.Int32
	var subject ocispec.Descriptor
	host := newRegistry(t, false, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !tagged(r, http.MethodPut, subject) {
			next.ServeHTTP(w, r)
			return
		}
		if n := inside.Add(1); n > most.Load() {
			most.Store(n)
		}
		if held, err := os.ReadDir(dir); err != nil || len(held) != 1 {
			unlocked.Add(1)
		}
		next.ServeHTTP(w, r)
		inside.Add(-1)
	})
	first := newRepository(t, host)
	subject = newSubject(t, first)
	entries := pushEntries(t, first, subject, "0", "1", "2", "3", "4", "5")
	var running sync.WaitGroup
	for _, e := range entries {
		repo := lockedRepository(t, host, dir)
		running.Go(func() {
			if err := referrer.Add(t.Context(), repo, subject, e); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	nodes, err := referrer.List(t.Context(), first, subject)
	if err != nil || len(nodes) != len(entries) || most.Load() != 1 || unlocked.Load() != 0 {
		t.Errorf("%d of %d listed, %v, with %d writing at once, %d of them without the lock", len(nodes), len(entries), err, most.Load(), unlocked.Load())
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	// A directory that cannot be made is no reason not to write.
	if err := os.WriteFile(dir+"-file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	more := pushEntries(t, first, subject, "more")
	if err := referrer.Add(t.Context(), lockedRepository(t, host, dir+"-file/locks"), subject, more...); err != nil {
		t.Error(err)
	}
}

func lockedRepository(t *testing.T, host, dir string) *remote.Repository {
	t.Helper()
	c, err := remote.NewClient(remote.Options{LockDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	repo, err := c.Repository(registry.Reference{Registry: host, Repository: "team/model"})
	if err != nil {
		t.Fatal(err)
	}
	return repo
}
