package hf

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxTextSize bounds a text value, MaxDescriptionSize one that is prose.
const (
	MaxTextSize        = 4 << 10
	MaxDescriptionSize = 16 << 10
)

// CleanText makes text of a stranger fit to be shown and stored: valid UTF-8
// without control characters, white space trimmed, at most limit bytes.
// Characters that change the direction of writing count as control characters,
// since they can make a terminal show another text.
func CleanText(s string, limit int) string {
	if len(s) > 4*limit {
		s = s[:4*limit] // what is dropped below is seldom more
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == utf8.RuneError:
			continue
		case r == '\n' || r == '\t' || r == '\r':
			r = ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029':
			continue
		}
		if b.Len()+utf8.RuneLen(r) > limit {
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}
