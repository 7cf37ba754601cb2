package archive

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/modseal/modseal/artifacttypes"
)

// block is what a tar is made of.
const block = 512

// Types of entries (POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar 1.35,
// "Basic Tar Format").
const (
	typeRegular    = '0'
	typeRegularOld = 0
	typeDirectory  = '5'
	typePAX        = 'x'
	typeLongName   = 'L'
)

// otherTypes are the types that no layout needs, by the name that people know.
var otherTypes = map[byte]string{
	'1': "a hard link",
	'2': "a symbolic link",
	'3': "a character device",
	'4': "a block device",
	'6': "a fifo",
	'7': "a contiguous file",
	'g': "a global extended header",
	'K': "the long name of a link",
	'S': "a sparse file",
	'D': "an incremental dump",
	'M': "the rest of another volume",
	'V': "a volume label",
	'X': "an extended header of Solaris",
	'N': "an old long name",
}

// tarHeader is what a header says that matters here. Who owned the file, when it
// was written and what its mode was does not.
type tarHeader struct {
	kind byte
	name string
	size int64
}

// parseTarHeader reads a header that is no block of zeros.
func parseTarHeader(b []byte) (tarHeader, *fault) {
	if f := checkSum(b); f != nil {
		return tarHeader{}, f
	}
	h := tarHeader{kind: b[156], name: text(b[:100])}
	switch {
	case string(b[257:265]) == "ustar\x0000":
		if prefix := text(b[345:500]); prefix != "" {
			h.name = prefix + "/" + h.name
		}
	case string(b[257:265]) == "ustar  \x00": // GNU: there is something else in the place of the prefix
		if !isTime(b[345:357]) || !isTime(b[357:369]) {
			return h, refused("its header has text where GNU tar has times, which some readers take for a part of its name")
		}
	default:
		return h, refused("its header is neither of POSIX nor of GNU tar")
	}
	var f *fault
	h.size, f = parseSize(b[124:136])
	return h, f
}

// checkSum compares the sum of a header: that of its bytes with blanks in the
// place of the sum.
func checkSum(b []byte) *fault {
	want, ok := octal(b[148:156])
	if !ok {
		return damaged("there is no header of an entry here")
	}
	sum := int64(8 * ' ')
	for i, c := range b[:block] {
		if i < 148 || i >= 156 {
			sum += int64(c)
		}
	}
	if sum != want {
		return damaged("the sum of its header is %d and should be %d", sum, want)
	}
	return nil
}

// parseSize reads a size: octal, or, with the highest bit set, binary as GNU tar
// writes what octal has no room for.
func parseSize(field []byte) (int64, *fault) {
	if field[0]&0x80 == 0 {
		n, ok := octal(field)
		if !ok {
			return 0, refused("its size %q is no number", field)
		}
		return n, nil
	}
	if field[0] != 0x80 {
		return 0, refused("its size is negative, or larger than any file")
	}
	for _, c := range field[1:4] {
		if c != 0 {
			return 0, refused("its size is larger than any file")
		}
	}
	n := binary.BigEndian.Uint64(field[4:12])
	if n > artifacttypes.MaxBlobBytes {
		return 0, refused("its size of %d bytes is larger than any blob", n)
	}
	return int64(n), nil
}

// isTime reports whether a field is empty or a number. Go's archive/tar takes it for
// the beginning of a prefix otherwise, as its own writer made them before Go 1.8.
func isTime(field []byte) bool {
	if field[0] == 0 || field[0]&0x80 != 0 {
		return true
	}
	_, ok := octal(field)
	return ok
}

// octal reads a number that ends at a NUL or a blank, and may have blanks before it.
func octal(field []byte) (int64, bool) {
	field = bytes.TrimLeft(field, " ")
	if i := bytes.IndexAny(field, " \x00"); i >= 0 {
		if len(bytes.Trim(field[i:], " \x00")) > 0 {
			return 0, false
		}
		field = field[:i]
	}
	n, err := strconv.ParseUint(string(field), 8, 62)
	return int64(n), err == nil
}

// text is a field up to its first NUL.
func text(field []byte) string {
	if i := bytes.IndexByte(field, 0); i >= 0 {
		field = field[:i]
	}
	return string(field)
}

// paxRecords are the records of an extended header that matter here.
type paxRecords struct {
	path    string
	size    int64
	hasPath bool
	hasSize bool
}

// parsePAX reads the records of an extended header: "LENGTH KEY=VALUE\n", where
// LENGTH counts the whole record.
func parsePAX(raw []byte) (paxRecords, *fault) {
	var p paxRecords
	for len(raw) > 0 {
		space := bytes.IndexByte(raw[:min(len(raw), 20)], ' ')
		if space < 1 {
			return p, refused("its extended header has a record without a length")
		}
		n, err := strconv.ParseUint(string(raw[:space]), 10, 31)
		if err != nil || int(n) > len(raw) || int(n) < space+3 || raw[n-1] != '\n' {
			return p, refused("its extended header has a record of a wrong length")
		}
		key, value, ok := bytes.Cut(raw[space+1:n-1], []byte("="))
		if !ok {
			return p, refused("its extended header has a record without a value")
		}
		if f := p.take(string(key), string(value)); f != nil {
			return p, f
		}
		raw = raw[n:]
	}
	return p, nil
}

func (p *paxRecords) take(key, value string) *fault {
	switch {
	case key == "path":
		if p.hasPath || value == "" {
			return refused("its extended header has no name, or two")
		}
		p.path, p.hasPath = value, true
	case key == "size":
		n, err := strconv.ParseUint(value, 10, 63)
		switch {
		case err != nil || p.hasSize:
			return refused("its extended header has a size of %q, or two", value)
		case n > artifacttypes.MaxBlobBytes:
			return refused("its size of %d bytes is larger than any blob", n)
		}
		p.size, p.hasSize = int64(n), true
	case strings.HasPrefix(key, "GNU.sparse"), key == "SCHILY.realsize", key == "SUN.holesdata":
		return refused("it is a sparse file, whose size is not what its header says")
	}
	return nil
}
