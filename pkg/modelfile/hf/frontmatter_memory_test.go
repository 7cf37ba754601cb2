package hf_test

import (
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/modelfile/hf"
)

// hostileBlocks are mappings of some bytes, each of which costs a parser most in
// another way.
func hostileBlocks(size int) map[string]string {
	filled := func(format string) string { return numbered(format, (size-40)/(len(format)+2)) }
	keys := func(n int) string { return numbered("k%d: v\n", n) }
	full := func(s string) string { return strings.Repeat(s, (size-40)/len(s)) }
	return map[string]string{
		"keys":           filled("k%d: v\n"),
		"most keys":      keys(1_500),
		"keys below":     "x:\n" + strings.ReplaceAll(keys(1_500), "k", "  k"),
		"commented keys": "x:\n" + strings.ReplaceAll(keys(3_000), "k", "#\n  k"),
		"keys with ?":    strings.ReplaceAll(strings.ReplaceAll(keys(3_000), "k", "? k"), ": ", "\n: "),
		"anchored keys":  strings.ReplaceAll(keys(4_000), "k", "&a k"),
		"quoted keys":    strings.ReplaceAll(strings.ReplaceAll(keys(4_000), "k", `"`), ":", `":`),
		"tagged keys":    strings.ReplaceAll(keys(4_000), "k", "!!str k"),
		"keys in item":   "x:\n-\n" + strings.ReplaceAll(keys(4_000), "k", "  k"),
		"keys after -":   "x:\n- a: b\n" + strings.ReplaceAll(keys(4_000), "k", "  k"),
		"keys and lists": strings.ReplaceAll(keys(2_500), "v\n", "\n- a\n"),
		"keys and maps":  strings.ReplaceAll(keys(2_500), "v\n", "\n    a:\n      b\n"),
		"steps":          strings.ReplaceAll(keys(2_500), "v\n", "|\n a\n"),
		"keys of items":  "x:\n" + strings.Repeat("- a: b\n  c: d\n", 3_000),
		"keys in braces": "x: {\n" + strings.ReplaceAll(keys(5_000), "\n", ",\n") + "}\n",
		"items":          "tags:\n" + full("- x\n"),
		"short items":    "tags: [" + full("a,") + "b]\n",
		"empty items":    "tags: [" + full(",") + "]\n",
		"items on lines": "tags: [" + full(strings.Repeat("a,", 1_900)+"\n") + "b]\n",
		"empty on lines": "tags: [" + full(strings.Repeat(",", 3_900)+"\n") + "]\n",
		"mappings":       "x: [" + full("{a: b},\n") + "]\n",
		"nested":         "x: " + full("[[[[]]]],") + "\n",
		"anchors":        filled("k%d: &a v\n"),
		"comments":       full("#\n"),
		"one text":       "license: " + full("a") + "\n",
		"quoted":         "license: \"" + full(`\n`) + "\"\n",
		"block text":     "license: |\n" + full(" a\n"),
		"colons":         full(":"),
		"question marks": full("?\n"),
		"spaces":         full(" ") + "\n",
		"indentation":    full("\n    "),
	}
}

// allocated returns the bytes that were allocated for reading a README, garbage too,
// since how much of that is there at one time depends on what else the machine does.
func allocated(readme io.Reader) (made uint64, err error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = hf.ReadFrontMatter(readme)
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, err
}

// A parser makes a tree of 64 KiB at once, or of a result of model-index. What is kept of
// a long front matter meanwhile, and all that is allocated for one tree, has room in the
// memory of a reader.
const (
	readerBudget = 32 << 20
	resultBudget = 16 << 20
	keptBudget   = 8 << 20
)

func TestFrontMatterMemory(t *testing.T) {
	for name, block := range hostileBlocks(hf.MaxParsedSize) {
		t.Run(name, func(t *testing.T) {
			made, err := allocated(strings.NewReader("---\n" + block + "---\n"))
			if made > readerBudget {
				t.Errorf("%d bytes were allocated (%v)", made, err)
			}
		})
	}
}

// longCard makes a front matter that is too long to be parsed whole, with a result that
// is a mapping.
func longCard(mapping string) string {
	result := "  -\n    " + strings.ReplaceAll(mapping, "\n", "\n    ")
	return "---\nmodel-index:\n" + longModel(false) + strings.TrimRight(result, " ") + "---\n"
}

func TestResultMemory(t *testing.T) {
	none, err := allocated(strings.NewReader(longCard("\n")))
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range hostileBlocks(24 << 10) {
		t.Run(name, func(t *testing.T) {
			made, err := allocated(strings.NewReader(longCard(block)))
			if made > none+resultBudget {
				t.Errorf("%d bytes were allocated (%v)", made-none, err)
			}
		})
	}
}

// What is kept of a long front matter: the metrics that are read, and texts of them.
func TestLongFrontMatterMemory(t *testing.T) {
	text := strings.Repeat("x", 100)
	for name, results := range map[string]string{
		"metrics":         numbered("  - metrics:\n"+numbered("    - {type: b%d, value: %%[1]d}\n", 40), 1_000),
		"texts":           numbered("  - task: {type: a%[1]d"+text+"}\n    dataset: {type: b%[1]d"+text+"}\n    metrics: [{type: c%[1]d"+text+", value: %[1]d}]\n", 4_000),
		"wrong metrics":   numbered("  - metrics: [{type: a%d}]\n", 50_000),
		"no metrics":      numbered("  - x: a%d\n", 100_000),
		"comments":        strings.Repeat("  # "+text+"\n", 15_000),
		"long results":    strings.Repeat("  - task:\n"+strings.Repeat("      x: "+text+"\n", 310), 50),
		"one long result": "  - task:\n" + strings.Repeat("      x: "+text+"\n", 15_000),
	} {
		t.Run(name, func(t *testing.T) {
			card := "---\nlicense: mit\nmodel-index:\n- results:\n" + results
			if len(card) < 1<<20 {
				t.Fatalf("%d bytes are no long front matter", len(card))
			}
			r := &weighed{Reader: &inPieces{card[:min(len(card), hf.MaxFrontMatterSize-100)] + "\nlanguage: en\n---\n"}, before: heap()}
			got, err := hf.ReadFrontMatter(r)
			if err != nil || len(got.License) != 1 || len(got.Language) != 1 {
				t.Fatal(err, got)
			}
			if r.reads < 100 || r.most > keptBudget {
				t.Errorf("%d bytes of the heap at most in %d reads", r.most, r.reads)
			}
			if now := heap(); now-min(now, r.before) > keptBudget {
				t.Errorf("%d bytes of the heap when all was read", now-r.before)
			}
			runtime.KeepAlive(got)
		})
	}
}

// inPieces reads a text some kilobytes at a time.
type inPieces struct{ text string }

func (p *inPieces) Read(b []byte) (int, error) {
	n := copy(b[:min(len(b), 4<<10)], p.text)
	if p.text = p.text[n:]; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
