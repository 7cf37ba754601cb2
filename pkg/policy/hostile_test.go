package policy_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/policy"
)

// nested is a comprehension in a comprehension, n deep.
func nested(n int) string {
	text := "true"
	for i := range n {
		text = fmt.Sprintf("files.all(f%d, %s)", i, text)
	}
	return text
}

// doubled makes a list that has the first one twice, n times, without saying so at
// length.
func doubled(first string, n int) string {
	text := first
	for i := range n {
		text = fmt.Sprintf("%s.map(x%d, [x%d, x%d])", text, i, i, i)
	}
	return text
}

// hostileFacts are as large as they may be: many files, and a predicate with long
// texts and lists.
func hostileFacts(t *testing.T) *policy.Facts {
	t.Helper()
	a := artifact()
	a.Files = nil
	for i := range 100_000 {
		a.Files = append(a.Files, policy.File{Name: fmt.Sprintf("data/part-%06d.bin", i), Size: int64(i), Role: "dataset"})
	}
	f, err := facts(t, a).About(policy.Attestation{Predicate: fmt.Appendf(nil, `{"text": %q, "list": [%s0], "word": "x", "texts": [%s"x"], "n": 9000000000000000000}`,
		strings.Repeat("x", 1<<20), strings.Repeat("0,", 100_000), strings.Repeat(fmt.Sprintf("%q,", strings.Repeat("y", 100)), 10_000))})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// What loops long or makes much is refused, by what it would cost and without
// being done: every row ends, and takes no more memory than a few of the largest
// values.
func TestHostileConditions(t *testing.T) {
	f := hostileFacts(t)
	for name, expression := range map[string]string{
		"loop in a loop":           "files.all(f, files.all(g, f.size + g.size >= 0))",
		"loops, many deep":         nested(20),
		"loop over text":           "files.all(f, !predicate.text.contains('z'))",
		"text in a text":           "files.all(f, !predicate.text.contains(f.name + predicate.text))",
		"replace nothing by text":  "predicate.text.replace('', predicate.text) != ''",
		"replace each by text":     "predicate.text.replace('x', predicate.text) != ''",
		"replace word by text":     "predicate.text.replace(predicate.word, predicate.text).size() > 0",
		"join by text":             "predicate.texts.join(predicate.text) != ''",
		"split and join by text":   "predicate.text.split('').join(predicate.text) != ''",
		"search in long text":      "predicate.text.indexOf(predicate.text + 'z') == -1",
		"text doubled":             "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16].map(i, predicate.text + predicate.text + predicate.text).join('').size() > 0",
		"text in every file":       "files.map(f, predicate.text + f.name).size() > 0",
		"list in every file":       "files.map(f, predicate.list + [f.size]).flatten().size() > 0",
		"list doubled":             doubled("[1]", 30) + ".flatten(60).size() == 1",
		"doubled and compared":     doubled("[1]", 28) + " == " + doubled("[1]", 28),
		"doubled, and different":   doubled("[1]", 28) + " != " + doubled("[1]", 28),
		"doubled the second time":  "[0, 1].all(i, " + doubled("(i == 0 ? [] : [1])", 28) + " == " + doubled("(i == 0 ? [] : [1])", 28) + ")",
		"doubled and looked for":   doubled("[1]", 28) + " in [" + doubled("[1]", 28) + "]",
		"doubled and formatted":    "'%s'.format([" + doubled("[1]", 28) + "]) == ''",
		"list in list":             "predicate.list.hasOnly(predicate.list)",
		"sets":                     "sets.contains(predicate.list, predicate.list)",
		"sets in a loop":           "files.all(f, sets.intersects(predicate.texts, [f.name]) == false)",
		"distinct":                 "predicate.list.distinct().size() == 1",
		"distinct files":           "files.map(f, f.name).distinct().size() == 100000",
		"in":                       "files.all(f, !(f.name in predicate.texts))",
		"long range":               "lists.range(predicate.n).size() > 0",
		"range in a range":         "lists.range(9999).all(i, lists.range(9999).all(j, i + j >= 0))",
		"equal in a loop":          "files.all(f, predicate.list == predicate.list)",
		"texts equal in a loop":    "files.all(f, predicate.text == predicate.text)",
		"sort in a loop":           "files.all(f, predicate.texts.sort().size() > 0)",
		"regexp in a loop":         "files.all(f, predicate.text.matches('^(x|y|z){1,100}w$') == false)",
		"size of text in a loop":   "files.all(f, predicate.text.size() > 0)",
		"letters in a loop":        "files.all(f, predicate.text.upperAscii() != '')",
		"reversed in a loop":       "files.all(f, predicate.text.reverse() != '')",
		"bytes in a loop":          "files.all(f, bytes(predicate.text).size() > 0)",
		"text to text in a loop":   "files.all(f, string(bytes(predicate.text)) != '')",
		"formatted in a loop":      "files.all(f, '%s%s'.format([predicate.text, predicate.list]) != '')",
		"letter by letter":         "files.all(f, predicate.text.charAt(1048575) == 'x')",
		"part by part":             "files.all(f, predicate.text.substring(1) != '')",
		"slices":                   "files.all(f, predicate.list.slice(1, 100000).size() > 0)",
		"lists reversed":           "files.all(f, predicate.list.reverse().size() > 0)",
		"least in a loop":          "files.all(f, math.least(predicate.list) == 0)",
		"maps":                     "files.map(f, {f.name: predicate.list}).all(m, m == m)",
		"hidden behind or":         "true || files.all(f, true) && predicate.text.replace('', predicate.text) != '' ? predicate.text.replace('', predicate.text) != '' : true",
		"an error that or absorbs": "predicate.text.replace('', predicate.text) != '' || true",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := policy.AttestationCondition("", expression)
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err = c.Eval(t.Context(), f)
			runtime.ReadMemStats(&after)
			var e *policy.ConditionError
			if !errors.As(err, &e) || e.False || !strings.Contains(e.Why, "more than") {
				t.Errorf("%v", err)
			}
			if made := after.TotalAlloc - before.TotalAlloc; made > 2<<30 {
				t.Errorf("%d MiB were allocated", made>>20)
			}
		})
	}
}

