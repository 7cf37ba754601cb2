package inventory_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"rsc.io/qr"

	"github.com/modseal/modseal/pkg/inventory"
)

// sample has n blobs and an artifact.
func sample(n int) *inventory.Inventory {
	var blobs []inventory.Blob
	for i := range n {
		blobs = append(blobs, inventory.Blob{Digest: digest.FromString(fmt.Sprint(i)), Size: int64(inventory.SmallBlob + i)})
	}
	return inventory.New([]inventory.Artifact{{Name: "host.example/team/llama:v1", Digest: digest.FromString("a"), Size: 700}}, blobs)
}

func text(t *testing.T, inv *inventory.Inventory) string {
	t.Helper()
	s, err := inv.Text()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func parse(t *testing.T, s string) *inventory.Set {
	t.Helper()
	inv, err := inventory.Parse([]byte(s))
	if err != nil {
		t.Fatalf("%v\n%s", err, s)
	}
	return inv.Set()
}

// knows checks that s has what sample(n) has and nothing else.
func knows(t *testing.T, s *inventory.Set, n int) {
	t.Helper()
	for i := range n + 10 {
		d := ocispec.Descriptor{Digest: digest.FromString(fmt.Sprint(i))}
		if s.Has(d) != (i < n) {
			t.Errorf("Has(%d) = %v", i, s.Has(d))
		}
	}
	if !s.Has(ocispec.Descriptor{Digest: digest.FromString("a")}) {
		t.Error("the artifact is missing")
	}
	if s.Has(ocispec.Descriptor{Digest: "sha256:00"}) {
		t.Error("it has what is no digest")
	}
}

func TestNewDropsSmallBlobsAndDoubles(t *testing.T) {
	d := digest.FromString
	inv := inventory.New(
		[]inventory.Artifact{{Name: "b", Digest: d("1")}, {Name: "a", Digest: d("1")}, {Name: "b", Digest: d("1")}},
		[]inventory.Blob{{d("x"), inventory.SmallBlob}, {d("y"), inventory.SmallBlob - 1}, {d("x"), inventory.SmallBlob}})
	if len(inv.Artifacts) != 2 || inv.Artifacts[0].Name != "a" || len(inv.Blobs) != 1 || inv.Len() != 3 || inv.Size() != inventory.SmallBlob {
		t.Errorf("inventory = %+v", inv)
	}
}

func TestEveryFormIsReadBack(t *testing.T) {
	for _, n := range []int{0, 1, 30, 300} {
		inv := sample(n)
		raw, err := json.MarshalIndent(inv, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		knows(t, parse(t, string(raw)), n)
		knows(t, parse(t, text(t, inv)), n)
		codes, err := inv.Codes()
		if err != nil {
			t.Fatal(err)
		}
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(codes), func(i, j int) { codes[i], codes[j] = codes[j], codes[i] })
		knows(t, parse(t, strings.Join(codes, "\n")), n)
		// Scanned twice, and without anything between them.
		knows(t, parse(t, strings.Join(append(codes, codes[0]), "\r\n")), n)
		if again := text(t, sample(n)); again != text(t, inv) {
			t.Error("the same inventory is another text")
		}
	}
}

func TestTextOfTextIsTheSame(t *testing.T) {
	want := text(t, sample(5))
	inv, err := inventory.Parse([]byte(want))
	if err != nil {
		t.Fatal(err)
	}
	if got := text(t, inv); got != strings.ReplaceAll(want, "# host.example/team/llama:v1\n", "") {
		t.Errorf("text = %s", got)
	}
	if _, err := json.Marshal(inv); err == nil {
		t.Error("text became JSON without whole digests")
	}
}

// The format is what docs/inventory.md says, to the byte.
func TestTextIsStable(t *testing.T) {
	want := `MODSEAL INVENTORY 1 LINES 3
# host.example/team/llama:v1
1: A SABR 24PA 3EYW NYP2 DC
2: B BZPE PSQZ S1QK HPAJ GH
3: B DE3B 4WZZ 6KYE 37BB ME
END: B1ZS 0VKX ES
`
	if got := text(t, sample(2)); got != want {
		t.Errorf("text is\n%s", got)
	}
}

func TestCodesFitTheTerminal(t *testing.T) {
	codes, err := sample(500).Codes()
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range codes {
		code, err := qr.Encode(c, qr.M)
		if err != nil {
			t.Fatal(err)
		}
		// Version 13; the alphanumeric mode, or it would be larger.
		if code.Size > 69 {
			t.Errorf("code %d of %d has %d modules", i+1, len(codes), code.Size)
		}
	}
}

func TestTypedByPeople(t *testing.T) {
	typed := text(t, sample(40))
	typed = strings.ReplaceAll(typed, "# host.example/team/llama:v1\n", "")
	for name, change := range map[string]func(string) string{
		"lower case": strings.ToLower,
		"no spaces":  func(s string) string { return strings.ReplaceAll(s, ": ", ":") },
		"hyphens":    func(s string) string { return hyphenated(s, "-") },
		"dashes":     func(s string) string { return hyphenated(s, "–") },
		"tabs":       func(s string) string { return strings.ReplaceAll(s, " ", "\t") },
		"CRLF":       func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
		"letter O": func(s string) string {
			return onlyLines(s, func(l string) string { return strings.ReplaceAll(l, "0", "o") })
		},
		"letter I": func(s string) string {
			return onlyLines(s, func(l string) string { return strings.ReplaceAll(l, "1", "I") })
		},
		"letter l": func(s string) string {
			return onlyLines(s, func(l string) string { return strings.ReplaceAll(l, "1", "l") })
		},
		"blank lines":    func(s string) string { return strings.ReplaceAll(s, "\n", "\n\n") },
		"indented":       func(s string) string { return "   " + strings.ReplaceAll(s, "\n", "\n   ") },
		"comments":       func(s string) string { return strings.ReplaceAll(s, "\n", "\n# checked by both\n") },
		"order":          reversed,
		"a line twice":   func(s string) string { return strings.Replace(s, "END", strings.Split(s, "\n")[3]+"\nEND", 1) },
		"no break":       func(s string) string { return strings.TrimSuffix(s, "\n") },
		"no-break space": func(s string) string { return strings.ReplaceAll(s, " ", "\u00a0") },
	} {
		t.Run(name, func(t *testing.T) { knows(t, parse(t, change(typed)), 40) })
	}
}

// onlyLines changes all lines but the first.
func onlyLines(s string, change func(string) string) string {
	first, rest, _ := strings.Cut(s, "\n")
	lines := strings.Split(rest, "\n")
	for i, l := range lines {
		if n, symbols, ok := strings.Cut(l, ":"); ok {
			lines[i] = n + ":" + change(symbols)
		}
	}
	return first + "\n" + strings.Join(lines, "\n")
}

func hyphenated(s, dash string) string {
	return onlyLines(s, func(l string) string { return strings.ReplaceAll(l, " ", dash) })
}

func reversed(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	slices.Reverse(lines[1 : len(lines)-1])
	return strings.Join(lines, "\n")
}

func TestMalformed(t *testing.T) {
	good := strings.ReplaceAll(text(t, sample(12)), "# host.example/team/llama:v1\n", "")
	lines := strings.Split(strings.TrimSpace(good), "\n")
	other := strings.Split(strings.TrimSpace(strings.ReplaceAll(text(t, sample(13)), "# host.example/team/llama:v1\n", "")), "\n")
	codes, err := sample(100).Codes()
	if err != nil {
		t.Fatal(err)
	}
	otherCodes, err := sample(101).Codes()
	if err != nil {
		t.Fatal(err)
	}
	change := func(i int, line string) string {
		l := slices.Clone(lines)
		l[i] = line
		return strings.Join(l, "\n")
	}
	without := func(i int) string { return strings.Join(slices.Delete(slices.Clone(lines), i, i+1), "\n") }
	for _, c := range []struct {
		name, input string
		line        int // 0: about the whole
		why         string
	}{
		{"empty", "", 0, "empty"},
		{"blank", " \n\t\n", 0, "empty"},
		{"prose", "hello", 1, "no part of an inventory"},
		{"a binary", "\x7fELF\x00\x00", 1, "no part of an inventory"},
		{"no first line", without(0), 1, "begins with MODSEAL INVENTORY"},
		{"no end", without(len(lines) - 1), 0, "ends before its END"},
		{"a line lost", without(4), 0, "line number 4 of 13 is missing"},
		{"the first line lost", without(1), 0, "line number 1 of 13 is missing"},
		{"version 2", change(0, "MODSEAL INVENTORY 2 LINES 13"), 1, "of version 2"},
		{"no count", change(0, "MODSEAL INVENTORY 1 LINES"), 1, "not as the first line"},
		{"a count too large", change(0, "MODSEAL INVENTORY 1 LINES 99999"), 1, "no number of lines"},
		{"a negative count", change(0, "MODSEAL INVENTORY 1 LINES -1"), 1, "no number of lines"},
		{"a count that overflows", change(0, "MODSEAL INVENTORY 1 LINES 18446744073709551616"), 1, "no number of lines"},
		{"fewer announced", change(0, "MODSEAL INVENTORY 1 LINES 12"), 14, "is numbered 13, and there are to be 12"},
		{"more announced", change(0, "MODSEAL INVENTORY 1 LINES 14"), 0, "line number 14 of 14 is missing"},
		{"a wrong code", change(0, "MODSEAL INVENTORY 1 LINES 13 CODE 3/2"), 1, "which QR code"},
		{"code 0", change(0, "MODSEAL INVENTORY 1 LINES 13 CODE 0/2"), 1, "which QR code"},
		{"a symbol wrong", change(5, replaceAt(lines[5], 8)), 6, "does not fit its check symbols"},
		{"two symbols swapped", change(5, swapped(lines[5])), 6, "does not fit its check symbols"},
		{"a symbol missing", change(5, lines[5][:len(lines[5])-1]), 6, "18 symbols, and 19 are needed"},
		{"a symbol too many", change(5, lines[5]+"0"), 6, "more than 19"},
		{"a letter that is none", change(5, strings.Replace(lines[5], "B", "U", 1)), 6, "is no symbol"},
		{"an umlaut", change(5, lines[5][:len(lines[5])-1]+"Ä"), 6, "is no symbol"},
		{"no colon", change(5, strings.Replace(lines[5], ":", "", 1)), 6, "no colon"},
		{"no number", change(5, lines[5][1:]), 6, "no number of a line"},
		{"number 0", change(5, "0"+lines[5][1:]), 6, "no number of a line"},
		{"the number wrong", change(5, "7"+lines[5][1:]), 6, "does not fit its check symbols"},
		{"a line of another", change(13, other[13]), 0, "several inventories"},
		{"the end of another", change(len(lines)-1, other[len(other)-1]), 0, "several inventories"},
		{"the end wrong", change(len(lines)-1, replaceAt(lines[len(lines)-1], 6)), 15, "does not fit"},
		{"two after one another", good + good, 16, "another inventory"},
		{"one within another", lines[0] + "\n" + good, 2, "begins again"},
		{"something after it", good + lines[3], 16, "no part of an inventory"},
		{"a code missing", strings.Join(slices.Delete(slices.Clone(codes), 1, 2), "\n"), 0, "QR code 2 of"},
		{"a code of another", strings.Join(append(slices.Clone(codes[1:]), otherCodes[0]), "\n"), len(codes), "another inventory"},
		{"half a code", codes[0][:200], 1, "symbols"},
		{"JSON cut", `{"mediaType":`, 0, "no JSON"},
		{"JSON of something", `{}`, 0, "mediaType"},
		{"JSON twice", jsonOf(t, 1) + jsonOf(t, 1), 0, "follows"},
		{"JSON with a malformed digest", strings.Replace(jsonOf(t, 1), "sha256:", "sha256:../", 1), 0, "artifact 0: digest"},
		{"JSON with md5", strings.ReplaceAll(jsonOf(t, 1), "sha256:", "md5:"), 0, "digest"},
		{"JSON with a negative size", strings.Replace(jsonOf(t, 1), `"size":65536`, `"size":-1`, 1), 0, "blob 0"},
		{"JSON with a size that no blob has", strings.Replace(jsonOf(t, 1), `"size":65536`, `"size":70368744177665`, 1), 0, "blob 0"},
		{"JSON with a text for a size", strings.Replace(jsonOf(t, 1), `"size":65536`, `"size":"x"`, 1), 0, "no JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inv, err := inventory.Parse([]byte(c.input))
			var e *inventory.Error
			if !errors.As(err, &e) {
				t.Fatalf("Parse = %v, %v", inv, err)
			}
			if e.Line != c.line || !strings.Contains(e.Error(), c.why) {
				t.Errorf("line %d: %v", e.Line, e)
			}
		})
	}
}

