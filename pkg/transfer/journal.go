package transfer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/internal/statefile"
	"github.com/modseal/modseal/pkg/remote"
)

// A journal is what the next process needs to go on with an upload: a file that
// this one has locked as long as it works on it, so that no session ever has
// two writers (registries.md §1.4).
type journal struct {
	mu   sync.Mutex
	file *statefile.File // nil when it is over
	entry
	live    bool // it says where to go on
	written time.Time
}

// entry is a journal as it is on disk.
type entry struct {
	Version    int    `json:"version"`
	Registry   string `json:"registry"`
	Repository string `json:"repository"`
	Name       string `json:"name"`
	Identity   string `json:"identity"`
	Size       int64  `json:"size"`
	Location   string `json:"location"`
	Offset     int64  `json:"offset"` // acknowledged; only the registry's word counts
	HashState  []byte `json:"hashState,omitempty"`
	HashOffset int64  `json:"hashOffset,omitempty"`
	Mode       Mode   `json:"mode"`
	Started    int64  `json:"started"` // Unix time
}

const (
	journalVersion = 1
	// resumeFrom is the size of the smallest blob that is worth to be gone on
	// with: less is sent again in the time that asking takes. The journal of a
	// smaller one serves to cancel what a killed process left at the registry.
	resumeFrom = 8 << 20
	// journalEvery is how often a journal is written while nothing happens.
	journalEvery = 10 * time.Second
	// journalLife is how long a journal is kept: registries drop sessions after
	// a week at the latest.
	journalLife = 7 * 24 * time.Hour
	// hashStateBytes bounds the state of a SHA-256.
	hashStateBytes = 256
)

// journalName returns where the journal of an upload is below dir. All those of
// a repository begin with the same text.
func journalName(dir, host, repository, identity string) string {
	return filepath.Join(dir, repositoryPrefix(host, repository)+short(identity)+".json")
}

func repositoryPrefix(host, repository string) string { return short(host+"/"+repository) + "-" }

func short(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:12])
}

// openJournal locks the journal of an upload and returns what an earlier process
// left in it, or nil. Nothing of it is believed that could cost more than time.
func openJournal(dir string, e entry) (*journal, *entry, error) {
	name := journalName(dir, e.Registry, e.Repository, e.Identity)
	file, err := statefile.Lock(name)
	if err != nil {
		return nil, nil, err
	}
	// What is there stays until something else is written, or the upload ends.
	j := &journal{file: file, entry: e}
	raw, err := file.Read(limits.JournalBytes)
	if err != nil {
		return j, nil, nil //nolint:nilerr // it is replaced
	}
	left, notOne := parseEntry(raw, time.Now())
	if notOne != nil || left.Registry != e.Registry || left.Repository != e.Repository || left.Identity != e.Identity || left.Size != e.Size {
		return j, nil, nil //nolint:nilerr // what is not a journal is replaced
	}
	return j, left, nil
}

var errNotAJournal = errors.New("not a journal of an upload")

// parseEntry reads a journal that may have been written by anybody.
func parseEntry(raw []byte, now time.Time) (*entry, error) {
	var e entry
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, errNotAJournal
	}
	age := now.Sub(time.Unix(e.Started, 0))
	if e.Version != journalVersion || e.Location == "" || e.Identity == "" || e.Size <= 0 || age > journalLife || age < 0 {
		return nil, errNotAJournal
	}
	if e.Offset < 0 || e.Offset > e.Size || e.HashOffset < 0 || e.HashOffset > e.Size || len(e.HashState) > hashStateBytes {
		return nil, errNotAJournal
	}
	return &e, nil
}

// location returns the address of the session of e, if it is one of the
// registry: a journal must not send credentials elsewhere.
func (e *entry) location(repo *remote.Repository) (*url.URL, bool) {
	u, err := url.Parse(e.Location)
	if err != nil || u.User != nil || !remote.SameOrigin(repo.URL(), u) {
		return nil, false
	}
	return u, strings.HasPrefix(u.Path, "/")
}

// write puts the journal on disk as change makes it. That it cannot be written
// costs no more than that the next process begins anew.
func (j *journal) write(change func(e *entry)) {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return
	}
	change(&j.entry)
	raw, err := artifacttypes.Marshal(j.entry)
	replace := j.file.Replace
	if j.Size < resumeFrom {
		replace = j.file.ReplaceLoosely
	}
	if err == nil && len(raw) <= limits.JournalBytes && replace(raw) == nil {
		j.live = true
	}
	j.written = time.Now()
}

// clear says that there is nothing to go on with, as yet.
func (j *journal) clear() {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.live, j.Started, j.HashState, j.HashOffset = false, 0, nil, 0
}

// due reports whether it is time to write the journal again.
func (j *journal) due() bool {
	if j == nil {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.file != nil && !j.written.IsZero() && time.Since(j.written) >= journalEvery
}

// remove ends the journal: there is nothing left to go on with.
func (j *journal) remove() {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file != nil {
		_ = j.file.Remove()
		j.file = nil
	}
}

// close leaves the journal, if anything was written, to the next process.
func (j *journal) close() {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.file == nil:
		return
	case j.live:
		_ = j.file.Close()
	default:
		_ = j.file.Remove()
	}
	j.file = nil
}

// leftJournal is a journal that nobody may come back to.
type leftJournal struct {
	name string
	entry
}

// leftJournals removes what is too old from dir, and returns what other
// processes left of uploads to the repository.
func leftJournals(dir, host, repository string) []leftJournal {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(limits.Journals) // some of a directory that cannot be read are as good
	var left []leftJournal
	for _, base := range names {
		name := filepath.Join(dir, base)
		if info, err := os.Lstat(name); err != nil || time.Since(info.ModTime()) > journalLife {
			removeUnlocked(name)
			continue
		}
		if !strings.HasPrefix(base, repositoryPrefix(host, repository)) || !strings.HasSuffix(base, ".json") {
			continue
		}
		if raw, err := statefile.Read(name, limits.JournalBytes); err == nil {
			if e, err := parseEntry(raw, time.Now()); err == nil && e.Registry == host && e.Repository == repository {
				left = append(left, leftJournal{name, *e})
			}
		}
	}
	return left
}

// removeUnlocked removes a journal that no process works on.
func removeUnlocked(name string) {
	if f, err := statefile.Lock(name); err == nil {
		_ = f.Remove()
	}
}
