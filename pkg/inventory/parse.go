package inventory

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// Looks reports whether data, the beginning of a file, looks like an inventory in
// any form, right or wrong.
func Looks(data []byte) bool {
	data = bytes.TrimLeftFunc(data, unicode.IsSpace)
	if bytes.HasPrefix(data, []byte("{")) || bytes.HasPrefix(data, []byte("#")) {
		return true
	}
	return len(data) >= len(headline) && strings.EqualFold(string(data[:len(headline)]), headline)
}

// Parse reads an inventory in any of its forms: JSON, text, or the texts of its QR
// codes one after the other, in any order. An error that is about the input is an
// [*Error].
func Parse(data []byte) (*Inventory, error) {
	if len(data) > limits.InventoryBytes {
		return nil, wrong("%d bytes, more than %d", len(data), limits.InventoryBytes)
	}
	if bytes.HasPrefix(bytes.TrimLeftFunc(data, unicode.IsSpace), []byte("{")) {
		return parseJSON(data)
	}
	p := &parser{records: map[int]record{}, codes: map[int]bool{}}
	for i, line := range strings.Split(string(data), "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue // all of it: people write a plus in a comment
		}
		for part := range strings.SplitSeq(line, codeSeparator) {
			if err := p.line(part); err != nil {
				err.Line = i + 1
				return nil, err
			}
		}
	}
	return p.finish()
}

// parser reads text, of which each QR code has a part.
type parser struct {
	open    bool   // between a headline and its end
	lines   int    // that there are to be
	sum     []byte // of all, nil before the first end
	of      int    // QR codes that there are to be; 0 for text
	codes   map[int]bool
	records map[int]record
}

func (p *parser) line(text string) *Error {
	if strings.HasPrefix(strings.TrimSpace(text), "#") {
		return nil
	}
	text = strings.ToUpper(strings.Join(strings.Fields(text), " "))
	switch {
	case text == "":
		return nil
	case strings.HasPrefix(text, "MODSEAL"):
		return p.head(text)
	case !p.open:
		return wrong("%q is no part of an inventory, which begins with %s", short(text), headline)
	case strings.HasPrefix(text, endWord):
		return p.end(strings.TrimPrefix(text, endWord))
	}
	return p.record(text)
}

// head reads MODSEAL INVENTORY 1 LINES 12, with CODE 2/5 in a QR code.
func (p *parser) head(text string) *Error {
	if p.open {
		return wrong("it begins again before the %s of what came before", endWord)
	}
	f := strings.Fields(text)
	if len(f) < 5 || f[1] != "INVENTORY" || f[3] != "LINES" {
		return wrong("%q is not as the first line is to be: %s %s LINES and a number", short(text), headline, version)
	}
	if f[2] != version {
		return wrong("it is of version %s, and this program reads version %s", short(f[2]), version)
	}
	lines, ok := count(f[4], MaxLines)
	if !ok {
		return wrong("%q is no number of lines up to %d", short(f[4]), MaxLines)
	}
	code, of := 0, 0
	if len(f) > 5 {
		if code, of, ok = codeOf(f[5:]); !ok {
			return wrong("%q does not say which QR code it is: CODE 2/5", short(strings.Join(f[5:], " ")))
		}
	}
	again := p.sum != nil || len(p.codes) > 0
	if again && (lines != p.lines || of != p.of || of == 0) {
		return wrong("this is another inventory than that before it")
	}
	p.open, p.lines, p.of = true, lines, of
	if of > 0 {
		p.codes[code] = true
	}
	return nil
}

func codeOf(f []string) (code, of int, ok bool) {
	if len(f) != 2 || f[0] != "CODE" {
		return 0, 0, false
	}
	a, b, cut := strings.Cut(f[1], "/")
	code, ok = count(a, MaxCodes)
	of, ok2 := count(b, MaxCodes)
	return code, of, cut && ok && ok2 && code >= 1 && code <= of
}

