package pickle

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// lineStep runs an opcode whose argument is text up to a line feed.
func (m *machine) lineStep(op opcode) error {
	line, cut, err := m.in.line(maxLine)
	if op == opGlobal || op == opInst {
		return m.lineGlobal(op, line, cut, err)
	}
	if err != nil {
		return err
	}
	switch op {
	case opInt, opLong:
		m.push(numeral(line, op))
	case opFloat:
		m.push(makeValue(isNumber, 0))
	case opString:
		return m.text(unquote(line), cut)
	case opUnicode:
		return m.text(unescapeUnicode(line), cut)
	case opPersID:
		m.push(m.persistent(m.heap.newText(line, cut)))
	case opGet, opPut:
		n, err := index10(line)
		if err != nil || cut {
			return malformed("%s %q: that is no number of the memo", operations[op].name, shorten(line))
		}
		if op == opGet {
			return m.get(n)
		}
		return m.put(n)
	}
	return nil
}

// maxLine is how much of a line is looked at. Texts of protocol 0 are lines, and a
// pickle may be in one.
const maxLine = 1 << 20

// lineGlobal names a global whose module is line; its name is the next one. Where the
// content ends before that does, Python's own unpickler takes what there is without
// the last byte, and imports it before it notices.
func (m *machine) lineGlobal(op opcode, line []byte, cut bool, end error) error {
	var name []byte
	var nameCut bool
	switch {
	case end == nil:
		name, nameCut, end = m.in.line(maxText)
		if end != nil {
			name = name[:max(len(name)-1, 0)]
		}
	case Ended(end):
		line = line[:max(len(line)-1, 0)]
	}
	if end != nil && (!Ended(end) || len(line) == 0) {
		return end
	}
	m.push(m.heap.newText(line, cut))
	m.push(m.heap.newText(name, nameCut))
	if err := m.stackGlobal(); err != nil {
		return err
	}
	if end != nil || op == opGlobal {
		return end
	}
	class := m.pop()
	args, err := m.popMark()
	if err != nil {
		return err
	}
	m.push(m.call(class, m.tuple(args)))
	return nil
}

// text pushes a text of protocol 0.
func (m *machine) text(text []byte, cut bool) error {
	v := m.heap.newText(text, cut)
	m.notice(text)
	looked, err := m.lookInto(text, isText, m.at)
	if err != nil {
		return err
	}
	if looked && !cut && m.lasting(text) {
		v |= seen
	}
	m.push(v)
	return nil
}

// numeral reads a number as Python does, which takes more spellings than this; those
// are numbers that are not known.
func numeral(line []byte, op opcode) value {
	switch text := string(line); {
	case op == opInt && text == "00":
		return makeValue(isBool, 0)
	case op == opInt && text == "01":
		return makeValue(isBool, 1)
	default:
		n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), "L"), 10, 64)
		if err != nil {
			return makeValue(isNumber, 0)
		}
		return integer(n)
	}
}

// index10 reads the number of GET and PUT: Python's int() takes white space around
// it, a sign, and single underscores between digits. The one in C stops at a zero byte.
func index10(line []byte) (uint64, error) {
	line, _, _ = bytes.Cut(line, []byte{0})
	text := strings.Trim(string(line), " \t\n\r\v\f")
	text = strings.TrimPrefix(text, "+")
	if strings.HasPrefix(text, "_") || strings.HasSuffix(text, "_") || strings.Contains(text, "__") {
		return 0, errors.New("underscores")
	}
	return strconv.ParseUint(strings.ReplaceAll(text, "_", ""), 10, 32)
}

// unquote reads what repr writes of a string in Python 2. What is no such thing is
// returned as it is.
func unquote(line []byte) []byte {
	line = bytes.TrimSpace(line)
	if len(line) >= 2 && (line[0] == '\'' || line[0] == '"') {
		line = bytes.TrimSuffix(line[1:], line[:1])
	}
	if bytes.IndexByte(line, '\\') < 0 {
		return line
	}
	out := make([]byte, 0, len(line))
	for i := 0; i < len(line); i++ {
		if line[i] != '\\' || i+1 == len(line) {
			out = append(out, line[i])
			continue
		}
		i++
		b, used := escape(line[i:])
		if used == 0 {
			out = append(out, '\\', line[i])
			continue
		}
		out = append(out, b)
		i += used - 1
	}
	return out
}

var simpleEscapes = map[byte]byte{'\\': '\\', '\'': '\'', '"': '"', 'a': 7, 'b': 8, 't': 9, 'n': 10, 'v': 11, 'f': 12, 'r': 13}

// escape reads what follows a backslash and returns how many bytes it took, 0 when it
// is no escape.
func escape(s []byte) (b byte, used int) {
	if b, ok := simpleEscapes[s[0]]; ok {
		return b, 1
	}
	digits, base := 0, 8
	from := 0
	if s[0] == 'x' {
		base, from = 16, 1
	}
	for digits < len(s)-from && digits < 3-from && isDigit(s[from+digits], base) {
		digits++
	}
	if digits == 0 || base == 16 && digits != 2 {
		return 0, 0
	}
	n, err := strconv.ParseUint(string(s[from:from+digits]), base, 16)
	if err != nil {
		return 0, 0
	}
	return byte(n), from + digits
}

func isDigit(b byte, base int) bool {
	return '0' <= b && b <= '7' || base == 16 && ('8' <= b && b <= '9' || 'a' <= b|0x20 && b|0x20 <= 'f')
}

// unescapeUnicode reads the encoding raw-unicode-escape: Latin-1, with \uXXXX and
// \UXXXXXXXX. A backslash before another one begins nothing, and neither does that.
func unescapeUnicode(line []byte) []byte {
	out := make([]byte, 0, len(line))
	for i := 0; i < len(line); i++ {
		if line[i] == '\\' && i+1 < len(line) && line[i+1] == '\\' {
			out = append(out, '\\', '\\')
			i++
			continue
		}
		if line[i] == '\\' && i+1 < len(line) && (line[i+1] == 'u' || line[i+1] == 'U') {
			n := 4
			if line[i+1] == 'U' {
				n = 8
			}
			if i+2+n <= len(line) {
				if r, err := strconv.ParseUint(string(line[i+2:i+2+n]), 16, 32); err == nil {
					out = utf8.AppendRune(out, rune(r))
					i += 1 + n
					continue
				}
			}
		}
		out = utf8.AppendRune(out, rune(line[i]))
	}
	return out
}

func shorten(b []byte) []byte { return b[:min(len(b), 40)] }
