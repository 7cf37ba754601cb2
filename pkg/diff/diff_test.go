package diff_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/diff"
)

func file(path, digest string, size int64) diff.File {
	return diff.File{Path: path, Role: "weight", Encoding: "raw", Digest: digest, Size: size}
}

// told writes changes of files as a script would.
func told(c diff.FileChanges) []string {
	out := []string{fmt.Sprintf("%d equal", c.Equal)}
	for _, f := range c.Changes {
		line := string(f.Change) + " " + f.Path()
		if f.Change == diff.Renamed {
			line += " was " + f.Before.Path
		}
		out = append(out, line)
	}
	return out
}

func TestFiles(t *testing.T) {
	executable := file("run.sh", "d", 1)
	executable.Executable = true
	tests := map[string]struct {
		a, b []diff.File
		want []string
	}{
		"nothing":      {nil, nil, []string{"0 equal"}},
		"equal":        {[]diff.File{file("a", "1", 1)}, []diff.File{file("a", "1", 1)}, []string{"1 equal"}},
		"added":        {nil, []diff.File{file("a", "1", 1)}, []string{"0 equal", "added a"}},
		"removed":      {[]diff.File{file("a", "1", 1)}, nil, []string{"0 equal", "removed a"}},
		"other bytes":  {[]diff.File{file("a", "1", 1)}, []diff.File{file("a", "2", 1)}, []string{"0 equal", "changed a"}},
		"other mode":   {[]diff.File{file("run.sh", "d", 1)}, []diff.File{executable}, []string{"0 equal", "changed run.sh"}},
		"renamed":      {[]diff.File{file("a", "1", 1)}, []diff.File{file("b", "1", 1)}, []string{"0 equal", "renamed b was a"}},
		"empty files":  {[]diff.File{file("a", "0", 0)}, []diff.File{file("b", "0", 0)}, []string{"0 equal", "removed a", "added b"}},
		"a copy":       {[]diff.File{file("a", "1", 1)}, []diff.File{file("a", "1", 1), file("b", "1", 1)}, []string{"1 equal", "added b"}},
		"two for one":  {[]diff.File{file("a", "1", 1)}, []diff.File{file("b", "1", 1), file("c", "1", 1)}, []string{"0 equal", "renamed b was a", "added c"}},
		"one for two":  {[]diff.File{file("a", "1", 1), file("b", "1", 1)}, []diff.File{file("c", "1", 1)}, []string{"0 equal", "removed b", "renamed c was a"}},
		"swapped":      {[]diff.File{file("a", "1", 1), file("b", "2", 1)}, []diff.File{file("a", "2", 1), file("b", "1", 1)}, []string{"0 equal", "changed a", "changed b"}},
		"tars alike":   {[]diff.File{file("t", "1", 1), file("t", "2", 1)}, []diff.File{file("t", "1", 1)}, []string{"1 equal", "removed t"}},
		"one tar more": {[]diff.File{file("t", "1", 1)}, []diff.File{file("t", "1", 1), file("t", "2", 1)}, []string{"1 equal", "added t"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, told(diff.Files(tt.a, tt.b))); d != "" {
				t.Error(d)
			}
		})
	}
}

// Whatever the order in which files are given, the answer is the same, and from
// the other side it is the opposite.
func TestFilesDependOnNoOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	some := func() (out []diff.File) {
		for i := range 30 {
			if random.IntN(3) > 0 {
				out = append(out, file(fmt.Sprintf("f%02d", i), fmt.Sprint(random.IntN(5)), 1))
			}
		}
		return out
	}
	for range 200 {
		a, b := some(), some()
		want := diff.Files(a, b)
		back := diff.Files(b, a)
		if want.Equal != back.Equal || len(want.Changes) != len(back.Changes) {
			t.Fatalf("forth %v, back %v", told(want), told(back))
		}
		again := diff.Files(a, b)
		if d := cmp.Diff(want, again); d != "" {
			t.Fatal(d)
		}
	}
}

