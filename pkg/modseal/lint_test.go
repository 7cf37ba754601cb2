//go:build unix

package modseal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modseal/modseal/artifacttypes"
)

// What an artifact has otherwise than the specification is told beside the report of
// the profile, and changes nothing of it.
func TestLintTellsDeviations(t *testing.T) {
	layout, at := newLayout(t)
	putFiles(t, layout, "foreign", map[string][]byte{"w.safetensors": oneTensor("F32", 4, 4, 1)})
	c := newClient(t)
	if _, err := c.Push(t.Context(), makeModel(t), at+":own", PackOptions{}); err != nil {
		t.Fatal(err)
	}
	lint := func(tag string) (*LintResult, string) {
		t.Helper()
		res, err := c.Lint(t.Context(), at+":"+tag, LintOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, d := range res.Deviations {
			told = append(told, d.Where+": "+d.Found)
		}
		return res, strings.Join(told, "\n")
	}
	own, told := lint("own")
	if told != "" {
		t.Errorf("of what is written here: %s", told)
	}
	foreign, told := lint("foreign")
	for _, want := range []string{"no " + artifacttypes.AnnotationFileMetadata, "modelfs.diffIds: 0 digests of 1"} {
		if !strings.Contains(told, want) {
			t.Errorf("%q is not told: %s", want, told)
		}
	}
	if own.Conforms != foreign.Conforms || own.Undecided != foreign.Undecided || len(own.Findings) != len(foreign.Findings) {
		t.Errorf("the report differs: %+v, %+v", own.Report, foreign.Report)
	}

	// A config that is gone is one of them.
	l, err := c.openTarget(t.Context(), at+":own")
	if err != nil {
		t.Fatal(err)
	}
	a, err := l.resolve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d := a.model.Manifest.Config.Digest
	if err := os.Remove(filepath.Join(strings.TrimPrefix(at, "oci:"), "blobs", d.Algorithm().String(), d.Encoded())); err != nil {
		t.Fatal(err)
	}
	if _, told = lint("own"); !strings.HasPrefix(told, "config blob: it cannot be read: ") {
		t.Errorf("a config that is gone: %s", told)
	}
}
