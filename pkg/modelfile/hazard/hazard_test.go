package hazard_test

import (
	"regexp"
	"testing"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

var kebab = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)+$`)

func TestRulesAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range hazard.Rules() {
		if !kebab.MatchString(r.ID) || seen[r.ID] {
			t.Errorf("id %q", r.ID)
		}
		seen[r.ID] = true
		if r.Severity < hazard.Low || r.Severity > hazard.Critical || r.Title == "" || r.Help == "" {
			t.Errorf("%s: %+v", r.ID, r)
		}
		if hazard.RuleOf(r.ID).Title != r.Title {
			t.Errorf("%s is not found", r.ID)
		}
	}
}

func TestSeverityNames(t *testing.T) {
	for s := hazard.Low; s <= hazard.Critical; s++ {
		got, err := hazard.ParseSeverity(s.String())
		if err != nil || got != s {
			t.Errorf("%v: %v, %v", s, got, err)
		}
	}
	if _, err := hazard.ParseSeverity("HIGH"); err == nil {
		t.Error("another spelling is a severity")
	}
}

// A subject is said once.
func TestSays(t *testing.T) {
	for want, f := range map[string]hazard.Finding{
		"os.system runs commands":        {Subject: "os.system", Message: "os.system runs commands"},
		"Lambda: a layer that is code":   {Subject: "Lambda", Message: "a layer that is code"},
		"bytes follow that are no array": {Message: "bytes follow that are no array"},
	} {
		if got := f.Says(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
