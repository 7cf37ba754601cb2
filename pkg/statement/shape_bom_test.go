package statement_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/bom"
	"github.com/modseal/modseal/pkg/modelfile"
)

// bomSchema compiles one of the published schemas, which lie where documents are
// written.
func bomSchema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.UseRegexpEngine(func(pattern string) (jsonschema.Regexp, error) {
		// What Go's syntax lacks: an IRI that is no blank node.
		return regexp.Compile(strings.Replace(pattern, "^(?!_:).+:.+", "^[^_].*:.+", 1))
	})
	const at = "http://cyclonedx.org/schema/"
	dir := filepath.Join("..", "bom", "testdata", "schemas")
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".schema.json") {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(raw)))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource(at+f.Name(), doc); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := c.Compile(at + name)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// bomDocument is what is written of a model about which everything is known.
func bomDocument(t *testing.T, f bom.Format) string {
	t.Helper()
	raw, err := bom.Write(&bom.Model{
		Digest: digest.FromString("m"), Tool: bom.Tool{Name: "modseal", Version: "1.0.0"},
		Facts: &modelfile.Facts{
			Name: "tiny", Vendor: "example", Version: "1", Description: "d", Authors: []string{"A"}, Licenses: []string{"MIT"},
			Family: "llama", Architecture: "transformer", Parameters: 7, BaseModels: []string{"org/base"}, Datasets: []string{"org/data"},
			Task: "text-generation", InputTypes: []string{"text"}, OutputTypes: []string{"text"}, SourceURL: "https://example.com/m",
		},
		Files: []bom.File{{Path: "model.safetensors", Role: artifacttypes.RoleWeight, Size: 9, Digest: digest.FromString("m")}},
	}, f)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// mutations are the document with one value each that is another or is gone, by the
// way to it, on which places in lists are [].
func mutations(doc string, visit func(path, change, mutated string)) {
	var root any
	if err := json.Unmarshal([]byte(doc), &root); err != nil {
		panic(err) // it is ours
	}
	tell := func(path, change string) {
		raw, err := json.Marshal(root)
		if err != nil {
			panic(err)
		}
		visit(path, change, string(raw))
	}
	others := []any{"no such thing?", -1.5, true, []any{}, map[string]any{}}
	var walk func(v any, path string)
	walk = func(v any, path string) {
		switch v := v.(type) {
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				was, at := v[key], strings.TrimPrefix(path+"."+key, ".")
				delete(v, key)
				tell(at, "removed")
				for _, other := range others {
					v[key] = other
					tell(at, fmt.Sprintf("%#v", other))
				}
				v[key] = was
				walk(was, at)
			}
		case []any:
			for i, was := range v {
				for _, other := range others {
					v[i] = other
					tell(path+"[]", fmt.Sprintf("%#v", other))
				}
				v[i] = was
				walk(was, path+"[]")
			}
		}
	}
	walk(root, "")
}

// What is written is taken, and what the published schemas refuse of the members that
// are looked at is refused.
func TestBOMsAsTheirSchemas(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		format                bom.Format
		predicateType, schema string
		named                 *regexp.Regexp // the members that are looked at
	}{
		{bom.CycloneDX, artifacttypes.PredicateCycloneDX, "bom-1.7.schema.json", regexp.MustCompile(
			`^(bomFormat|specVersion|version|serialNumber|metadata|metadata\.timestamp|components|services|dependencies(\[\](\.(ref|dependsOn(\[\])?))?)?|` +
				`(metadata\.component|components\[\])(\.(type|name|hashes(\[\](\.(alg|content))?)?|components|modelCard(\.modelParameters(\.(approach(\.type)?|task|architectureFamily|modelArchitecture|datasets|inputs(\[\])?|outputs(\[\])?))?)?))?)$`)},
		{bom.SPDX, artifacttypes.PredicateSPDX, "spdx-2.3.schema.json", regexp.MustCompile(
			`^(spdxVersion|dataLicense|SPDXID|name|documentNamespace|creationInfo(\.(created|creators(\[\])?))?|` +
				`(packages|files)(\[\](\.(SPDXID|name|fileName|downloadLocation|checksums(\[\](\.(algorithm|checksumValue))?)?))?)?|` +
				`relationships(\[\](\.(spdxElementId|relatedSpdxElement|relationshipType))?)?)$`)},
		{bom.SPDX3, artifacttypes.PredicateSPDX3, "spdx-3.0.1.schema.json", regexp.MustCompile(
			`^(@context|@graph(\[\](\.(type|spdxId|creationInfo|specVersion|created|createdBy(\[\])?))?)?)$`)},
	} {
		t.Run(string(tt.format), func(t *testing.T) {
			t.Parallel()
			doc := bomDocument(t, tt.format)
			if err := attest(tt.predicateType, doc); err != nil {
				t.Fatal(err)
			}
			schema := bomSchema(t, tt.schema)
			refused, tried := 0, map[string]int{}
			mutations(doc, func(path, change, mutated string) {
				// One value in many elements of a list shows no more than in two of them.
				if tried[path+change]++; tried[path+change] > 2 || !tt.named.MatchString(path) {
					return
				}
				v, err := jsonschema.UnmarshalJSON(strings.NewReader(mutated))
				if err != nil {
					t.Fatal(err)
				}
				if schema.Validate(v) == nil {
					return
				}
				refused++
				if attest(tt.predicateType, mutated) == nil {
					t.Errorf("%s, %s: the schema refuses it", path, change)
				}
			})
			if refused < 50 {
				t.Errorf("the schema refuses %d mutations alone", refused)
			}
		})
	}
}

// Every value that the schemas have where a shape lists values is taken.
func TestBOMValuesOfTheirSchemas(t *testing.T) {
	t.Parallel()
	enum := func(name string, path ...string) []string {
		raw, err := os.ReadFile(filepath.Join("..", "bom", "testdata", "schemas", name))
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatal(err)
		}
		for _, key := range append(path, "enum") {
			o, _ := v.(map[string]any)
			v = o[key]
		}
		var out []string
		for _, e := range v.([]any) {
			out = append(out, e.(string))
		}
		return out
	}
	const cdx, spdx = "bom-1.7.schema.json", "spdx-2.3.schema.json"
	for _, tt := range []struct {
		predicateType, from string
		values              []string
	}{
		{artifacttypes.PredicateCycloneDX, `"SHA-256"`, enum(cdx, "definitions", "hash-alg")},
		{artifacttypes.PredicateCycloneDX, `"data"`, enum(cdx, "definitions", "component", "properties", "type")},
		{artifacttypes.PredicateSPDX, `"SHA256"`, enum(spdx, "properties", "files", "items", "properties", "checksums", "items", "properties", "algorithm")},
		{artifacttypes.PredicateSPDX, `"DESCRIBES"`, enum(spdx, "properties", "relationships", "items", "properties", "relationshipType")},
	} {
		for _, value := range tt.values {
			changed := strings.Replace(whole[tt.predicateType], tt.from, fmt.Sprintf("%q", value), 1)
			if err := attest(tt.predicateType, changed); err != nil {
				t.Error(err)
			}
		}
		if len(tt.values) < 10 || !strings.Contains(whole[tt.predicateType], tt.from) {
			t.Errorf("%s: %d values", tt.from, len(tt.values))
		}
	}
}
