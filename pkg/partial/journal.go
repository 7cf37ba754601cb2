package partial

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/fileid"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// journalSuffix is what the name of a journal has more than that of its data.
const journalSuffix = ".journal"

// newSuffix is what the name of a journal has more until all of it is there.
const newSuffix = ".new"

// journalVersion is raised when the journal changes its meaning; another version
// is ignored, like any journal that is not understood.
const journalVersion = 1

// journal is the first line of a journal file, one JSON object, which is on disk
// before the file gets its name, if it says that anything else is. The lines behind it are what was written since:
// they are not synced, and are believed only on the same boot.
type journal struct {
	Version int `json:"version"`
	// Digest is that of the blob, or the key of the area.
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
	// Boot is that of the machine when the journal was written; empty when the
	// system does not tell.
	Boot string `json:"boot,omitempty"`
	// Durable was on disk before this line was.
	Durable spans `json:"durable,omitempty"`
	// Written may have been in the page cache only.
	Written spans `json:"written,omitempty"`
	// Front is how many bytes from the beginning State is the hash of, while the
	// data file is as ID says, on the same boot: it is the one thing here that no
	// digest proves, and who makes up a whole file system for others to mount
	// cannot know that.
	Front int64      `json:"front,omitempty"`
	State []byte     `json:"state,omitempty"`
	ID    *fileid.ID `json:"id,omitempty"`

	// believed is what counts of all spans.
	believed spans
}

// mostSpans bounds the spans of a journal. A blob of its own has as many as
// connections that brought parts out of order, and never hundreds; an area has at
// most one more for each blob that came while its neighbours did not.
const mostSpans = 1 << 17

// parseJournal returns what raw says about about, of which digest and size count,
// on a machine whose boot is boot, or nil when it says nothing that may be
// believed.
func parseJournal(raw []byte, about ocispec.Descriptor, boot string) *journal {
	line, rest, ok := bytes.Cut(raw, []byte("\n"))
	if !ok {
		return nil
	}
	var j journal
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if dec.Decode(&j) != nil || dec.More() {
		return nil
	}
	if j.Version != journalVersion || j.Digest != about.Digest || j.Size != about.Size ||
		!j.Durable.valid(j.Size) || !j.Written.valid(j.Size) || len(j.Durable)+len(j.Written) > mostSpans {
		return nil
	}
	for _, s := range j.Durable {
		j.believed = j.believed.add(s)
	}
	sameBoot := boot != "" && j.Boot == boot
	if sameBoot {
		for _, s := range j.Written {
			j.believed = j.believed.add(s)
		}
		for len(j.believed) <= mostSpans {
			if line, rest, ok = bytes.Cut(rest, []byte("\n")); !ok {
				break // nothing more, or not all of a line
			}
			s, ok := parseLine(line, j.Size)
			if !ok {
				break
			}
			j.believed = j.believed.add(s)
		}
	}
	if !sameBoot || j.Front < 0 || j.Front > j.believed.end(0) || j.ID == nil || len(j.State) == 0 {
		j.forgetState()
	}
	return &j
}

// forgetState has the bytes hashed again.
func (j *journal) forgetState() { j.Front, j.State, j.ID = 0, nil, nil }

// formatLine is how a span is noted behind the first line.
func formatLine(s Span) []byte {
	text := fmt.Sprintf("%d %d", s.Start, s.End)
	return fmt.Appendf(nil, "%s %08x\n", text, crc32.ChecksumIEEE([]byte(text)))
}

func parseLine(line []byte, size int64) (Span, bool) {
	var s Span
	if n, err := fmt.Sscanf(string(line), "%d %d", &s.Start, &s.End); n != 2 || err != nil {
		return s, false
	}
	same := bytes.Equal(formatLine(s), append(slices.Clone(line), '\n'))
	return s, same && spans{s}.valid(size)
}

// readJournal reads the journal name in root, which is about the files data. A
// missing one, one that is too large or of another user, and what is no file, are
// nil.
func readJournal(root *os.Root, name string, data []fs.FileInfo, about ocispec.Descriptor) *journal {
	info, err := root.Lstat(name + journalSuffix)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	f, err := root.Open(name + journalSuffix)
	if err != nil {
		return nil
	}
	defer f.Close()
	// Of what was opened: the name may have got another file.
	if info, err = f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	shared := othersWrite(info)
	for _, d := range data {
		if !fileid.SameOwner(info, d) {
			return nil
		}
		shared = shared || othersWrite(d)
	}
	raw, err := io.ReadAll(io.LimitReader(f, limits.PartialJournalBytes+1))
	if err != nil || len(raw) > limits.PartialJournalBytes {
		return nil
	}
	j := parseJournal(raw, about, bootID())
	if j != nil && shared {
		j.forgetState()
	}
	return j
}

// othersWrite reports whether others than the owner may write to a file, as all
// may on file systems without modes.
func othersWrite(info fs.FileInfo) bool { return info.Mode().Perm()&0o022 != 0 }

// writeJournal puts j in the place of the journal of name, all of it or nothing,
// and returns the file to add lines to.
func writeJournal(root *os.Root, name string, j *journal) (_ *os.File, err error) {
	raw, err := artifacttypes.Marshal(j)
	if err != nil {
		return nil, err
	}
	temp := name + journalSuffix + newSuffix
	if err := root.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
			_ = root.Remove(temp)
		}
	}()
	if _, err := f.Write(append(raw, '\n')); err != nil {
		return nil, err
	}
	if len(j.Durable) > 0 { // or there is nothing that a power loss could take
		if err := f.Sync(); err != nil {
			return nil, err
		}
	}
	if err := root.Rename(temp, name+journalSuffix); err != nil {
		return nil, err
	}
	return f, nil
}