func tensor(file, name, typ string, shape ...uint64) diff.Tensor {
	return diff.Tensor{File: file, Name: name, Type: typ, Shape: shape}
}

func TestTensors(t *testing.T) {
	tests := map[string]struct {
		a, b         []diff.Tensor
		alike, moved int
		want         []string
	}{
		"alike":         {[]diff.Tensor{tensor("f", "x", "F32", 2)}, []diff.Tensor{tensor("f", "x", "F32", 2)}, 1, 0, nil},
		"type":          {[]diff.Tensor{tensor("f", "x", "F32", 2)}, []diff.Tensor{tensor("f", "x", "F16", 2)}, 0, 0, []string{"changed x"}},
		"shape":         {[]diff.Tensor{tensor("f", "x", "F32", 2)}, []diff.Tensor{tensor("f", "x", "F32", 2, 1)}, 0, 0, []string{"changed x"}},
		"resharded":     {[]diff.Tensor{tensor("f", "x", "F32", 2)}, []diff.Tensor{tensor("g", "x", "F32", 2)}, 1, 1, nil},
		"same file 1st": {[]diff.Tensor{tensor("f", "x", "F32", 2), tensor("g", "x", "F16", 2)}, []diff.Tensor{tensor("g", "x", "F16", 2)}, 1, 0, []string{"removed x"}},
		"two forms":     {[]diff.Tensor{tensor("f", "x", "F32")}, []diff.Tensor{tensor("f", "x", "F32"), tensor("g", "x", "F16")}, 1, 0, []string{"added x"}},
		"added":         {nil, []diff.Tensor{tensor("f", "x", "F32")}, 0, 0, []string{"added x"}},
		"sorted":        {[]diff.Tensor{tensor("f", "z", "F32"), tensor("f", "a", "F32")}, nil, 0, 0, []string{"removed a", "removed z"}},
		"doubled":       {[]diff.Tensor{tensor("f", "x", "F32"), tensor("f", "x", "F32")}, []diff.Tensor{tensor("f", "x", "F32")}, 1, 0, []string{"removed x"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := diff.Tensors(tt.a, tt.b)
			var changes []string
			for _, c := range got.Changes {
				changes = append(changes, string(c.Change)+" "+c.Name())
			}
			if got.Alike != tt.alike || got.Moved != tt.moved || !slices.Equal(changes, tt.want) {
				t.Errorf("alike %d, moved %d, %q", got.Alike, got.Moved, changes)
			}
		})
	}
}

func claim(digest, typ, signer string, verified bool) diff.Claim {
	return diff.Claim{Digest: digest, Type: typ, Signer: signer, Verified: verified}
}

func TestClaims(t *testing.T) {
	one := claim("1", "sig", "k", false)
	tests := map[string]struct {
		a, b  []diff.Claim
		same  bool
		equal int
		want  []diff.Change
	}{
		"the same":                   {[]diff.Claim{one}, []diff.Claim{one}, true, 1, nil},
		"signed again":               {[]diff.Claim{one}, []diff.Claim{claim("2", "sig", "k", false)}, true, 0, []diff.Change{diff.Changed}},
		"of another subject":         {[]diff.Claim{one}, []diff.Claim{claim("2", "sig", "k", false)}, false, 1, nil},
		"another signer":             {[]diff.Claim{one}, []diff.Claim{claim("2", "sig", "l", false)}, false, 0, []diff.Change{diff.Removed, diff.Added}},
		"verified is not said":       {[]diff.Claim{claim("1", "sig", "k", true)}, []diff.Claim{one}, true, 0, []diff.Change{diff.Added, diff.Removed}},
		"once more":                  {[]diff.Claim{one}, []diff.Claim{one, claim("2", "sig", "k", false)}, true, 1, []diff.Change{diff.Added}},
		"fewer, of another":          {[]diff.Claim{one, claim("2", "sig", "k", false)}, []diff.Claim{claim("3", "sig", "k", false)}, false, 1, []diff.Change{diff.Removed}},
		"two that differ from three": {[]diff.Claim{claim("1", "s", "k", false), claim("2", "s", "k", false)}, []diff.Claim{claim("3", "s", "k", false)}, true, 0, []diff.Change{diff.Changed}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := diff.Claims(tt.a, tt.b, tt.same)
			var changes []diff.Change
			for _, c := range got.Changes {
				changes = append(changes, c.Change)
			}
			if got.Equal != tt.equal || !slices.Equal(changes, tt.want) {
				t.Errorf("%d equal, %v", got.Equal, changes)
			}
		})
	}
}

