package secret_test

import (
	"io"
	"math/rand/v2"
	"regexp/syntax"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/scan/secret"
)

// Of the rules those are compiled whose keyword is in the text, and no path is judged
// as long as there is none.
func TestRulesAreCompiledWhenNeeded(t *testing.T) {
	for _, tt := range []struct {
		name, path, text string
		want             []string
	}{
		{"a record", "part-001/record 00001.json", `{"record":1,"text":"xxxx"}`, nil},
		{"a configuration", "config.json", `{"architectures":["LlamaForCausalLM"],"bos_token_id":1,"vocab_size":32000}`, []string{"generic-api-key", "paths"}},
		{"a token", "a.sh", "hf_" + token(lower, 34), []string{"huggingface-access-token", "paths"}},
		{"a path where nothing counts", "node_modules/a.js", "hf_" + token(lower, 34), []string{"paths"}},
		{"a long text", "a.txt", strings.Repeat("all is well\n", 20<<10), []string{"paths"}},
		{"a rule of other paths", "a.txt", "administrator_login", []string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rules, err := secret.NewRules()
			if err != nil {
				t.Fatal(err)
			}
			if err := rules.Find(tt.path, strings.NewReader(tt.text), func(secret.Found) error { return nil }); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Join(tt.want, " "), strings.Join(rules.Compiled(), " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Rules that are compiled one by one find what they find when all are compiled
// before, in a text that is made for each of them.
func TestLazyFindsWhatEagerFinds(t *testing.T) {
	lazy, err := secret.NewRules()
	if err != nil {
		t.Fatal(err)
	}
	eager, err := secret.NewRules()
	if err != nil {
		t.Fatal(err)
	}
	eager.CompileAll()
	found := map[string]bool{}
	for id, source := range lazy.Sources() {
		re, err := syntax.Parse(source[0], syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(1, 1)) // the same text every time
		for range 4 {
			var b strings.Builder
			sample(&b, r, re)
			text := "begin " + source[1] + "\n" + b.String() + "\nend\n"
			for _, path := range []string{"a.txt", "a.php", "main.tf", "a.yaml", "nuget.config", "vendor/bundle/a.txt"} {
				want := all(t, eager.Find, path, text)
				if diff := cmp.Diff(want, all(t, lazy.Find, path, text)); diff != "" {
					t.Errorf("%s in %s: %s", id, path, diff)
				}
				for _, f := range want {
					found[f.Rule] = true
				}
			}
		}
	}
	// Not all: some texts have too few different characters, or look like a placeholder.
	if n := len(lazy.Sources()); len(found) < n*9/10 {
		t.Errorf("the texts of %d rules have something in them for %d", n, len(found))
	}
}

func all(t *testing.T, find func(string, io.Reader, func(secret.Found) error) error, path, text string) []secret.Found {
	t.Helper()
	var out []secret.Found
	err := find(path, strings.NewReader(text), func(f secret.Found) error {
		out = append(out, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sample writes a text that an expression matches, but for what it asks of the text
// around.
func sample(b *strings.Builder, r *rand.Rand, re *syntax.Regexp) {
	least, most := re.Min, re.Max
	switch re.Op { //nolint:exhaustive // what is left stands for no character
	case syntax.OpLiteral:
		b.WriteString(string(re.Rune))
		return
	case syntax.OpCharClass:
		b.WriteRune(member(r, re.Rune))
		return
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		b.WriteByte('x')
		return
	case syntax.OpAlternate:
		sample(b, r, re.Sub[r.IntN(len(re.Sub))])
		return
	case syntax.OpCapture, syntax.OpConcat:
		least, most = 1, 1
	case syntax.OpPlus:
		least, most = 1, 1
	case syntax.OpQuest, syntax.OpStar:
		least, most = 0, 1
	}
	for range least + r.IntN(max(most-least, 0)+1) {
		for _, sub := range re.Sub {
			sample(b, r, sub)
		}
	}
}

// member returns a character of a class, a printable one where it has one.
func member(r *rand.Rand, ranges []rune) rune {
	var out []rune
	for i := 0; i < len(ranges); i += 2 {
		for c := max(ranges[i], ' '); c <= min(ranges[i+1], '~'); c++ {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return ranges[0]
	}
	return out[r.IntN(len(out))]
}

// Many small texts leave little garbage.
func TestFindTakesNoBufferForEach(t *testing.T) {
	const texts, bound = 1_000, 64 << 20 // half of what they took with a buffer for each
	find(t, "a.json", "{}")              // for which the rules are parsed
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range texts {
		find(t, "a.json", `{"record":1}`)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > bound {
		t.Errorf("%d KiB for %d texts", got>>10, texts)
	} else {
		t.Logf("%d KiB", got>>10)
	}
}