func jsonOf(t *testing.T, n int) string {
	t.Helper()
	raw, err := json.Marshal(sample(n))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// replaceAt changes the symbol at an offset of a line.
func replaceAt(line string, at int) string {
	with := "7"
	if line[at] == '7' {
		with = "8"
	}
	return line[:at] + with + line[at+1:]
}

// swapped changes the places of two neighbours that differ.
func swapped(line string) string {
	for i := 6; ; i++ {
		if a, b := line[i], line[i+1]; a != b && a != ' ' && b != ' ' {
			return line[:i] + string(b) + string(a) + line[i+2:]
		}
	}
}

// One mistyped symbol is named, and what it may have been, at every place of a line;
// two are noticed.
func TestEveryMistypedSymbolIsNoticed(t *testing.T) {
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	lines := strings.Split(strings.ReplaceAll(text(t, sample(1)), "# host.example/team/llama:v1\n", ""), "\n")
	line := lines[2]
	for i := strings.IndexByte(line, ':') + 2; i < len(line); i++ {
		if line[i] == ' ' {
			continue
		}
		for _, a := range alphabet {
			if byte(a) == line[i] {
				continue
			}
			lines[2] = line[:i] + string(a) + line[i+1:]
			var e *inventory.Error
			if _, err := inventory.Parse([]byte(strings.Join(lines, "\n"))); !errors.As(err, &e) || e.Line != 3 ||
				!strings.Contains(e.Perhaps, fmt.Sprintf("is %c instead of %c", line[i], a)) {
				t.Fatalf("%s: %v", lines[2], err)
			}
			for j := i + 1; j < len(line); j++ {
				if line[j] == ' ' {
					continue
				}
				lines[2] = line[:i] + string(a) + line[i+1:j] + string(alphabet[(strings.IndexByte(alphabet, line[j])+7)%32]) + line[j+1:]
				if _, err := inventory.Parse([]byte(strings.Join(lines, "\n"))); err == nil {
					t.Fatalf("%s was taken for %s", lines[2], line)
				}
			}
		}
	}
}

func TestBounds(t *testing.T) {
	if _, err := inventory.Parse(make([]byte, 32<<20+1)); err == nil {
		t.Error("an inventory of more than 32 MiB was read")
	}
	if _, err := sample(inventory.MaxLines).Text(); err == nil {
		t.Error("text of more lines than can be numbered")
	}
	if _, err := sample(3000).Codes(); err == nil {
		t.Error("more QR codes than MaxCodes")
	}
	if _, err := inventory.New(nil, []inventory.Blob{{"sha256:xyz", inventory.SmallBlob}}).Text(); err == nil {
		t.Error("text of what is no digest")
	}
}

func TestNamesBeginNoLine(t *testing.T) {
	inv := inventory.New([]inventory.Artifact{{Name: "a\nEND: 0\n\x1b[31m", Digest: digest.FromString("a")}}, nil)
	if s := text(t, inv); strings.Count(s, "\n") != 4 || strings.Contains(s, "\x1b") {
		t.Errorf("text = %q", s)
	}
}

func TestLooks(t *testing.T) {
	for s, want := range map[string]bool{
		"MODSEAL INVENTORY 1": true, "\n modseal inventory 1": true, "{}": true, "# mine\nMODSEAL": true,
		"oci-layout\x00\x00": false, "": false, "MODSEAL": false,
	} {
		if inventory.Looks([]byte(s)) != want {
			t.Errorf("Looks(%q) = %v", s, !want)
		}
	}
}

// A plus stands for the end of a line in QR codes, and for itself in what people
// note.
func TestCommentsWithAPlus(t *testing.T) {
	s := text(t, sample(3))
	knows(t, parse(t, "# read by Ann + Bob\n"+strings.ReplaceAll(s, "\n", "\n  # and + again\n")), 3)
}
