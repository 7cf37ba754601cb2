package statement

import (
	"path"
	"slices"
	"strings"
)

// DefaultIgnorePaths returns the paths that OMS never signs, sorted: what git
// keeps at the top level of a directory. Below a subdirectory they are signed.
func DefaultIgnorePaths() []string {
	return []string{".git", ".gitattributes", ".github", ".gitignore"}
}

// Ignored reports whether the file at p, relative to the model, is left out of
// an OMS manifest with these ignorePaths: because p or one of its directories is
// among them or among [DefaultIgnorePaths]. Entries are compared exactly; there
// are no wildcards.
func Ignored(p string, ignorePaths []string) bool {
	return slices.ContainsFunc(DefaultIgnorePaths(), func(e string) bool { return covers(e, p) }) ||
		slices.ContainsFunc(ignorePaths, func(e string) bool { return covers(e, p) })
}

// Subtrees are paths, each with what is below it. Paths are compared exactly;
// there are no wildcards.
type Subtrees map[string]struct{}

// NewSubtrees returns the subtrees at paths; a slash at the end of one says
// nothing.
func NewSubtrees(paths ...string) Subtrees {
	s := Subtrees{}
	for _, p := range paths {
		if p = strings.TrimSuffix(p, "/"); p != "" {
			s[p] = struct{}{}
		}
	}
	return s
}

// Hold reports whether p is one of the paths or below one.
func (s Subtrees) Hold(p string) bool {
	for {
		if _, ok := s[p]; ok {
			return true
		}
		i := strings.LastIndexByte(p, '/')
		if i < 0 {
			return false
		}
		p = p[:i]
	}
}

func covers(entry, p string) bool {
	entry = strings.TrimSuffix(entry, "/")
	rest, ok := strings.CutPrefix(p, entry)
	return ok && entry != "" && (rest == "" || rest[0] == '/')
}

// everything reports whether an ignore path would leave out the whole model,
// which would make any content pass.
func everything(entry string) bool {
	clean := path.Clean(entry)
	return entry == "" || clean == "." || clean == "/"
}
