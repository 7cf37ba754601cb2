package scan_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/scan"
)

// An archive of torch that was cut off is said to be that, once. What is left of it is
// looked at as what it is.
func TestScanOfCutArchive(t *testing.T) {
	for _, name := range []string{"state.pt", "state4.pt", "optimizer.pt"} {
		data, err := os.ReadFile("../modelfile/torch/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for n := 64; n < len(data); n += 13 {
			r := do(t, scan.Options{}, file("m.pt", "weight", string(data[:n])))
			rules := []string{}
			for _, f := range r.Findings {
				rules = append(rules, f.Rule)
			}
			if slices.Contains(rules, "pickle-truncated") { // and perhaps in the middle of a name
				rules = slices.DeleteFunc(rules, func(rule string) bool { return strings.HasPrefix(rule, "pickle-") })
			}
			if d := cmp.Diff([]string{"archive-malformed"}, rules); d != "" {
				t.Fatalf("%s, %d bytes: %s", name, n, d)
			}
			cut := slices.ContainsFunc(r.Findings, func(f hazard.Finding) bool { return strings.Contains(f.Message, "cut off") })
			if !cut || r.Verdict == hazard.Clean || r.Verdict == hazard.Suspicious {
				t.Fatalf("%s, %d bytes: %s, %+v", name, n, r.Verdict, r.Findings)
			}
		}
	}
	whole := zipped(t, "archive/data.pkl", evil, "archive/data/0", evil)
	for _, n := range []int{len(whole) - 1, strings.Index(whole, "PK\x01\x02")} {
		r := do(t, scan.Options{}, file("m.pt", "weight", whole[:n]))
		want := []string{"archive-malformed", "pickle-dangerous-global os.system"}
		if d := cmp.Diff(want, found(r)); d != "" || r.Verdict != hazard.Dangerous {
			t.Errorf("%s: %s", r.Verdict, d)
		}
	}
}
