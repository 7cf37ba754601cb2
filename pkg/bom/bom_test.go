package bom_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/github/go-spdx/v2/spdxexp/spdxlicenses"
	"github.com/google/go-cmp/cmp"
	modelspec "github.com/modelpack/model-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/bom"
	"github.com/modseal/modseal/pkg/modelfile"
	"github.com/modseal/modseal/pkg/modelfile/hf"
)

// The official schemas; testdata/schemas/README.md says where they are from.
var schemas = map[bom.Format]string{
	bom.CycloneDX: "http://cyclonedx.org/schema/bom-1.7.schema.json",
	bom.SPDX:      "https://example.com/spdx-2.3.schema.json",
	bom.SPDX3:     "https://example.com/spdx-3.0.1.schema.json",
}

// schemaOf is the schema of a form in a version.
func schemaOf(k bom.Kind) string {
	if k.Format == bom.CycloneDX {
		return "http://cyclonedx.org/schema/bom-" + k.Version + ".schema.json"
	}
	return schemas[k.Format]
}

func compiler(t testing.TB) *jsonschema.Compiler {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.UseRegexpEngine(engine)
	for file, url := range map[string]string{
		"bom-1.5.schema.json":           "http://cyclonedx.org/schema/bom-1.5.schema.json",
		"bom-1.6.schema.json":           "http://cyclonedx.org/schema/bom-1.6.schema.json",
		"bom-1.7.schema.json":           "http://cyclonedx.org/schema/bom-1.7.schema.json",
		"spdx.schema.json":              "http://cyclonedx.org/schema/spdx.schema.json",
		"jsf-0.82.schema.json":          "http://cyclonedx.org/schema/jsf-0.82.schema.json",
		"cryptography-defs.schema.json": "http://cyclonedx.org/schema/cryptography-defs.schema.json",
		"spdx-2.3.schema.json":          schemas[bom.SPDX],
		"spdx-3.0.1.schema.json":        schemas[bom.SPDX3],
	} {
		raw, err := os.ReadFile(filepath.Join("testdata", "schemas", file))
		if err != nil {
			t.Fatal(err)
		}
		schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if err := c.AddResource(url, schema); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// engine compiles the patterns of the schemas, one of which Go's syntax lacks.
func engine(pattern string) (jsonschema.Regexp, error) {
	if pattern == "^(?!_:).+:.+" {
		return iri{regexp.MustCompile("^.+:.+")}, nil
	}
	return regexp.Compile(pattern)
}

type iri struct{ *regexp.Regexp }

func (r iri) MatchString(s string) bool {
	return !strings.HasPrefix(s, "_:") && r.Regexp.MatchString(s)
}

var compiledSchemas sync.Map // by URL

func compiled(t testing.TB, url string) *jsonschema.Schema {
	t.Helper()
	if schema, ok := compiledSchemas.Load(url); ok {
		return schema.(*jsonschema.Schema)
	}
	schema, err := compiler(t).Compile(url)
	if err != nil {
		t.Fatal(err)
	}
	compiledSchemas.Store(url, schema)
	return schema
}

func validate(t testing.TB, url string, raw []byte) error {
	t.Helper()
	schema := compiled(t, url)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(document)
}

func tree(files ...string) []bom.File {
	var out []bom.File
	for _, f := range files {
		role, name, _ := strings.Cut(f, ":")
		out = append(out, bom.File{Path: name, Role: artifacttypes.Role(role), Size: int64(len(name)), Digest: digest.FromString(name)})
	}
	return out
}

func full() *bom.Model {
	yes := true
	return &bom.Model{
		Digest: digest.FromString("manifest"), Tool: bom.Tool{Name: "modseal", Version: "1.0.0"},
		Facts: &modelfile.Facts{
			Name: "tiny", Vendor: "example", Version: "1.2", Description: "A <b>tiny</b> model & more", Authors: []string{"Ada", "Grace"},
			Licenses: []string{"Apache-2.0", "LicenseRef-llama3", "MIT OR BSD-3-Clause"}, Family: "llama", ModelClass: "LlamaForCausalLM",
			Architecture: "transformer", Format: "safetensors", Parameters: 1234567, ParamSize: "1.2M", Precision: "bfloat16", ContextLength: 4096,
			BaseModels: []string{"org/base", "https://models.example.com/other", "some name"}, BaseModelRelation: "adapter",
			Datasets: []string{"org/data", "plain"}, Languages: []string{"en", "de"}, Task: "text-generation",
			InputTypes: []string{"text"}, OutputTypes: []string{"text"}, ToolUsage: &yes, RemoteCode: true,
			SourceURL: "https://huggingface.co/org/tiny", DocURL: "https://example.com/docs", Revision: strings.Repeat("ab", 20),
			Metrics: []hf.Metric{
				{Type: "wer", Value: "20.1 ± 0.3", Name: "Test WER", Dataset: hf.MetricDataset{Type: "common_voice", Name: "Common Voice", Config: "fr", Split: "test"}},
				{Type: "accuracy", Value: "0.9120", Dataset: hf.MetricDataset{Type: "org/imdb"}},
				{Type: "wer", Value: "18.50", Name: "Test WER (+LM)", Dataset: hf.MetricDataset{Name: "Common Voice", Config: "fr", Split: "test"}},
				{Type: "f1", Value: "0.9"},
			},
			Warnings: []string{"license: a says b"},
		},
		Files: tree("weight:model.safetensors", "weight.config:config.json", "doc:README.md", "code:a b/ünïcode.py", "dataset:data/x.csv"),
	}
}

func models() map[string]*bom.Model {
	dated := full()
	at := time.Date(2026, 1, 2, 3, 4, 5, 600, time.FixedZone("", 3600))
	dated.Config = &modelspec.Model{Descriptor: modelspec.ModelDescriptor{
		CreatedAt: &at, Name: "renamed", Licenses: []string{"Some licence of ours", "GPL-3.0"}, DocURL: "javascript:alert(1)",
		Description: "\x1b[31mred\x07", SourceURL: "https://user:secret@example.com/m",
	}}
	return map[string]*bom.Model{
		"full":   full(),
		"dated":  dated,
		"scored": {Digest: digest.FromString("m"), Tool: bom.Tool{Name: "modseal"}, Facts: &modelfile.Facts{Metrics: full().Facts.Metrics}},
		"bare":   {Digest: digest.SHA512.FromString("m"), Tool: bom.Tool{Name: "modseal"}, Files: tree(":x")},
		"empty":  {Digest: digest.FromString("m"), Tool: bom.Tool{Name: "modseal"}},
	}
}

func TestWriteValid(t *testing.T) {
	t.Parallel()
	for name, m := range models() {
		for _, f := range bom.Formats() {
			raw, err := bom.Write(m, f)
			if err != nil {
				t.Errorf("%s as %s: %v", name, f, err)
				continue
			}
			if err := validate(t, schemas[f], raw); err != nil {
				t.Errorf("%s as %s: %v\n%s", name, f, err, raw)
			}
		}
	}
}

// An id that the schema of CycloneDX does not know would make the document invalid: it
// is written as an expression.
func TestLicenseIDs(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("testdata", "schemas", "spdx.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var schema struct{ Enum []string }
	if err := json.Unmarshal(raw, &schema); err != nil {
		t.Fatal(err)
	}
	for _, id := range spdxlicenses.GetLicenses() {
		m := &bom.Model{Digest: digest.FromString("m"), Facts: &modelfile.Facts{Licenses: []string{strings.ToLower(id)}}}
		raw, err := bom.Write(m, bom.CycloneDX)
		if err != nil {
			t.Fatal(err)
		}
		want := `"id": "` + id + `"`
		if !slices.Contains(schema.Enum, id) {
			want = `"expression": "` + id + `"`
		}
		if !bytes.Contains(raw, []byte(want)) {
			t.Errorf("no %s in\n%s", want, raw)
		}
	}
}

// The order in which somebody lists files is of no matter, and neither is when.
func TestWriteReproducible(t *testing.T) {
	t.Parallel()
	for _, f := range bom.Formats() {
		want, err := bom.Write(full(), f)
		if err != nil {
			t.Fatal(err)
		}
		m := full()
		slices.Reverse(m.Files)
		got, err := bom.Write(m, f)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s:\n%s", f, diff)
		}
		m.Facts.Version = "1.3"
		other, err := bom.Write(m, f)
		if err != nil {
			t.Fatal(err)
		}
		if id := identity.FindString(string(other)); id == "" || id == identity.FindString(string(want)) {
			t.Errorf("%s: documents that differ are both %q", f, id)
		}
	}
}

var identity = regexp.MustCompile(`(urn:uuid:|/modseal-)[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)

func TestWriteConfigFirst(t *testing.T) {
	t.Parallel()
	m := full()
	m.Config = &modelspec.Model{Descriptor: modelspec.ModelDescriptor{
		Name: "by config\x1b[2J", Licenses: []string{"MIT", "no SPDX id"}, SourceURL: "https://name:secret@example.com/x", DocURL: "file:///etc/passwd",
	}}
	for _, f := range bom.Formats() {
		raw, err := bom.Write(m, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{`"by config[2J"`, "MIT", "LicenseRef-no-SPDX-id", "https://huggingface.co/org/tiny", "https://example.com/docs"} {
			if !bytes.Contains(raw, []byte(want)) {
				t.Errorf("%s: no %s in\n%s", f, want, raw)
			}
		}
		for _, not := range []string{"Apache-2.0", "secret", "passwd", "\\u001b"} {
			if bytes.Contains(raw, []byte(not)) {
				t.Errorf("%s: %s in\n%s", f, not, raw)
			}
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	t.Parallel()
	bad := func(change func(m *bom.Model)) *bom.Model {
		m := full()
		change(m)
		return m
	}
	for name, m := range map[string]*bom.Model{
		"no digest":         bad(func(m *bom.Model) { m.Digest = "" }),
		"an unknown digest": bad(func(m *bom.Model) { m.Digest = "md5:d41d8cd98f00b204e9800998ecf8427e" }),
		"a file without":    bad(func(m *bom.Model) { m.Files[1].Digest = "" }),
		"a path outside":    bad(func(m *bom.Model) { m.Files[1].Path = "../x" }),
	} {
		for _, f := range bom.Formats() {
			if raw, err := bom.Write(m, f); err == nil {
				t.Errorf("%s as %s:\n%s", name, f, raw)
			}
		}
	}
	if _, err := bom.Write(full(), "xml"); !errors.Is(err, bom.ErrFormat) {
		t.Errorf("a form that there is not: %v", err)
	}
}

func TestParseFormat(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bom.Format{"cyclonedx": bom.CycloneDX, "spdx": bom.SPDX, "spdxjson": bom.SPDX, "spdx3": bom.SPDX3, "": "", "SPDX": "", "xml": ""} {
		got, err := bom.ParseFormat(name)
		if got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, bom.ErrFormat) {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
}

// A schema that accepts everything would prove nothing.
func TestSchemasRefuse(t *testing.T) {
	t.Parallel()
	for f, change := range map[bom.Format][2]string{
		bom.CycloneDX: {`"type": "machine-learning-model"`, `"type": "model"`},
		bom.SPDX:      {`"primaryPackagePurpose": "FILE"`, `"primaryPackagePurpose": "MODEL"`},
		bom.SPDX3:     {`"relationshipType": "trainedOn"`, `"relationshipType": "learnedFrom"`},
	} {
		raw, err := bom.Write(full(), f)
		if err != nil {
			t.Fatal(err)
		}
		broken := bytes.ReplaceAll(raw, []byte(change[0]), []byte(change[1]))
		if bytes.Equal(broken, raw) {
			t.Fatalf("%s: no %s", f, change[0])
		}
		if validate(t, schemas[f], broken) == nil {
			t.Errorf("%s with %s is valid", f, change[1])
		}
	}
}
