package diff

import (
	"cmp"
	"slices"
)

// File is a layer of an artifact: a file, or a tar of several.
type File struct {
	Path string `json:"path"` // of a tar a label, of no meaning to its content
	Role string `json:"role,omitempty"`
	// Encoding is raw for a file, else how the files of a tar are held.
	Encoding   string `json:"encoding,omitempty"`
	Size       int64  `json:"size"` // in bytes
	Digest     string `json:"digest"`
	Executable bool   `json:"executable,omitempty"`
}

// FileChange is a file that differs.
type FileChange struct {
	Change Change `json:"change"`
	Before *File  `json:"before,omitempty"` // nil: added
	After  *File  `json:"after,omitempty"`  // nil: removed
}

// Path is what the file is called, at last.
func (c FileChange) Path() string {
	if c.After != nil {
		return c.After.Path
	}
	return c.Before.Path
}

// Grown is by how many bytes the file is larger than it was.
func (c FileChange) Grown() int64 {
	var n int64
	if c.After != nil {
		n = c.After.Size
	}
	if c.Before != nil {
		n -= c.Before.Size
	}
	return n
}

// SameBytes reports whether only what is said of the file differs: its path, its
// role, whether it is executable.
func (c FileChange) SameBytes() bool {
	return c.Before != nil && c.After != nil && c.Before.Digest == c.After.Digest
}

// FileChanges is how the files differ.
type FileChanges struct {
	Equal   int          `json:"equal"` // files that are the same on both sides
	Changes []FileChange `json:"changes"`
}

// Files compares files by path and digest. One that has another path and equal
// bytes was renamed; the bytes of an empty file tell nothing, so that it never was.
func Files(a, b []File) FileChanges {
	before, after := byPath(a), byPath(b)
	out := FileChanges{Changes: []FileChange{}}
	var gone, come []File
	for _, f := range a {
		if len(after[f.Path]) == 0 {
			gone = append(gone, f)
		}
	}
	for _, f := range b {
		if len(before[f.Path]) == 0 {
			come = append(come, f)
		}
	}
	for path, old := range before {
		if now := after[path]; len(now) > 0 {
			out.compare(old, now)
		}
	}
	out.rename(gone, come)
	slices.SortFunc(out.Changes, func(x, y FileChange) int {
		return cmp.Or(cmp.Compare(x.Path(), y.Path()), cmp.Compare(x.Change, y.Change), cmp.Compare(x.Grown(), y.Grown()))
	})
	return out
}

// byPath groups files. The path of a file is its own; labels of tars need not be.
func byPath(files []File) map[string][]File {
	out := make(map[string][]File, len(files))
	for _, f := range files {
		out[f.Path] = append(out[f.Path], f)
	}
	return out
}

// compare compares what has one path on both sides, one after the other.
func (c *FileChanges) compare(before, after []File) {
	for i := range max(len(before), len(after)) {
		switch {
		case i >= len(before):
			c.Changes = append(c.Changes, FileChange{Change: Added, After: &after[i]})
		case i >= len(after):
			c.Changes = append(c.Changes, FileChange{Change: Removed, Before: &before[i]})
		case before[i] != after[i]:
			c.Changes = append(c.Changes, FileChange{Change: Changed, Before: &before[i], After: &after[i]})
		default:
			c.Equal++
		}
	}
}

// rename pairs files that are gone with files of the same bytes that came, both in
// the order of their artifacts.
func (c *FileChanges) rename(gone, come []File) {
	byDigest := map[string][]File{}
	for _, f := range gone {
		byDigest[f.Digest] = append(byDigest[f.Digest], f)
	}
	for i := range come {
		f := &come[i]
		if old := byDigest[f.Digest]; f.Size > 0 && len(old) > 0 {
			byDigest[f.Digest] = old[1:]
			c.Changes = append(c.Changes, FileChange{Change: Renamed, Before: &old[0], After: f})
			continue
		}
		c.Changes = append(c.Changes, FileChange{Change: Added, After: f})
	}
	for _, left := range byDigest {
		for i := range left {
			c.Changes = append(c.Changes, FileChange{Change: Removed, Before: &left[i]})
		}
	}
}
