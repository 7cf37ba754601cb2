package policy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/modseal/modseal/pkg/policy"
)

// refusal is a document that is refused.
type refusal struct {
	text string
	line int    // of the error; 0: any
	want string // in the message
	// unseen says that the JSON Schema takes the document: what is wrong is no
	// matter of keys, types and forms.
	unseen bool
}

// refusals are all of them, by what is wrong.
func refusals(t *testing.T) map[string]refusal {
	t.Helper()
	all := map[string]refusal{}
	for _, table := range []map[string]refusal{refusedDocuments(t), refusedPrefixes(), refusedRoots(t), refusedRequirements(t), refusedSummaries(t), refusedConditions(t), refusedSigners(t)} {
		for name := range table {
			if _, twice := all[name]; twice {
				t.Fatalf("two rows are called %q", name)
			}
		}
		maps.Copy(all, table)
	}
	return all
}

// changed returns a function that changes one thing in a document.
func changed(t *testing.T, text string) func(old, with string) string {
	t.Helper()
	return func(old, with string) string {
		t.Helper()
		if !strings.Contains(text, old) {
			t.Fatalf("the policy has no %q", old)
		}
		return strings.Replace(text, old, with, 1)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, row := range refusals(t) {
		p, err := policy.Parse("policy.yaml", []byte(row.text))
		var e *policy.Error
		switch {
		case err == nil:
			t.Errorf("%s: accepted as %+v", name, p)
		case !errors.As(err, &e):
			t.Errorf("%s: %v is no *policy.Error", name, err)
		case !strings.Contains(e.Message, row.want) || row.line != 0 && e.Line != row.line:
			t.Errorf("%s: %q, want line %d and %q", name, err, row.line, row.want)
		case !strings.HasPrefix(err.Error(), "policy.yaml:"):
			t.Errorf("%s: %q does not begin with the file", name, err)
		}
	}
}

// schema is the JSON Schema of the document, compiled.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := policy.Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(policy.SchemaID, doc); err != nil {
		t.Fatal(err)
	}
	return c.MustCompile(policy.SchemaID)
}

// valid asks the schema about a YAML document; it is false, too, for what is no
// YAML of the kind that has a JSON form.
func valid(s *jsonschema.Schema, text string) bool {
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
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
	s := schema(t)
	rows := refusals(t)
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		if got := valid(s, rows[name].text); got != rows[name].unseen {
			t.Errorf("%s: valid by the schema: %t, want %t", name, got, rows[name].unseen)
		}
	}
	for name, text := range map[string]string{
		"full": full, "everything": everything, "prefixes": scopes("*", "oci:", "localhost:5000"), "no scopes": "version: 1\ndefault: reject\nscopes: []\n",
		"template": string(policy.Template(policy.TemplateOptions{Key: pemBlock})),
	} {
		if parse(t, text); !valid(s, text) {
			t.Errorf("%s: the schema refuses what the parser takes", name)
		}
	}
}

