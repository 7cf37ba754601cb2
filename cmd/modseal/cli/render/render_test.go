package render_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/cmd/modseal/cli/render"
)

// Texts of strangers reach a terminal in JSON, too, which need not escape what one
// obeys. Their value stays.
func TestJSONDrivesNoTerminal(t *testing.T) {
	t.Parallel()
	hostile := map[string]any{
		"csi\u009b31m":   "\u009b2J\u009d0;title\u009c",
		"bidi":           "a\u202eb\u2066c",
		"delete":         "x\x7fy\x1b[0m",
		"nothing to see": "zero\u200bwidth, tag \U000e0041",
		"plain":          "Größe 模型 😀 <b>&amp;</b>",
	}
	var out bytes.Buffer
	if err := render.JSON(&out, hostile); err != nil {
		t.Fatal(err)
	}
	if i := strings.IndexFunc(out.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("it holds %q", out.String()[i:])
	}
	var back map[string]any
	if err := json.Unmarshal(out.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(hostile, back); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(out.String(), "Größe 模型 😀 <b>&amp;</b>") {
		t.Errorf("what is harmless is escaped: %s", out.String())
	}
}

// A document with white space of any kind stays one.
func TestVisibleKeepsDocuments(t *testing.T) {
	t.Parallel()
	raw := []byte("{\r\n\t\"a\": \"\u009b\",\r\n\t\"b\": 1e400\r\n}\r\n")
	if got, want := string(render.Visible(raw)), "{\n\t\"a\": \"\\u009b\",\n\t\"b\": 1e400\n}\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	same := []byte("{\n\t\"a\": \"ü\"\n}\n")
	if got := render.Visible(same); !bytes.Equal(got, same) {
		t.Errorf("%q", got)
	}
}
