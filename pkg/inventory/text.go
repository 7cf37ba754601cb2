package inventory

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"unicode"

	"github.com/opencontainers/go-digest"
)

// What the text begins and ends with.
const (
	headline = "MODSEAL INVENTORY"
	version  = "1"
	endWord  = "END"
)

// Bounds of the text.
const (
	// MaxLines is how many artifacts and blobs the text can list: what three
	// symbols count.
	MaxLines = 1<<(5*numberSymbols) - 1
	// MaxCodes is how many QR codes an inventory may take: more is no job for a
	// person with a scanner.
	MaxCodes = 100
	// codeChars is what one QR code holds: version 13 with error correction M in
	// alphanumeric mode, which is 69 modules wide and fits into a terminal of 80
	// columns (ISO/IEC 18004).
	codeChars = 483
	// codeSeparator stands for the end of a line in a QR code, whose alphanumeric
	// mode has none.
	codeSeparator = "+"
)

// The kinds of records, as symbols.
const (
	kindArtifact = 10 // A
	kindBlob     = 11 // B
	kindEnd      = 14 // E
)

// record is a line of the text.
type record struct {
	number int // from 1
	kind   byte
	prefix prefix
}

// word is the record as symbols, with those that check it.
func (r record) word() []byte {
	return checked(r.number, r.kind, encode(r.prefix[:]))
}

func checked(number int, kind byte, data []byte) []byte {
	word := append(append(start(number), kind), data...)
	return append(word, check(word)...)
}

// start is the number of a line as symbols, which are checked and not written.
func start(number int) []byte {
	return []byte{byte(number >> 10 & 31), byte(number >> 5 & 31), byte(number & 31)}
}

// typed is the record as people type it.
func (r record) typed() string {
	w := r.word()[numberSymbols:]
	return fmt.Sprintf("%d: %c %s", r.number, alphabet[w[0]], groups(w[1:], " "))
}

// scanned is the record as QR codes have it.
func (r record) scanned() string {
	return fmt.Sprintf("%d:%s", r.number, groups(r.word()[numberSymbols:], ""))
}

// sum is the check of all records together, with those that check it.
func sum(records []record) []byte {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %d\n", headline, version, len(records))
	for _, r := range records {
		fmt.Fprintln(h, r.scanned())
	}
	return checked(0, kindEnd, encode(h.Sum(nil)[:sumSymbols*5/8]))[numberSymbols+1:]
}

// records returns what the text lists, in its order.
func (inv *Inventory) records() ([]record, error) {
	if inv.lines != nil {
		return inv.lines, nil
	}
	if n := inv.Len(); n > MaxLines {
		return nil, wrong("it lists %d artifacts and blobs, and text can list %d: send it as JSON", n, MaxLines)
	}
	var out []record
	add := func(kind byte, d digest.Digest) error {
		p, ok := prefixOf(d)
		if !ok {
			return wrong("%q is no digest", d)
		}
		out = append(out, record{len(out) + 1, kind, p})
		return nil
	}
	for _, a := range inv.Artifacts {
		if err := add(kindArtifact, a.Digest); err != nil {
			return nil, err
		}
	}
	for _, b := range inv.Blobs {
		if err := add(kindBlob, b.Digest); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Text returns the inventory as text to be typed over, with the names of
// artifacts as comments.
func (inv *Inventory) Text() (string, error) {
	records, err := inv.records()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s LINES %d\n", headline, version, len(records))
	for i, r := range records {
		if i < len(inv.Artifacts) && inv.Artifacts[i].Name != "" {
			fmt.Fprintf(&b, "# %s\n", printable(inv.Artifacts[i].Name))
		}
		fmt.Fprintln(&b, r.typed())
	}
	fmt.Fprintf(&b, "%s: %s\n", endWord, groups(sum(records), " "))
	return b.String(), nil
}

// printable keeps a foreign name from beginning a line of its own.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '�'
	}, name)
}

// Codes returns the texts of the QR codes that hold the inventory, each a part of
// it that says which.
func (inv *Inventory) Codes() ([]string, error) {
	records, err := inv.records()
	if err != nil {
		return nil, err
	}
	end := endWord + ":" + groups(sum(records), "")
	const longest = len(headline) + len(" 1 LINES 32767 CODE 100/100")
	room := codeChars - longest - len(codeSeparator) - len(end)
	var bodies []string
	var body strings.Builder
	for _, r := range records {
		line := r.scanned() + codeSeparator
		if body.Len()+len(line) > room {
			bodies = append(bodies, body.String())
			body.Reset()
		}
		body.WriteString(line)
	}
	bodies = append(bodies, body.String())
	if len(bodies) > MaxCodes {
		return nil, wrong("it would take %d QR codes, more than %d: send it as text or JSON", len(bodies), MaxCodes)
	}
	for i, body := range bodies {
		bodies[i] = fmt.Sprintf("%s %s LINES %d CODE %d/%d%s%s%s", headline, version, len(records), i+1, len(bodies), codeSeparator, body, end)
	}
	return bodies, nil
}
