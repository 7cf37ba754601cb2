// Package membername tells names of members of archives that stay where the archive is
// unpacked from those that lead elsewhere, on any system.
package membername

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxSize is PATH_MAX of Linux.
const MaxSize = 4096

// Check returns in what a name is unsafe to unpack. A slash at the end, which marks a
// directory, is the caller's to cut.
func Check(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case len(name) > MaxSize:
		return fmt.Errorf("the name has %d bytes, more than %d", len(name), MaxSize)
	case !utf8.ValidString(name):
		return errors.New("the name is not UTF-8")
	case strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("the name has a control character")
	case strings.Contains(name, `\`):
		return errors.New("the name has a backslash, which separates directories on Windows")
	case name[0] == '/':
		return errors.New("the name is absolute")
	case len(name) >= 2 && name[1] == ':':
		return errors.New("the name has a drive letter")
	}
	for part := range strings.SplitSeq(name, "/") {
		switch part {
		case "..":
			return errors.New(`the name goes up by ".."`)
		case "", ".":
			return errors.New("the name has an empty component")
		}
	}
	return nil
}