// record reads a numbered line.
func (p *parser) record(text string) *Error {
	before, after, ok := strings.Cut(text, ":")
	if !ok {
		return wrong("%q has no colon after the number of the line", short(text))
	}
	number, ok := count(strings.ReplaceAll(before, " ", ""), MaxLines)
	if !ok || number == 0 {
		return wrong("%q is no number of a line", short(before))
	}
	if number > p.lines {
		return wrong("it is numbered %d, and there are to be %d lines", number, p.lines)
	}
	word, err := wordOf(start(number), after, 1+prefixSymbols+checkSymbols)
	if err != nil {
		return err
	}
	r := record{number: number, kind: word[numberSymbols]}
	if r.kind != kindArtifact && r.kind != kindBlob {
		return wrong("it is a %c line, and lines are A or B", alphabet[r.kind])
	}
	copy(r.prefix[:], decode(word[numberSymbols+1:len(word)-checkSymbols]))
	if have, again := p.records[number]; again && have != r {
		return wrong("there was another line with the number %d", number)
	}
	p.records[number] = r
	return nil
}

// end reads the check of all lines.
func (p *parser) end(text string) *Error {
	symbols, err := wordOf(append(start(0), kindEnd), strings.TrimPrefix(strings.TrimSpace(text), ":"), sumSymbols+checkSymbols)
	if err != nil {
		return err
	}
	symbols = symbols[numberSymbols+1:]
	if p.sum != nil && !bytes.Equal(p.sum, symbols) {
		return wrong("this is another inventory than that before it")
	}
	p.sum, p.open = symbols, false
	return nil
}

// wordOf reads n symbols that complete the word, and checks it.
func wordOf(word []byte, text string, n int) ([]byte, *Error) {
	before := len(word)
	for _, r := range text {
		if unicode.IsSpace(r) || unicode.Is(unicode.Dash, r) {
			continue
		}
		v, ok := value(r)
		if !ok {
			return nil, wrong("%q is no symbol: digits, and letters without U", r)
		}
		if word = append(word, v); len(word) > before+n {
			return nil, wrong("it has more than %d symbols", n)
		}
	}
	if have := len(word) - before; have < n {
		return nil, wrong("it has %d symbols, and %d are needed", have, n)
	}
	if a, b := syndromes(word); a != 0 || b != 0 {
		e := wrong("it does not fit its check symbols: something in it, or its number, is mistyped")
		if at, want, ok := locate(word); ok && at >= before {
			e.Perhaps = fmt.Sprintf("perhaps symbol %d is %c instead of %c", at-before+1, alphabet[want], alphabet[word[at]])
		}
		return nil, e
	}
	return word, nil
}

// finish checks what all lines must be together.
func (p *parser) finish() (*Inventory, error) {
	switch {
	case p.lines == 0 && p.sum == nil && !p.open:
		return nil, wrong("it is empty")
	case p.open:
		return nil, wrong("it ends before its %s line", endWord)
	}
	for code := 1; code <= p.of; code++ {
		if !p.codes[code] {
			return nil, wrong("QR code %d of %d is missing", code, p.of)
		}
	}
	inv := &Inventory{short: map[prefix]bool{}, lines: make([]record, 0, len(p.records))}
	for n := 1; n <= p.lines; n++ {
		r, ok := p.records[n]
		if !ok {
			return nil, wrong("line number %d of %d is missing", n, p.lines)
		}
		inv.lines = append(inv.lines, r)
		inv.short[r.prefix] = true
	}
	if !bytes.Equal(sum(inv.lines), p.sum) {
		return nil, wrong("its lines do not fit its %s line: they are of several inventories", endWord)
	}
	return inv, nil
}

// count reads a number from 0 to most, as people type digits.
func count(text string, most int) (int, bool) {
	if text == "" || len(text) > 6 {
		return 0, false
	}
	digits := strings.NewReplacer("O", "0", "I", "1", "L", "1").Replace(text)
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil && n <= most
}

// short keeps foreign text out of the way.
func short(text string) string {
	const most = 40
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}