func TestFields(t *testing.T) {
	a, err := diff.Flatten("config", []byte(`{"n": 1, "t": "1", "gone": null, "in": {"er": [1, {"x": 2}], "a.b": 1.50}, "none": {}}`))
	if err != nil {
		t.Fatal(err)
	}
	b, err := diff.Flatten("config", []byte(`{"n": "1", "t": "1", "in": {"er": [1, {"x": 3}], "a.b": 1.5}, "none": {}}`))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(diff.Fields(a, b))
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"change":"removed","source":"config","name":"gone","before":null},` +
		`{"change":"changed","source":"config","name":"in.a\\.b","before":1.50,"after":1.5},` +
		`{"change":"changed","source":"config","name":"in.er","before":[1,{"x":2}],"after":[1,{"x":3}]},` +
		`{"change":"changed","source":"config","name":"n","before":1,"after":"1"}]`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

// Names with dots and backslashes cannot be chosen so that one field hides another.
func TestFlattenNamesDiffer(t *testing.T) {
	text := `{"a\\": {"b": 1}, "a.b": 2, "a\\.b": 3, "a": {"b": 4, "\\": {"b": 5}}, "": {"b": 6}, ".b": 7}`
	before, err := diff.Flatten("config", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 7 {
		value := fmt.Sprintf(": %d", i+1)
		after, err := diff.Flatten("config", []byte(strings.Replace(text, value, ": 0", 1)))
		if err != nil {
			t.Fatal(err)
		}
		if c := diff.Fields(before, after); len(c) != 1 {
			t.Errorf("value %d was changed, and %v is found", i+1, c)
		}
	}
}

func TestFlattenRefuses(t *testing.T) {
	many := `{"a":0`
	for i := range diff.MaxFields {
		many += fmt.Sprintf(`,"k%d":0`, i)
	}
	for name, text := range map[string]string{
		"no JSON": `{`, "a list": `[]`, "null": `null`, "two objects": `{}{}`, "too many": many + `}`,
	} {
		if _, err := diff.Flatten("x", []byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	deep, err := diff.Flatten("x", []byte(strings.Repeat(`{"a":`, 100)+"1"+strings.Repeat("}", 100)))
	if err != nil || len(deep) != 1 || strings.Count(deep[0].Name, ".") != diff.MaxFieldDepth-1 {
		t.Errorf("deep: %v, %v", deep, err)
	}
}

// FuzzFlatten: what is accepted has bounded fields of different names, whose values are
// JSON.
func FuzzFlatten(f *testing.F) {
	f.Add([]byte(`{"a": {"b": [1, "x", null]}, "c.d": 1e400}`))
	f.Add([]byte(`{"\u0000": "\ud800"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		fields, err := diff.Flatten("x", raw)
		if err != nil {
			return
		}
		if len(fields) > diff.MaxFields {
			t.Fatalf("%d fields", len(fields))
		}
		names := map[string]bool{}
		for _, x := range fields {
			if !json.Valid([]byte(x.Value)) {
				t.Fatalf("%q is no JSON", x.Value)
			}
			if names[x.Name] {
				t.Fatalf("two fields are %q", x.Name)
			}
			names[x.Name] = true
		}
		if c := diff.Fields(fields, fields); len(c) != 0 {
			t.Fatalf("it differs from itself: %v", c)
		}
	})
}
