package artifacttypes

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Bounds of a file path in a model, in bytes: those of the file systems that
// the path must be written to.
const (
	MaxPathBytes      = 4096
	MaxComponentBytes = 255
)

// MaxPathComponents bounds the depth of a file path in a model. Each component
// above the file is a directory to make, to sync and to remember in a [PathSet]:
// without a bound, a path of 4 KiB stands for 2,000 of them, and a tar of some
// kilobytes for hundreds of millions. Real models stay below ten.
const MaxPathComponents = 64

// ErrUnsafePath is wrapped by every refusal of a path or a set of paths.
var ErrUnsafePath = errors.New("unsafe path")

// ValidatePath checks that p may name a file of a model: relative, with /
// separators, valid UTF-8, no empty, "." or ".." component, no backslash, no
// control character, no drive letter, within [MaxPathBytes], [MaxComponentBytes]
// and [MaxPathComponents]. A path is never repaired: what is not safe as written
// is refused, since a repaired name is one that nobody signed.
func ValidatePath(p string) error {
	refuse := func(why string) error { return fmt.Errorf("%w %q: %s", ErrUnsafePath, p, why) }
	switch {
	case p == "":
		return refuse("it is empty")
	case len(p) > MaxPathBytes:
		return fmt.Errorf("%w %q…: it is longer than %d bytes", ErrUnsafePath, p[:64], MaxPathBytes)
	case !utf8.ValidString(p):
		return refuse("it is not valid UTF-8")
	case strings.Count(p, "/") >= MaxPathComponents:
		return refuse(fmt.Sprintf("it has more than %d components", MaxPathComponents))
	case strings.HasPrefix(p, "/"):
		return refuse("it is absolute")
	case len(p) >= 2 && p[1] == ':' && isLetter(p[0]):
		return refuse("it begins with a drive letter")
	}
	for _, r := range p {
		if r == '\\' {
			return refuse("it holds a backslash")
		}
		if unicode.IsControl(r) || isBidiControl(r) {
			return refuse("it holds a control character")
		}
	}
	for component := range strings.SplitSeq(p, "/") {
		switch {
		case component == "":
			return refuse("it has an empty component")
		case component == "." || component == "..":
			return refuse(fmt.Sprintf("it has the component %q", component))
		case len(component) > MaxComponentBytes:
			return refuse(fmt.Sprintf("a component is longer than %d bytes", MaxComponentBytes))
		}
	}
	return nil
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// isBidiControl finds the characters that make a name read as another one
// (CVE-2021-42574); unicode.IsControl does not count them.
func isBidiControl(r rune) bool {
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// PathSet collects the paths of one model and refuses those that cannot live
// beside each other in one directory on every file system.
type PathSet struct {
	files map[string]string // folded path of a file → its path as written
	dirs  map[string]string // folded path of a parent → a file below it
	fold  cases.Caser
}

// NewPathSet returns an empty set.
func NewPathSet() *PathSet {
	return &PathSet{files: map[string]string{}, dirs: map[string]string{}, fold: cases.Fold()}
}

// Add validates p and adds it. It refuses a path that is there already, one
// that differs only in letter case or Unicode normalisation, and one that is a
// file where another path needs a directory.
func (s *PathSet) Add(p string) error {
	if err := ValidatePath(p); err != nil {
		return err
	}
	key := s.key(p)
	if other, ok := s.files[key]; ok {
		if other == p {
			return fmt.Errorf("%w %q: it is named twice", ErrUnsafePath, p)
		}
		return fmt.Errorf("%w %q: %q is the same name on a file system that folds case or normalises Unicode", ErrUnsafePath, p, other)
	}
	if below, ok := s.dirs[key]; ok {
		return fmt.Errorf("%w %q: it is a file and also the directory of %q", ErrUnsafePath, p, below)
	}
	for i := strings.LastIndexByte(key, '/'); i >= 0; i = strings.LastIndexByte(key[:i], '/') {
		parent := key[:i]
		if file, ok := s.files[parent]; ok {
			return fmt.Errorf("%w %q: %q is a file and also its directory", ErrUnsafePath, p, file)
		}
		if _, known := s.dirs[parent]; known {
			break
		}
		s.dirs[parent] = p
	}
	s.files[key] = p
	return nil
}

func (s *PathSet) key(p string) string {
	return norm.NFC.String(s.fold.String(norm.NFC.String(p)))
}
