package archive

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// partsSuffix is what the name of a list of parts has more than that of the
// archive.
var partsSuffix = PartsName("")

// partsBase returns the name of the archive of which path is the list of parts.
func partsBase(path string) (base string, ok bool) {
	base, ok = strings.CutSuffix(path, partsSuffix)
	return base, ok && filepath.Base(base) != "" && !strings.HasSuffix(base, string(filepath.Separator))
}

// partBase returns the name of the archive of which path may be a part, and which
// one; -1 when it is none.
func partBase(path string) (base string, i int) {
	ext := filepath.Ext(path)
	if len(ext) < 4 {
		return "", -1
	}
	n, err := strconv.ParseUint(ext[1:], 10, 16)
	base = strings.TrimSuffix(path, ext)
	if err != nil || PartName(base, int(n)) != path {
		return "", -1
	}
	return base, int(n)
}

// openParts opens all parts of the set whose list is at path. The error is a
// *PartsError that names all that cannot be used.
func (p *pieces) openParts(path string, set *Parts, beside []string) error {
	e := &PartsError{Path: path, Set: set.Set, Parts: len(set.Parts)}
	for _, part := range set.Parts {
		f, problem := openPart(part, append([]string{filepath.Dir(path)}, beside...))
		if problem != nil {
			e.Bad = append(e.Bad, *problem)
			continue
		}
		p.add(f, part.Size)
	}
	if len(e.Bad) > 0 {
		return e
	}
	return nil
}

// openPart opens a part in the first of the directories that has it, if it has the
// right size.
func openPart(part Part, dirs []string) (*os.File, *PartProblem) {
	problem := &PartProblem{Name: part.Name, Kind: PartMissing, Want: part.Size}
	for _, dir := range dirs {
		path := filepath.Join(dir, part.Name)
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		f, size, err := openRegular(path)
		if err == nil && size == part.Size {
			return f, nil
		}
		problem.Size = size
		switch {
		case info != nil && !info.Mode().IsRegular():
			problem.Kind = PartNoFile
		case err != nil:
			problem.Kind, problem.Err = PartUnreadable, err.Error()
		case size < part.Size:
			problem.Kind = PartShort
		default:
			problem.Kind = PartLong
		}
		if f != nil {
			_ = f.Close()
		}
		return nil, problem
	}
	return nil, problem
}
