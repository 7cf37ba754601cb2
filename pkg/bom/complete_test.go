package bom_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/bom"
)

func given(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "given", name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

var givenFiles = map[string]bom.Kind{
	"application.cdx.json": {Format: bom.CycloneDX, Version: "1.6"},
	"model.cdx.json":       {Format: bom.CycloneDX, Version: "1.5"},
	"model.spdx.json":      {Format: bom.SPDX, Version: "2.3"},
	"model.spdx3.json":     {Format: bom.SPDX3, Version: "3.0.1"},
}

// Nothing that somebody wrote is gone or changed, the result is valid, and there is
// nothing left to add.
func TestCompleteAdds(t *testing.T) {
	t.Parallel()
	for name, kind := range givenFiles {
		before := given(t, name)
		if err := validate(t, schemaOf(kind), before); err != nil {
			t.Errorf("%s: the given document: %v", name, err)
		}
		c, err := bom.Complete(before, full())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c.Kind != kind {
			t.Errorf("%s is %v", name, c.Kind)
		}
		if err := validate(t, schemaOf(kind), c.Document); err != nil {
			t.Errorf("%s: completed: %v\n%s", name, err, c.Document)
		}
		if lost := lost("", parsed(t, before), parsed(t, c.Document)); len(lost) > 0 {
			t.Errorf("%s: lost %q\n%s", name, lost, c.Document)
		}
		for _, f := range full().Files {
			if !bytes.Contains(c.Document, []byte(f.Digest.Encoded())) {
				t.Errorf("%s: the digest of %q is missing", name, f.Path)
			}
		}
		again, err := bom.Complete(c.Document, full())
		if err != nil {
			t.Errorf("%s: again: %v", name, err)
			continue
		}
		if diff := cmp.Diff(string(c.Document), string(again.Document)); diff != "" {
			t.Errorf("%s: completed twice:\n%s", name, diff)
		}
	}
}

// Our own documents lack nothing.
func TestCompleteOwn(t *testing.T) {
	t.Parallel()
	for name, m := range models() {
		for _, f := range bom.Formats() {
			raw, err := bom.Write(m, f)
			if err != nil {
				t.Fatal(err)
			}
			c, err := bom.Complete(raw, m)
			if err != nil {
				t.Errorf("%s as %s: %v", name, f, err)
				continue
			}
			if diff := cmp.Diff(string(raw), string(c.Document)); diff != "" || len(c.Kept) > 0 {
				t.Errorf("%s as %s: kept %q, changed\n%s", name, f, c.Kept, diff)
			}
		}
	}
}

func TestCompleteKeepsAndSaysSo(t *testing.T) {
	t.Parallel()
	c, err := bom.Complete(given(t, "model.cdx.json"), full())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"model.name", `"Tiny by its author"`, "model.description", "model.licenses", "modelParameters.task"} {
		if !strings.Contains(strings.Join(c.Kept, "\n"), want) {
			t.Errorf("%s is not in %q", want, c.Kept)
		}
	}
	if !bytes.Contains(c.Document, []byte(`"hand-written <words>"`)) {
		t.Errorf("words were written otherwise:\n%s", c.Document)
	}
}

func TestCompleteOtherFile(t *testing.T) {
	t.Parallel()
	other := full()
	other.Files[2].Digest = other.Files[0].Digest // README.md
	for _, f := range bom.Formats() {
		raw, err := bom.Write(full(), f)
		if err != nil {
			t.Fatal(err)
		}
		_, err = bom.Complete(raw, other)
		var of *bom.OtherFileError
		if !errors.As(err, &of) || of.Path != "README.md" {
			t.Errorf("%s: %v", f, err)
		}
	}
}

