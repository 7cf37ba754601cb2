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
	case string(b[257:263]) == "ustar\x00" && string(b[508:512]) == "tar\x00":
		return h, refused("its header is one of star, which some readers take for another name")
	case string(b[257:265]) == "ustar\x0000":
		if prefix := text(b[345:500]); prefix != "" {
			h.name = prefix + "/" + h.name
		}
	case string(b[257:265]) == "ustar  \x00": // GNU: there is something else in the place of the prefix
		// The time of the last access, which only incremental dumps have. Python's tarfile
		// takes it for a prefix, and Go's archive/tar when one of the times is no number.
		if b[345] != 0 {
			return h, refused("its header has something where GNU tar has times, which some readers take for a part of its name")
		}
	default:
		return h, refused("its header is neither of POSIX nor of GNU tar")
	}
	var f *fault
	if h.size, f = parseSize(b[124:136]); f != nil {
		return h, f
	}
	return h, checkNumbers(b)
}

// otherNumbers are the fields with numbers that do not matter here.
var otherNumbers = []struct {
	name     string
	from, to int
}{
	{"mode", 100, 108},
	{"user ID", 108, 116},
	{"group ID", 116, 124},
	{"modification time", 136, 148},
	{"major device number", 329, 337},
	{"minor device number", 337, 345},
}

// checkNumbers refuses a header with a number that is none: Go's archive/tar does not
// read it, and GNU tar fails at it.
func checkNumbers(b []byte) *fault {
	for _, n := range otherNumbers {
		if field := b[n.from:n.to]; !isNumber(field) {
			return refused("its %s %q is no number", n.name, field)
		}
	}
	return nil
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

// isNumber reports whether a field is empty or a number of 64 bits: octal, or with the
// highest bit set binary, as GNU tar writes one that is negative or has no room in octal.
func isNumber(field []byte) bool {
	switch field[0] {
	case 0x80:
		return isBinary(field[1:], 0)
	case 0xff:
		return isBinary(field[1:], 0xff)
	}
	if isZero(field) {
		return true
	}
	_, ok := octal(field)
	return ok
}

// isBinary reports whether what follows the first byte of a binary number fits into
// 64 bits: whatever is before the last eight bytes may only repeat the sign.
func isBinary(rest []byte, sign byte) bool {
	for len(rest) > 8 {
		if rest[0] != sign {
			return false
		}
		rest = rest[1:]
	}
	return len(rest) < 8 || rest[0]&0x80 == sign&0x80
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

// paxTexts and paxNumbers are the records, size apart, that Go's archive/tar takes for
// fields of the header. It does not read an archive where one of them is malformed.
var (
	paxTexts   = map[string]bool{"path": true, "linkpath": true, "uname": true, "gname": true}
	paxNumbers = map[string]func(string) bool{
		"uid": isInteger, "gid": isInteger,
		"atime": isPAXTime, "mtime": isPAXTime, "ctime": isPAXTime,
	}
)

func isInteger(s string) bool {
	_, err := strconv.ParseInt(s, 10, 64)
	return err == nil
}

// isPAXTime reports whether s is a number of seconds, which may have a fraction.
func isPAXTime(s string) bool {
	seconds, fraction, _ := strings.Cut(s, ".")
	return isInteger(seconds) && strings.Trim(fraction, "0123456789") == ""
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
	case key == "" || strings.ContainsRune(key, 0):
		return refused("its extended header has a record whose name is %.60q", key)
	case paxTexts[key] && strings.ContainsRune(value, 0):
		return refused("its extended header has a record %s with a NUL in it", key)
	case paxNumbers[key] != nil && value != "" && !paxNumbers[key](value):
		return refused("its extended header has a record %s of %.60q, which is no number", key, value)
	case key == "path":
		if p.hasPath || value == "" {
			return refused("its extended header has no name, or two")
		}
		p.path, p.hasPath = value, true
	case key == "size":
		n, err := strconv.ParseUint(value, 10, 63)
		switch {
		case err != nil || p.hasSize:
			return refused("its extended header has a size of %.60q, or two", value)
		case n > artifacttypes.MaxBlobBytes:
			return refused("its size of %d bytes is larger than any blob", n)
		}
		p.size, p.hasSize = int64(n), true
	case strings.HasPrefix(key, "GNU.sparse"), key == "SCHILY.realsize", key == "SUN.holesdata":
		return refused("it is a sparse file, whose size is not what its header says")
	}
	return nil
}
