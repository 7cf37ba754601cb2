package policy

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// entries is a mapping that is written in its order.
type entries []entry

type entry struct {
	key     string
	value   any    // string, int, bool, []string, entries or []entries
	comment string // behind the value, or above it when there are lines
}

// put adds a key when its value says something.
func (e *entries) put(key string, value any, comment ...string) {
	switch v := value.(type) {
	case string:
		if v == "" {
			return
		}
	case int:
		if v == 0 {
			return
		}
	case bool:
		if !v {
			return
		}
	case []string:
		if len(v) == 0 {
			return
		}
	case entries:
		if len(v) == 0 {
			return
		}
	case []entries:
		if len(v) == 0 {
			return
		}
	}
	e.always(key, value, comment...)
}

func (e *entries) always(key string, value any, comment ...string) {
	*e = append(*e, entry{key, value, strings.Join(comment, "\n")})
}

// write writes the mapping as YAML, the first line of it without indentation.
func (e entries) write(b *bytes.Buffer, indent string) {
	for i, en := range e {
		if i > 0 {
			b.WriteString(indent)
		}
		above := strings.Contains(en.comment, "\n")
		if above {
			for line := range strings.SplitSeq(en.comment, "\n") {
				fmt.Fprintf(b, "# %s\n%s", line, indent)
			}
		}
		fmt.Fprintf(b, "%s:", plainOrQuoted(en.key))
		comment := ""
		if en.comment != "" && !above {
			comment = " # " + en.comment
		}
		writeValue(b, en.value, indent, comment)
	}
}

func writeValue(b *bytes.Buffer, value any, indent, comment string) {
	inner := indent + "  "
	switch v := value.(type) {
	case string:
		writeText(b, v, inner, comment)
	case []string:
		fmt.Fprintf(b, "%s\n", comment)
		for _, text := range v {
			fmt.Fprintf(b, "%s-", inner)
			writeText(b, text, inner+"  ", "")
		}
	case entries:
		fmt.Fprintf(b, "%s\n%s", comment, inner)
		v.write(b, inner)
	case []entries:
		fmt.Fprintf(b, "%s\n", comment)
		for _, item := range v {
			fmt.Fprintf(b, "%s- ", inner)
			item.write(b, inner+"  ")
		}
	default:
		fmt.Fprintf(b, " %v%s\n", v, comment)
	}
}

// writeText writes PEM as the block that it is, and everything else in one line.
func writeText(b *bytes.Buffer, text, indent, comment string) {
	if !Inline(text) || !strings.HasSuffix(text, "-----\n") || strings.ContainsFunc(text, notPEM) {
		fmt.Fprintf(b, " %s%s\n", plainOrQuoted(text), comment)
		return
	}
	fmt.Fprintf(b, " |%s\n", comment)
	for line := range strings.Lines(text) {
		if line == "\n" {
			b.WriteString(line)
			continue
		}
		b.WriteString(indent + line)
	}
}

// notPEM reports what a block would not keep as it is.
func notPEM(r rune) bool { return r != '\n' && (r < ' ' || r > '~') }

// plainOrQuoted writes a text without quotes when nothing in it means anything to
// YAML, as in names, paths and URLs.
func plainOrQuoted(text string) string {
	special := func(r rune) bool {
		return !(r == '/' || r == '.' || r == '_' || r == '-' || r == '@' || r == ':' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
	}
	if text == "" || strings.ContainsFunc(text, special) || strings.HasSuffix(text, ":") || !startsPlain(text) {
		return strconv.Quote(text)
	}
	return text
}

// startsPlain refuses what YAML might take for a number, a truth, a date or null.
func startsPlain(text string) bool {
	c := text[0] | 0x20
	words := []string{"true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan", "inf"}
	return 'a' <= c && c <= 'z' && !slices.Contains(words, strings.ToLower(text))
}
