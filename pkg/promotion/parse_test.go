package promotion_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/modseal/modseal/pkg/promotion"
)

const full = `# what production runs
version: 1
defaults:
  policy: staging.yaml
  destinationPolicy: [production.yaml, region.yaml]
  sign: {key: 'awskms:///alias/promoter'}
  verifierId: https://ci.example.com/promotion
  levels: [SLSA_BUILD_LEVEL_2]
  renew: 30d
promotions:
  - from: staging.example.com/ml/llama:v1
    to: prod.example.com/ml/llama:v1
  - from: staging.example.com/ml/ranker:v*
    to: prod.example.com/ml/ranker
    policy:
      - ranker.yaml
    sign:
      keyless: true
      signingConfig: trust:corp
      trustedRoot: trust:corp
  - from: oci:./layout:v2
    to: oci:./other
    overwrite: true
    expect: sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
`

func TestParse(t *testing.T) {
	t.Parallel()
	p, err := promotion.Parse("plan.yaml", []byte(full))
	if err != nil {
		t.Fatal(err)
	}
	base := promotion.Promotion{
		Policies: []string{"staging.yaml"}, DestinationPolicies: []string{"production.yaml", "region.yaml"},
		Sign: promotion.Sign{Key: "awskms:///alias/promoter"}, VerifierID: "https://ci.example.com/promotion",
		Levels: []string{"SLSA_BUILD_LEVEL_2"}, Renew: 30 * 24 * time.Hour,
	}
	want := &promotion.Plan{Name: "plan.yaml", Promotions: []promotion.Promotion{base, base, base}}
	w := want.Promotions
	w[0].From, w[0].To, w[0].Line = "staging.example.com/ml/llama:v1", "prod.example.com/ml/llama:v1", 11
	w[1].From, w[1].To, w[1].Line = "staging.example.com/ml/ranker:v*", "prod.example.com/ml/ranker", 13
	w[1].Policies = []string{"ranker.yaml"}
	w[1].Sign = promotion.Sign{Keyless: true, SigningConfig: "trust:corp", TrustedRoot: "trust:corp"}
	w[2].From, w[2].To, w[2].Line = "oci:./layout:v2", "oci:./other", 21
	w[2].Overwrite, w[2].Expect = true, "sha256:"+strings.Repeat("a", 64)
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for i, pattern := range []bool{false, true, false} {
		if p.Promotions[i].Pattern() != pattern {
			t.Errorf("promotion %d: pattern %t", i, !pattern)
		}
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"30d": 720 * time.Hour, "12h": 12 * time.Hour, "5m": 5 * time.Minute,
		"": 0, "0d": 0, "-1d": 0, "1": 0, "d": 0, "1w": 0, "1h30m": 0, "1.5h": 0, "9999999d": 0, "1d\n": 0,
	} {
		got, ok := promotion.ParseDuration(text)
		if got != want || ok != (want > 0) {
			t.Errorf("%q: %v, %t", text, got, ok)
		}
	}
}

type refusal struct {
	text   string
	line   int
	want   string
	unseen bool // by the JSON Schema
}

