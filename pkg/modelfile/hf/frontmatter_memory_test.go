package hf_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/modelfile/hf"
)

// The block at the beginning of a README has 64 KiB at most, of which a parser makes
// a tree. All that is allocated counts, garbage too, since how much of that is there at
// one time depends on what else the machine does.
func TestFrontMatterMemory(t *testing.T) {
	const budget = 32 << 20
	filled := func(format string) string {
		return numbered(format, (hf.MaxFrontMatterSize-40)/(len(format)+2))
	}
	keys := func(n int) string { return numbered("k%d: v\n", n) }
	full := func(s string) string { return strings.Repeat(s, (hf.MaxFrontMatterSize-40)/len(s)) }
	for name, block := range map[string]string{
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
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := hf.ParseFrontMatter([]byte("---\n" + block + "---\n"))
			runtime.ReadMemStats(&after)
			if made := after.TotalAlloc - before.TotalAlloc; made > budget {
				t.Errorf("%d bytes were allocated (%v)", made, err)
			}
		})
	}
}