func refusedDocuments(t *testing.T) map[string]refusal {
	t.Helper()
	replace := changed(t, full)
	return map[string]refusal{
		"nothing":                    {"", 0, "empty", false},
		"only a comment":             {"# x\n", 0, "empty", false},
		"null":                       {"null\n", 1, "mapping", false},
		"a list":                     {"- a\n", 1, "mapping", false},
		"no YAML":                    {"version: [\n", 1, "", false},
		"tab":                        {"version: 1\n\tdefault: reject\n", 2, "", false},
		"second document":            {full + "---\nversion: 1\n", 30, "second document", true},
		"unknown key":                {replace("default: reject", "default: reject\nextra: 1"), 4, `unknown key "extra"`, false},
		"unknown key in scope":       {replace("mode: enforce", "Mode: enforce"), 6, `unknown key "Mode"`, false},
		"unknown key in requirement": {replace("- oms:\n          required: true", "- omss:\n          required: true"), 18, `unknown key "omss"`, false},
		"unknown key in signature":   {replace("threshold: 2", "treshold: 2"), 17, `unknown key "treshold"`, false},
		"unknown key in signer":      {replace("key: release.pub", "keys: release.pub"), 11, `unknown key "keys"`, false},
		"duplicate key":              {replace("default: reject", "default: reject\ndefault: reject"), 4, "", false},
		"duplicate key in flow":      {replace("{name: release, key: release.pub}", "{name: release, name: x, key: release.pub}"), 25, "", false},
		"no version":                 {replace("version: 1\n", ""), 2, "no version", false},
		"version 2":                  {replace("version: 1", "version: 2"), 2, "version 2", false},
		"version as text":            {replace("version: 1", "version: '1'"), 2, "whole number", false},
		"version as float":           {replace("version: 1", "version: 1.0"), 2, "whole number", true},
		"version too large":          {replace("version: 1", "version: 18446744073709551615"), 2, "whole number", false},
		"no default":                 {replace("default: reject\n", ""), 2, "no default", false},
		"default accept":             {replace("default: reject", "default: accept"), 3, "accept", false},
		"default null":               {replace("default: reject", "default:"), 3, "text", false},
		"no scopes":                  {"version: 1\ndefault: reject\n", 1, "no scopes", false},
		"scopes as mapping":          {"version: 1\ndefault: reject\nscopes: {}\n", 3, "list", false},
		"unknown mode":               {replace("mode: warn", "mode: audit"), 21, "audit", false},
		"mode as bool":               {replace("mode: warn", "mode: true"), 21, "text", false},
		"no prefix":                  {replace("prefix: registry.example.com/team\n    mode", "mode"), 5, "no prefix", false},
		"no requirements":            {"version: 1\ndefault: reject\nscopes:\n  - prefix: a.b\n", 4, "no requirements", false},
		"empty requirements":         {"version: 1\ndefault: reject\nscopes:\n  - prefix: a.b\n    requirements: []\n", 5, "accept everything", false},
		"empty requirement":          {"version: 1\ndefault: reject\nscopes:\n  - prefix: a.b\n    requirements: [{}]\n", 5, "empty", false},
		"two in one requirement":     {replace("          threshold: 2\n      - oms:", "          threshold: 2\n        oms:"), 0, "one thing", false},
		"two oms":                    {replace("required: true\n", "required: true\n      - oms:\n          required: true\n"), 20, "oms", true},
		"oms without required":       {replace("- oms:\n          required: true", "- oms: {}"), 18, "no required", false},
		"oms required as text":       {replace("required: true", "required: 'yes'"), 19, "true or false", false},
		"oms without anyone":         {replace("          signers: [{name: release, key: release.pub}, {name: other, key: keys/other.pub}]\n", ""), 23, "no signers", true},
		"no signers":                 {replace("{signers: [{name: release, key: release.pub}]}", "{}"), 28, "no signers", false},
		"empty signers":              {replace("{signers: [{name: release, key: release.pub}]}", "{signers: []}"), 28, "0 signers", false},
		"signer without name":        {replace("{name: other, key", "{key"), 25, "no name", false},
		"signer without key":         {replace("{name: other, key: keys/other.pub}", "{name: other}"), 25, "no key", false},
		"signer with empty key":      {replace("key: keys/other.pub", "key: ' '"), 25, "empty", false},
		"signer twice":               {replace("name: other", "name: release"), 25, "", true},
		"one name for two keys":      {replace("name: release, key: release.pub}]}", "name: release, key: x.pub}]}"), 28, "another key", true},
		"threshold 0":                {replace("threshold: 2", "threshold: 0"), 17, "threshold", false},
		"threshold 3 of 2":           {replace("threshold: 2", "threshold: 3"), 17, "threshold", true},
		"threshold as text":          {replace("threshold: 2", "threshold: two"), 17, "whole number", false},
		"anchor":                     {replace("prefix: registry.example.com/team", "prefix: &a registry.example.com/team"), 5, "anchors", true},
		"alias":                      {replace("mode: warn", "mode: *a"), 21, "", false},
		"merge key":                  {replace("mode: warn", "<<: {mode: warn}"), 21, "", true},
		"tag":                        {replace("mode: warn", "mode: !!str warn"), 21, "tags", true},
		"deep nesting":               {strings.Repeat("[", 1000), 1, "deep", false},
		"deep nesting in lines":      {strings.Repeat("[\n", 1000), 65, "deep", false},
		"long line":                  {strings.Repeat("- ", 4000), 1, "long", false},
		"too large":                  {strings.Repeat("# x\n", 300_000), 0, "more than", false},
		"too many lines":             {strings.Repeat("#\n", 10_001), 10_001, "lines", false},
	}
}

func refusedPrefixes() map[string]refusal {
	return map[string]refusal{
		"equal prefixes":              {scopes("r.example/a", "r.example/a"), 7, "same prefix", true},
		"equal prefixes by case":      {scopes("r.example/a", "R.example/a"), 7, "same prefix", true},
		"prefix with wildcard":        {scopes("r.example/*"), 4, "wildcard", true},
		"prefix with slash":           {scopes("r.example/"), 4, "empty component", true},
		"prefix beginning with slash": {scopes("/r"), 4, "empty component", true},
		"prefix with tag":             {scopes("r.example/a:v1"), 4, "tag", true},
		"prefix with digest":          {scopes("r.example/a@sha256:00"), 4, "digest", true},
		"prefix as URL":               {scopes("https://r.example"), 4, "URL", true},
		"empty prefix":                {scopes(""), 4, "empty", false},
		"prefix with blank":           {scopes("a b"), 4, "blank", true},
		"prefix without a host":       {scopes("ocr"), 4, `"ocr" does not begin with a registry host such as registry.example.com; no reference could match it`, true},
		"repository without a host":   {scopes("team/model"), 4, `"team/model" does not begin with a registry host`, true},
		"scheme without a path":       {scopes("oci"), 4, "does not begin with a registry host", true},
		"port that is no number":      {scopes("ocr:models/a"), 4, "does not begin with a registry host", true},
		"port without a host":         {scopes(":5000/a"), 4, "does not begin with a registry host", true},
		"scheme in upper case":        {scopes("OCI:/srv/models"), 4, "neither a port", true},
		"repository in upper case":    {scopes("R.Example/Team/a"), 4, `the repository must be lower case; write "R.Example/team/a"`, true},
		"no repository":               {scopes("r.example/team/-a"), 4, `"team/-a" is no repository: parts of a-z`, true},
		"repository with a detour":    {scopes("r.example/../a"), 4, "is no repository", true},
		"relative layout":             {scopes("oci:models"), 4, "absolute", true},
		"layout with detour":          {scopes("oci:/a/../b"), 4, "absolute", true},
		"unknown scheme":              {scopes("docker:"), 4, "port", true},
	}
}