func refusals(t *testing.T) map[string]refusal {
	t.Helper()
	with := func(old, other string) string {
		t.Helper()
		if !strings.Contains(full, old) {
			t.Fatalf("the plan has no %q", old)
		}
		return strings.Replace(full, old, other, 1)
	}
	return map[string]refusal{
		"nothing":            {"", 0, "empty", false},
		"a list":             {"- a\n", 1, "mapping", false},
		"no YAML":            {"version: [\n", 1, "", false},
		"two documents":      {full + "---\nversion: 1\n", 26, "second document", true},
		"unknown key":        {with("defaults:", "extra: 1\ndefaults:"), 3, `unknown field "extra"`, false},
		"unknown default":    {with("  renew: 30d", "  overwrite: true"), 9, `unknown field "overwrite"`, false},
		"unknown in entry":   {with("    to: prod.example.com/ml/llama:v1", "    too: prod.example.com/ml/llama:v1"), 12, `unknown field "too"`, false},
		"unknown in sign":    {with("keyless: true", "keylessly: true"), 18, `unknown field "keylessly"`, false},
		"double key":         {with("    policy:\n", "    to: a.b/c\n    policy:\n"), 15, "to", false},
		"double key at top":  {with("promotions:", "version: 1\npromotions:"), 10, "version", false},
		"double key in flow": {with("{key: 'awskms:///alias/promoter'}", "{key: a, key: b}"), 6, "key", false},
		"anchor":             {with("to: prod.example.com/ml/llama:v1", "to: &a prod.example.com/ml/llama:v1"), 12, "anchors", true},
		"alias":              {with("renew: 30d", "renew: *a"), 9, "", false},
		"merge key":          {with("    overwrite: true", "    <<: {overwrite: true}"), 23, "anchors", true},
		"tag":                {with("renew: 30d", "renew: !!str 30d"), 9, "tags", true},
		"null":               {with("policy: staging.yaml", "policy:"), 4, "value is missing", false},
		"no version":         {with("version: 1\n", ""), 0, "no version", false},
		"version 2":          {with("version: 1", "version: 2"), 2, "version 2", false},
		"version as text":    {with("version: 1", "version: '1'"), 2, "whole number", false},
		"no promotions":      {"version: 1\n", 0, "no promotions", false},
		"empty promotions":   {"version: 1\npromotions: []\n", 0, "no promotions", false},
		"no from":            {"version: 1\npromotions:\n  - to: a.b/c\n", 3, "no from", false},
		"no to":              {"version: 1\npromotions:\n  - from: a.b/c:v1\n", 3, "no to", false},
		"number for text":    {with("to: oci:./other", "to: 5"), 22, "text is needed", false},
		"empty text":         {with("to: oci:./other", "to: ''"), 22, "empty", false},
		"text for boolean":   {with("overwrite: true", "overwrite: 'yes'"), 23, "true or false", false},
		"empty policies":     {with("[production.yaml, region.yaml]", "[]"), 5, "between 1", false},
		"renew":              {with("renew: 30d", "renew: 1 month"), 9, "duration", false},
		"expect no digest":   {with("expect: sha256:aaaa", "expect: sha256:xaaa"), 24, "no digest", true},
		"verifier id":        {with("https://ci.example.com/promotion", "ci"), 7, "absolute URI", true},
		"same place twice":   {with("to: prod.example.com/ml/ranker\n", "to: prod.example.com/ml/ranker\n  - from: x.example/ml/llama:v9\n    to: prod.example.com/ml/llama:v1\n"), 15, "line 11", true},
		"same place by tag":  {with("to: oci:./other", "to: prod.example.com/ml/llama\n  - from: oci:x:v2\n    to: prod.example.com/ml/llama"), 23, "line 21", true},
		"glob in repository": {with("staging.example.com/ml/ranker:v*", "staging.example.com/ml/*:v1"), 13, "only the tag", true},
		"glob in to":         {with("to: prod.example.com/ml/ranker", "to: prod.example.com/ml/ranker:v*"), 13, "only the tag", true},
		"glob to one tag":    {with("to: prod.example.com/ml/ranker", "to: prod.example.com/ml/ranker:v1"), 14, "keeps its own", true},
		"glob to a digest":   {with("to: prod.example.com/ml/ranker", "to: prod.example.com/ml/ranker@sha256:"+strings.Repeat("a", 64)), 14, "one digest", true},
		"glob with expect":   {with("    policy:\n", "    overwrite: true\n    expect: sha256:"+strings.Repeat("a", 64)+"\n    policy:\n"), 16, "of its own", true},
		"broken glob":        {with("ranker:v*", "ranker:v[1"), 13, "not complete", true},
		"a private key":      {with("'awskms:///alias/promoter'", "'-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----'"), 6, "private key itself", true},
		"deep":               {strings.Repeat("[", 1000), 1, "deep", false},
		"large":              {strings.Repeat("# x\n", 300_000), 0, "more than", false},
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, row := range refusals(t) {
		p, err := promotion.Parse("plan.yaml", []byte(row.text))
		var e *promotion.Error
		switch {
		case err == nil:
			t.Errorf("%s: accepted as %+v", name, p)
		case !errors.As(err, &e):
			t.Errorf("%s: %v is no *promotion.Error", name, err)
		case !strings.Contains(e.Message, row.want) || row.line != 0 && e.Line != row.line:
			t.Errorf("%s: %q, want line %d and %q", name, err, row.line, row.want)
		case !strings.HasPrefix(err.Error(), "plan.yaml:"):
			t.Errorf("%s: %q does not begin with the file", name, err)
		}
	}
}

const schemaFile = "promotion.schema.json"

func schema(t *testing.T) (doc any, compiled *jsonschema.Schema) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", schemaFile))
	if err != nil {
		t.Fatal(err)
	}
	if doc, err = jsonschema.UnmarshalJSON(bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(schemaFile, doc); err != nil {
		t.Fatal(err)
	}
	return doc, c.MustCompile(schemaFile)
}

func valid(s *jsonschema.Schema, text string) bool {
	var value any
	if yaml.Unmarshal([]byte(text), &value) != nil {
		return false
	}
	asJSON, err := json.Marshal(value)
	if err != nil {
		return false
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	return err == nil && s.Validate(instance) == nil
}

// The parser and the schema agree as far as a schema can tell.
func TestSchemaAgreesWithParser(t *testing.T) {
	t.Parallel()
	_, s := schema(t)
	if !valid(s, full) {
		t.Error("the schema refuses what the parser takes")
	}
	rows := refusals(t)
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		if got := valid(s, rows[name].text); got != rows[name].unseen {
			t.Errorf("%s: valid by the schema: %t, want %t", name, got, rows[name].unseen)
		}
	}
}

// docs/promote.md describes every key, and its plans are plans.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "promote.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	doc, _ := schema(t)
	for _, key := range properties(doc) {
		if !strings.Contains(page, "| `"+key+"` |") {
			t.Errorf("docs/promote.md has no row for the key %s", key)
		}
	}
	plans := 0
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(page, -1) {
		if !strings.Contains(block[1], "promotions:") {
			continue
		}
		plans++
		if _, err := promotion.Parse("docs/promote.md", []byte(block[1])); err != nil {
			t.Error(err)
		}
	}
	if plans == 0 {
		t.Error("docs/promote.md shows no plan")
	}
}

// properties returns every key that a schema knows, at any depth.
func properties(schema any) []string {
	var out []string
	m, ok := schema.(map[string]any)
	if !ok {
		return nil
	}
	for key, value := range m {
		if known, ok := value.(map[string]any); ok && key == "properties" {
			out = slices.AppendSeq(out, maps.Keys(known))
		}
		out = append(out, properties(value)...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte("version: 1\npromotions:\n  - {from: a.b/c:v*, to: d.e/f}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := promotion.Parse("plan.yaml", data)
		if err != nil {
			var e *promotion.Error
			if !errors.As(err, &e) {
				t.Fatalf("%v is no *promotion.Error", err)
			}
			return
		}
		for _, one := range p.Promotions {
			if one.From == "" || one.To == "" {
				t.Fatalf("a promotion from nowhere or to nowhere: %+v", one)
			}
		}
	})
}
