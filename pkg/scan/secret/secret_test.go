package secret_test

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/scan/secret"
)

// token returns n random characters, the same ones every time: a credential that
// stood here would be found by everybody's scanner.
func token(alphabet string, n int) string {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

const (
	upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	mixed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	lower = "abcdefghijklmnopqrstuvwxyz"
)

func find(t *testing.T, path, text string) []secret.Found {
	t.Helper()
	var out []secret.Found
	err := secret.Find(path, strings.NewReader(text), func(f secret.Found) error {
		f.Description = ""
		out = append(out, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFind(t *testing.T) {
	aws := "AKIA" + token(upper, 16)
	hub := "hf_" + token(lower, 34)
	github := "ghp_" + token(mixed, 36)
	pem := "-----BEGIN PRIVATE " + "KEY-----\n" + token(mixed, 64) + "\n" + token(mixed, 64) + "\n-----END PRIVATE " + "KEY-----\n"
	for _, tt := range []struct {
		name, path, text string
		want             []secret.Found
	}{
		{"nothing", "README.md", "# A model\nIts tokens are words.\n", nil},
		{"an AWS key", "train.sh", "export AWS_ACCESS_KEY_ID=" + aws + "\n", []secret.Found{{Rule: "aws-access-token", Offset: 25, Line: 1, Length: 20}}},
		{"a token of a hub on its line", "config.json", "{\n \"a\": 1,\n \"hub\": \"" + hub + "\"\n}", []secret.Found{{Rule: "huggingface-access-token", Offset: 20, Line: 3, Length: 37}}},
		{"a token of a forge", "notes.txt", "clone with " + github + "\n", []secret.Found{{Rule: "github-pat", Offset: 11, Line: 1, Length: 40}}},
		{"a private key", "deploy/id", "\n" + pem, []secret.Found{{Rule: "private-key", Offset: 1, Line: 2, Length: len(pem) - 1}}},
		{"an example that vendors print", "a.sh", "AKIAIOSFODNN7" + "EXAMPLE\n", nil},
		{"a key store by its name", "keys/release.p12", "", []secret.Found{{Rule: "pkcs12-file", Line: 1}}},
		{"a path that is allowed", "node_modules/a/b.js", github, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, find(t, tt.path, tt.text)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A secret that two chunks share is found once, and where it is.
func TestFindAcrossChunks(t *testing.T) {
	hub := "hf_" + token(lower, 34)
	for _, at := range []int{100, 119<<10 - 5, 120<<10 + 10, 128<<10 - 20, 128 << 10, 300 << 10} {
		text := strings.Repeat("all is well\n", at/12) + strings.Repeat("\n", at%12) + "token: " + hub + "\n" + strings.Repeat("x y\n", 90<<10)
		want := []secret.Found{{Rule: "huggingface-access-token", Offset: int64(at) + 7, Line: at/12 + at%12 + 1, Length: 37}}
		if diff := cmp.Diff(want, find(t, "a.txt", text)); diff != "" {
			t.Errorf("at %d: %s", at, diff)
		}
	}
}

// Every expression of the rules is one that Go compiles, and each rule is one that
// can be found: it has words that lead to it, or a path.
func TestRulesAreWhole(t *testing.T) {
	type allowlist struct{ Paths, Regexes, Stopwords []string }
	var doc struct {
		Allowlist allowlist
		Rules     []struct {
			ID, Regex, Path string
			Keywords        []string
			Allowlists      []allowlist
		}
	}
	if _, err := toml.Decode(secret.Text(), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Rules) < 200 {
		t.Errorf("%d rules", len(doc.Rules))
	}
	var all []string
	for _, r := range doc.Rules {
		if r.Path == "" && len(r.Keywords) == 0 {
			t.Errorf("%s has neither path nor keywords", r.ID)
		}
		all = append(all, r.Regex, r.Path)
		for _, k := range r.Keywords {
			if k != strings.ToLower(k) {
				t.Errorf("%s: keyword %q is not in lower case", r.ID, k)
			}
		}
		for _, a := range r.Allowlists {
			all = append(append(all, a.Paths...), a.Regexes...)
		}
	}
	for _, expression := range append(append(all, doc.Allowlist.Paths...), doc.Allowlist.Regexes...) {
		if _, err := regexp.Compile(expression); err != nil {
			t.Errorf("%s: %v", expression, err)
		}
	}
}

func FuzzFind(f *testing.F) {
	f.Add("config.json", "token = \"hf_"+token(lower, 34)+"\"")
	f.Add("a.pem", "-----BEGIN RSA PRIVATE "+"KEY-----")
	f.Add("É.txt", "K\u212a AKIA"+token(upper, 16))
	f.Fuzz(func(t *testing.T, path, text string) {
		err := secret.Find(path, strings.NewReader(text), func(s secret.Found) error {
			if s.Offset < 0 || s.Offset+int64(s.Length) > int64(len(text)) || s.Line < 1 {
				t.Errorf("%+v of %d bytes", s, len(text))
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}
