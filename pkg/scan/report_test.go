package scan_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/modseal/modseal/pkg/modelfile"
	"github.com/modseal/modseal/pkg/scan"
)

// The same files give the same report, byte by byte, and the report is what its
// forms say it is.
func TestReport(t *testing.T) {
	t.Parallel()
	files := []modelfile.File{
		file("z.pkl", "weight", evil), file("a b/ü.json", "doc", lambda),
		file("m.zip", "weight", zipped(t, "x.pkl", evil)), file("c.bin", "weight", "\x00"),
	}
	first := do(t, scan.Options{Version: "1.2.3"}, files...)
	second := do(t, scan.Options{Version: "1.2.3", Concurrency: 1}, files...)
	if diff := cmp.Diff(written(t, first), written(t, second)); diff != "" {
		t.Error(diff)
	}
	checkSARIF(t, first, written(t, first)[0])
	digests := map[string]string{}
	for _, f := range files {
		digests[f.Path] = strings.Repeat("0", 64)
	}
	if _, err := first.Predicate(digests); err != nil {
		t.Error(err)
	}
	delete(digests, "c.bin")
	if _, err := first.Predicate(digests); err == nil {
		t.Error("a claim about a file that nobody hashed")
	}
}

// written are the forms of a report.
func written(t *testing.T, r *scan.Report) [2]string {
	t.Helper()
	var log bytes.Buffer
	if err := r.SARIF(&log); err != nil {
		t.Fatal(err)
	}
	report, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return [2]string{log.String(), string(report)}
}

// checkSARIF validates what was written against the schema of SARIF 2.1.0, and that
// nothing else was written: the schema is asked about what was understood.
func checkSARIF(t *testing.T, r *scan.Report, text string) {
	t.Helper()
	in := json.NewDecoder(strings.NewReader(text))
	in.DisallowUnknownFields()
	var log sarif.Report
	if err := in.Decode(&log); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(in.Buffered()); err != nil || strings.TrimSpace(string(rest)) != "" {
		t.Errorf("%q follows the log, %v", rest, err)
	}
	if err := log.Validate(); err != nil {
		t.Errorf("the schema of SARIF 2.1.0 refuses it: %v", err)
	}
	var again bytes.Buffer
	if err := log.PrettyWrite(&again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text, again.String()+"\n"); diff != "" {
		t.Error(diff)
	}
	if len(log.Runs) != 1 || len(log.Runs[0].Results) != len(r.Findings) {
		t.Fatalf("%d runs", len(log.Runs))
	}
	rules := log.Runs[0].Tool.Driver.Rules
	for i, f := range r.Findings {
		got := log.Runs[0].Results[i]
		uri := got.Locations[0].PhysicalLocation.ArtifactLocation.URI
		if *got.Message.Text != f.Says() || strings.Count(*got.Message.Text, f.Subject) != 1 {
			t.Errorf("result %d says %q", i, *got.Message.Text)
		}
		path, err := url.PathUnescape(*uri)
		if err != nil || path != f.Path || *got.RuleID != f.Rule || *rules[got.RuleIndex].ID != f.Rule {
			t.Errorf("result %d is of %s in %s, want %s in %s (%v)", i, *got.RuleID, *uri, f.Rule, f.Path, err)
		}
	}
}

// A text of a model is no link, and no place for another text, in what code hosts
// show of a report.
func TestSARIFOfHostileTexts(t *testing.T) {
	t.Parallel()
	r := do(t, scan.Options{}, file("config.json", "weight_config",
		`{"auto_map": {"AutoModel": "[Fixed](https://evil.example.com/login)--m.X {0} {{1}}"}}`))
	if len(r.Findings) != 1 {
		t.Fatalf("%+v", r.Findings)
	}
	var out bytes.Buffer
	if err := r.SARIF(&out); err != nil {
		t.Fatal(err)
	}
	log, err := sarif.FromBytes(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	text := *log.Runs[0].Results[0].Message.Text
	if want := `\[Fixed\](https://evil.example.com/login)--m.X {{0}} {{{1}}}`; !strings.HasPrefix(text, want) {
		t.Errorf("%s, want %s", text, want)
	}
}