// What people write is far from the limits, also for the largest models and bills
// of materials.
func TestLargeHonestConditions(t *testing.T) {
	a := artifact()
	a.Files = nil
	for i := range 100_000 {
		a.Files = append(a.Files, policy.File{Name: fmt.Sprintf("data/train/part-%06d-of-100000.parquet", i), Size: int64(i), Role: "dataset", Digest: "sha256:" + strings.Repeat("ab", 32)})
	}
	var bill strings.Builder
	bill.WriteString(`{"components": [`)
	for i := range 50_000 {
		fmt.Fprintf(&bill, `{"type": "library", "name": "package-%d", "version": "1.0.%d", "purl": "pkg:pypi/package-%d@1.0.%d", "licenses": [{"license": {"id": "MIT"}}]},`, i, i, i, i)
	}
	bill.WriteString(`{"type": "machine-learning-model", "name": "m"}]}`)
	f, err := facts(t, a).About(policy.Attestation{PredicateType: "https://cyclonedx.org/bom", Predicate: []byte(bill.String())})
	if err != nil {
		t.Fatal(err)
	}
	for _, expression := range []string{
		"files.all(f, !f.name.endsWith('.pkl') && !f.name.endsWith('.bin') && !f.name.contains('..') && f.size < 1000000000)",
		"files.all(f, f.name.matches('^data/train/[a-z0-9-]+[.]parquet$'))",
		"files.filter(f, f.role == 'dataset').size() == 100000",
		"files.exists_one(f, f.name == 'data/train/part-099999-of-100000.parquet')",
		"predicate.components.exists(c, c.type == 'machine-learning-model' && c.name == 'm')",
		"predicate.components.all(c, !has(c.licenses) || c.licenses.all(l, l.license.id in ['MIT', 'Apache-2.0', 'BSD-3-Clause']))",
	} {
		c, err := policy.AttestationCondition("", expression)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Eval(t.Context(), f); err != nil {
			t.Errorf("%s: %v", expression, err)
		}
	}
}
