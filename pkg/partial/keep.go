package partial

import (
	"encoding"
	"errors"
	"fmt"
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

	// Guarded by File.mu.
	fresh      spans // written, and not in the journal
	freshBytes int64
	dirty      int64 // bytes written since the last sync
	synced     time.Time

	mu      sync.Mutex // of the journal; before File.mu
	durable spans
	log     *os.File
}

func (k *keeper) begin(f *File) {
	k.quit, k.synced = make(chan struct{}), time.Now()
	if f.taken > 0 {
		// Lines can be added to a journal of this boot only, that has no torn one.
		k.mu.Lock()
		_ = k.rewrite(f)
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
			k.add(f)
			k.sync(f)
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
// came to the journal. f.mu is held.
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
func (k *keeper) add(f *File) {
	if !k.mu.TryLock() {
		return
	}
	defer k.mu.Unlock()
	if k.log == nil {
		_ = k.rewrite(f)
		return
	}
	var lines []byte
	for _, s := range k.take(f) {
		lines = append(lines, formatLine(s)...)
	}
	_, _ = k.log.Write(lines)
}

func (k *keeper) take(f *File) spans {
	f.mu.Lock()
	defer f.mu.Unlock()
	fresh := k.fresh
	k.fresh, k.freshBytes = nil, 0
	return fresh
}

// sync puts what was written on disk when it is time to, and the journal after it.
func (k *keeper) sync(f *File) {
	f.mu.Lock()
	due := k.dirty >= syncEvery || k.dirty > 0 && time.Since(k.synced) >= syncEveryTime
	written := slices.Clone(f.written)
	if due {
		k.dirty, k.synced = 0, time.Now()
	}
	f.mu.Unlock()
	if !due {
		return
	}
	if err := syncData(f.data); err != nil {
		f.lose(fmt.Errorf("%s: what was written did not get to the disk: %w", f.label(), err))
		return
	}
	if syncDir(f.root, path.Dir(f.name)) != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.durable = written
	_ = k.rewrite(f)
}

// rewrite replaces the journal by one that has all there is to say. k.mu is held.
func (k *keeper) rewrite(f *File) error {
	k.take(f)
	f.mu.Lock()
	j := &journal{Durable: k.durable, Written: slices.Clone(f.written)}
	f.mu.Unlock()
	return k.write(f, j)
}

func (k *keeper) write(f *File, j *journal) error {
	j.Version, j.Digest, j.Size, j.Boot = journalVersion, f.desc.Digest, f.desc.Size, bootID()
	log, err := writeJournal(f.root, f.name, j)
	if err != nil {
		return err
	}
	if k.log != nil {
		_ = k.log.Close()
	}
	k.log = log
	return nil
}

// last writes the journal of a file that is given up, with the state of the hash.
// Nobody waits for the disk: what was not synced counts until the machine is
// started again.
func (k *keeper) last(f *File) error {
	j := &journal{Durable: k.durable, Written: f.written}
	if m, ok := f.sum.(encoding.BinaryMarshaler); ok && f.hashed > 0 && f.failed == nil {
		if state, err := m.MarshalBinary(); err == nil && f.stamp() == nil {
			if info, err := f.data.Stat(); err == nil {
				if id, trusted := fileid.Of(info); trusted {
					j.Front, j.State, j.ID = f.hashed, state, &id
				}
			}
		}
	}
	err := k.write(f, j)
	if k.log != nil {
		err = errors.Join(err, k.log.Close())
		k.log = nil
	}
	return err
}

// takeUp opens what an earlier process left and reports whether there is
// something to go on with.
func (f *File) takeUp() bool {
	info, err := f.root.Lstat(f.name)
	if err != nil || !info.Mode().IsRegular() || info.Size() != f.desc.Size || isLinked(info) || !isOwn(f.root, f.name, info) {
		return false
	}
	j := readJournal(f.root, f.name, info, f.desc)
	if j == nil || len(j.believed) == 0 {
		return false
	}
	data, err := f.root.OpenFile(f.name, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	opened, err := data.Stat()
	if err != nil || !os.SameFile(info, opened) {
		_ = data.Close()
		return false
	}
	f.data, f.clean = data, false
	f.begun, f.written, f.taken = slices.Clone(j.believed), j.believed, j.believed.total()
	f.keeper = keeper{durable: j.Durable}
	f.sum = f.desc.Digest.Algorithm().Hash()
	f.claimed, f.hashed = 0, 0
	if id, trusted := fileid.Of(opened); trusted && j.ID != nil && *j.ID == id {
		if u, ok := f.sum.(encoding.BinaryUnmarshaler); ok && u.UnmarshalBinary(j.State) == nil {
			f.claimed, f.hashed = j.Front, j.Front
		} else {
			f.sum.Reset()
		}
	}
	// Now that it was looked at: it is in use, and not old any more.
	_ = f.root.Chtimes(f.name, time.Time{}, time.Now())
	return true
}

// Kept returns how many bytes of desc an Open of name would take up.
func Kept(root *os.Root, name string, desc ocispec.Descriptor) int64 {
	info, err := root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() != desc.Size {
		return 0
	}
	j := readJournal(root, name, info, desc)
	if j == nil {
		return 0
	}
	return j.believed.total()
}
