package modseal

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// CopyLine is what is copied to the same places: one artifact, or those of one
// repository whose tags match a glob.
type CopyLine struct {
	Source string // a reference, or with a glob in the place of its tag
	// Destinations are where each of them goes. A repository or a layout keeps the
	// tags; a prefix with a slash at its end keeps the repository as well.
	Destinations []string
}

// Single says whether the line is about one artifact and one destination, which is
// what [Client.Copy] copies.
func (l CopyLine) Single() bool {
	_, glob := cutGlob(l.Source)
	return glob == "" && len(l.Destinations) == 1
}

// ReadCopyList reads a list of what is to be copied: SRC or SRC DST a line, with
// comments after #. What names no destination goes to all of to.
func ReadCopyList(file string, to []string) ([]CopyLine, error) {
	data, err := readSmall(file, limits.ReferenceListBytes)
	if err != nil {
		return nil, err
	}
	var lines []CopyLine
	scan := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; scan.Scan(); n++ {
		text, _, _ := strings.Cut(scan.Text(), "#")
		f := strings.Fields(text)
		line := CopyLine{Destinations: to}
		switch {
		case len(f) == 0:
			continue
		case len(f) > 2:
			return nil, fmt.Errorf("%w: %s, line %d: a source, or a source and a destination, are needed", ErrUsage, file, n)
		case strings.HasPrefix(f[0], "@"):
			return nil, fmt.Errorf("%w: %s, line %d: a list cannot name another list", ErrUsage, file, n)
		case len(f) == 2:
			line.Destinations = f[1:]
		case len(to) == 0:
			return nil, fmt.Errorf("%w: %s, line %d: %s has no destination", ErrUsage, file, n, f[0])
		}
		line.Source = f[0]
		if lines = append(lines, line); len(lines) > limits.Selected {
			return nil, fmt.Errorf("%w: %s: more than %d artifacts", ErrUsage, file, limits.Selected)
		}
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUsage, file, err)
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("%w: %s names nothing to copy", ErrUsage, file)
	}
	return lines, nil
}
