package partial

import (
	"encoding"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/fileid"
)

// What a file is worth to the next process.
const (
	// A smaller blob gets a journal only when it is suspended.
	keepFrom = 4 << 20
	// After so many bytes, or so much time, the journal learns what was written.
	logEvery     = 1 << 20
	logEveryTime = time.Second
	// After so many bytes, or so much time, what was written is put on disk and
	// the journal says so.
	syncEvery     = 256 << 20
	syncEveryTime = 5 * time.Second
)

// keeper writes the journal of a file beside the transfer. That something cannot
// be kept is no reason to fail: without a journal the next process starts over. A
// disk that does not take the bytes is one.
type keeper struct {
	quit chan struct{} // nil when nothing is kept before the end
	done sync.WaitGroup

	// Guarded by Area.mu.
	fresh      spans // written, and not in the journal
	freshBytes int64
	dirty      int64 // bytes written since the last sync
	synced     time.Time

	mu      sync.Mutex // of the journal; before Area.mu
	durable spans
	log     *os.File
}

func (k *keeper) begin(a *Area) {
	k.quit, k.synced = make(chan struct{}), time.Now()
	if a.taken > 0 {
		// Lines can be added to a journal of this boot only, that has no torn one.
		k.mu.Lock()
		_ = k.rewrite(a)
		k.mu.Unlock()
	}
	k.done.Go(func() {
		tick := time.NewTicker(logEveryTime)
		defer tick.Stop()
		for {
			select {
			case <-k.quit:
				return
			case <-tick.C:
			}
			k.add(a)
			k.sync(a)
		}
	})
}

func (k *keeper) end() {
	if k.quit != nil {
		close(k.quit)
		k.done.Wait()
		k.quit = nil
	}
	if k.log != nil {
		_ = k.log.Close()
		k.log = nil
	}
}

// note takes a span that was written, and reports whether it is time to add what
// came to the journal. a.mu is held.
func (k *keeper) note(s Span) (due bool) {
	k.dirty += s.Len()
	if k.quit == nil {
		return false
	}
	k.fresh = k.fresh.add(s)
	k.freshBytes += s.Len()
	return k.freshBytes >= logEvery
}

// add adds what was written to the journal. It does not wait for one that is being
// put on disk: what comes meanwhile is added with the next.
func (k *keeper) add(a *Area) {
	if !k.mu.TryLock() {
		return
	}
	defer k.mu.Unlock()
	if k.log == nil {
		_ = k.rewrite(a)
		return
	}
	var lines []byte
	for _, s := range k.take(a) {
		lines = append(lines, formatLine(s)...)
	}
	_, _ = k.log.Write(lines)
}

func (k *keeper) take(a *Area) spans {
	a.mu.Lock()
	defer a.mu.Unlock()
	fresh := k.fresh
	k.fresh, k.freshBytes = nil, 0
	return fresh
}

// sync puts what was written on disk when it is time to, and the journal after it.
func (k *keeper) sync(a *Area) {
	a.mu.Lock()
	due := k.dirty >= syncEvery || k.dirty > 0 && time.Since(k.synced) >= syncEveryTime
	written := slices.Clone(a.written)
	if due {
		k.dirty, k.synced = 0, time.Now()
	}
	a.mu.Unlock()
	if !due {
		return
	}
	if err := a.data.Each(syncData); err != nil {
		a.lose(fmt.Errorf("%s: what was written did not get to the disk: %w", a.what, err))
		return
	}
	if SyncDir(a.root, path.Dir(a.name)) != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.durable = written
	_ = k.rewrite(a)
}

// forget makes the journal say no more that what is in w is there.
func (k *keeper) forget(a *Area, w Span) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.durable = slices.Clone(k.durable).remove(w)
	_ = k.rewrite(a)
}

// rewrite replaces the journal by one that has all there is to say. k.mu is held.
func (k *keeper) rewrite(a *Area) error {
	k.take(a)
	a.mu.Lock()
	j := &journal{Durable: k.durable}
	for _, s := range a.written {
		j.Written = append(j.Written, k.durable.lacks(s)...)
	}
	a.mu.Unlock()
	return k.write(a, j)
}

func (k *keeper) write(a *Area, j *journal) error {
	j.Version, j.Digest, j.Size, j.Boot = journalVersion, a.about.Digest, a.about.Size, bootID()
	log, err := writeJournal(a.root, a.name, j)
	if err != nil {
		return err
	}
	if k.log != nil {
		_ = k.log.Close()
	}
	k.log = log
	return nil
}

// last writes the journal of what is given up, with the state of the hash when f is
// a blob that has the area alone. Nobody waits for the disk: what was not synced counts
// until the machine is started again.
func (k *keeper) last(a *Area, f *File) error {
	j := &journal{Durable: k.durable, Written: a.written}
	if f != nil {
		f.keepState(j)
	}
	err := k.write(a, j)
	if k.log != nil {
		err = errors.Join(err, k.log.Close())
		k.log = nil
	}
	return err
}

// keepState puts the state of the hash into j.
func (f *File) keepState(j *journal) {
	m, ok := f.sum.(encoding.BinaryMarshaler)
	if !ok || f.hashed == 0 || f.failed != nil {
		return
	}
	state, err := m.MarshalBinary()
	if err != nil || f.area.stamp() != nil {
		return
	}
	info, err := f.area.data.First().Stat()
	if err != nil {
		return
	}
	if id, trusted := fileid.Of(info); trusted {
		j.Front, j.State, j.ID = f.hashed, state, &id
	}
}

// goOn takes up the state of the hash, if the journal has one that may be believed.
func (f *File) goOn(j *journal) {
	opened, err := f.area.data.First().Stat()
	if err != nil {
		return
	}
	if id, trusted := fileid.Of(opened); trusted && j.ID != nil && *j.ID == id {
		if u, ok := f.sum.(encoding.BinaryUnmarshaler); ok && u.UnmarshalBinary(j.State) == nil {
			f.claimed, f.hashed = j.Front, j.Front
		} else {
			f.sum.Reset()
		}
	}
	// Now that it was looked at: it is in use, and not old any more.
	_ = f.area.root.Chtimes(f.area.name, time.Time{}, time.Now())
}

// Kept returns how many bytes of desc an Open of name would take up.
func Kept(root *os.Root, name string, desc ocispec.Descriptor) int64 {
	info, err := root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() != desc.Size {
		return 0
	}
	j := readJournal(root, name, []fs.FileInfo{info}, desc)
	if j == nil {
		return 0
	}
	return j.believed.total()
}