func TestCompleteRefuses(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)
	for name, row := range map[string][2]string{
		"nothing":            {"", "it is empty"},
		"a list":             {"[]", "not a JSON object"},
		"a text":             {`"x"`, "not a JSON object"},
		"cut":                {`{"bomFormat":"CycloneDX"`, "it ends before the document does, at byte 24"},
		"no form":            {`{"a":1}`, "neither CycloneDX"},
		"two documents":      {`{"bomFormat":"CycloneDX"} {}`, "follows"},
		"a key twice":        {`{"bomFormat":"CycloneDX","bomFormat":"CycloneDX"}`, "twice"},
		"a key twice, below": {`{"bomFormat":"CycloneDX","metadata":{"a":1,"a":2}}`, "twice"},
		"bad UTF-8":          {"{\"bomFormat\":\"\xff\"}", "UTF-8"},
		"deep":               {`{"bomFormat":"CycloneDX","x":` + deep + `}`, "nested deeper"},
		"many values":        {`{"bomFormat":"CycloneDX","x":[` + strings.Repeat("0,", 1_000_000) + `0]}`, "more than 1000000 values"},
		"large":              {`{"a":"` + strings.Repeat("x", 24<<20) + `"}`, "more than"},
		"old CycloneDX":      {`{"bomFormat":"CycloneDX","specVersion":"1.4"}`, `"1.4"`},
		"no version":         {`{"bomFormat":"CycloneDX"}`, `""`},
		"a version to come":  {`{"bomFormat":"CycloneDX","specVersion":"2.0"}`, `"2.0"`},
		"old SPDX":           {`{"spdxVersion":"SPDX-2.2"}`, `"2.2"`},
		"SPDX 3.0.0":         {`{"@context":"https://spdx.org/rdf/3.0.0/spdx-context.jsonld"}`, `"3.0.0"`},
		"XML":                {`<bom xmlns="http://cyclonedx.org/schema/bom/1.6"/>`, "invalid character"},
		"tag-value":          {"SPDXVersion: SPDX-2.3\n", "invalid character"},
		"a number for a key": {`{1:2}`, "invalid character"},
	} {
		c, err := bom.Complete([]byte(row[0]), full())
		if !errors.Is(err, bom.ErrInvalid) || !strings.Contains(err.Error(), row[1]) || c != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func parsed(t *testing.T, raw []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// lost lists what is in before and not in after. The version of a CycloneDX document
// counts its revisions, and NOASSERTION says nothing.
func lost(place string, before, after any) []string {
	switch b := before.(type) {
	case map[string]any:
		a, ok := after.(map[string]any)
		if !ok {
			return []string{place}
		}
		var out []string
		for k, v := range b {
			out = append(out, lost(place+"."+k, v, a[k])...)
		}
		return out
	case []any:
		a, ok := after.([]any)
		if !ok || len(a) < len(b) {
			return []string{place}
		}
		var out []string
		for i, v := range b { // in their order, in front
			out = append(out, lost(place+"[]", v, a[i])...)
		}
		return out
	case string:
		if b == "NOASSERTION" || strings.HasSuffix(b, "/Licensing/NoAssertion") {
			return nil
		}
	}
	if place == ".version" || reflect.DeepEqual(before, after) {
		return nil
	}
	return []string{place}
}

func FuzzComplete(f *testing.F) {
	for name := range givenFiles {
		raw, err := os.ReadFile(filepath.Join("testdata", "given", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	for _, format := range bom.Formats() {
		raw, err := bom.Write(full(), format)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := bom.Complete(raw, full())
		if err != nil {
			return
		}
		if lost := lost("", parsed(t, raw), parsed(t, c.Document)); len(lost) > 0 {
			t.Fatalf("lost %q of\n%s\nin\n%s", lost, raw, c.Document)
		}
		again, err := bom.Complete(c.Document, full())
		if err != nil {
			t.Fatalf("again: %v\n%s", err, c.Document)
		}
		if !bytes.Equal(again.Document, c.Document) {
			t.Fatalf("completed twice:\n%s", cmp.Diff(string(c.Document), string(again.Document)))
		}
	})
}
