package materialize

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/fileid"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/internal/statefile"
)

// recordVersion is raised when the record changes its meaning; another version
// is ignored, like any record that is not understood.
const recordVersion = 1

// record is what a call leaves about a directory for the next one: a cache of
// which bytes are where, and the list of the files that are modseal's.
type record struct {
	Version int           `json:"version"`
	Dir     string        `json:"dir"`
	Digest  digest.Digest `json:"digest"`
	Files   []recordFile  `json:"files"`
	// Layers says how many files a tar layer holds, of those that were unpacked.
	// Only when so many of Files name it is all of it here.
	Layers map[digest.Digest]int `json:"layers,omitempty"`

	files map[string]recordFile
}

type recordFile struct {
	Path   string        `json:"path"`
	Digest digest.Digest `json:"digest"`
	Mode   uint32        `json:"mode"`
	// Layer is the tar layer that the file came from.
	Layer digest.Digest `json:"layer,omitempty"`
	fileid.ID
}

// readRecord returns the record about dir; an empty one when there is none, or
// none that can be believed.
func readRecord(name, dir string) *record {
	none := &record{files: map[string]recordFile{}}
	if name == "" {
		return none
	}
	// A file that looks as the record says is not read: so nobody else may have
	// written it.
	raw, err := statefile.Read(name, limits.StateBytes)
	if err != nil {
		return none
	}
	var r record
	if json.Unmarshal(raw, &r) != nil || r.Version != recordVersion || r.Dir != dir || len(r.Files) > 2*limits.Files {
		return none
	}
	r.files = make(map[string]recordFile, len(r.Files))
	for _, f := range r.Files {
		if checkMemberPath(f.Path) != nil || artifacttypes.ValidateDigest(f.Digest) != nil {
			return none
		}
		r.files[f.Path] = f
	}
	return &r
}

// saveRecord writes the record last: what it says is on disk already.
func (j *job) saveRecord() error {
	if j.options.StateFile == "" {
		return nil
	}
	r := record{Version: recordVersion, Dir: j.dir, Digest: j.digest, Files: []recordFile{}, Layers: j.plan.counts}
	known := map[string]bool{}
	for _, f := range j.plan.files {
		known[f.path] = true
		entry := recordFile{Path: f.path, Digest: f.digest, Mode: uint32(f.mode.Perm()), Layer: f.layer}
		if f.at != nil && !f.loose {
			entry.ID = *f.at
		}
		entry.Size = f.size
		r.Files = append(r.Files, entry)
	}
	for _, f := range j.plan.kept {
		if !known[f.Path] {
			r.Files = append(r.Files, f)
		}
	}
	raw, err := artifacttypes.Marshal(r)
	if err != nil {
		return err
	}
	return replaceFile(j.options.StateFile, append(raw, '\n'))
}

// replaceFile writes a file as a whole, so that a crash leaves the old or the
// new one.
func replaceFile(name string, raw []byte) (err error) {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(raw); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	return errors.Join(syncDir(root, "."), root.Close())
}

// finishPresent learns how the written files look now, for the record, and
// reports the others.
func (j *job) finishPresent() {
	for _, f := range j.plan.files {
		if f.outcome == Reused {
			if f.layer == "" {
				j.progress.Start(f.path, f.size)
				j.progress.Finish(f.path, true)
			}
			continue
		}
		f.loose = true
		info, err := j.root.Lstat(f.path)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		at, trusted := fileid.Of(info)
		// at holds the time of the last write of the staged file: whoever wrote
		// to it since changed that.
		if trusted && f.at != nil && at.MtimeNs == f.at.MtimeNs && at.Size == f.size && at.Inode == f.at.Inode {
			// A change from now on gets another time than what is recorded.
			f.at, f.loose = &at, at.CtimeNs >= j.clock && !at.Settled()
		}
	}
}

// missing reports whether err says that a file is not there.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
