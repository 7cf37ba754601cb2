package promotion

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// Whoever writes a wrong key is told all that there are.
func TestKnownFields(t *testing.T) {
	t.Parallel()
	for _, v := range []any{document{}, settings{}, signing{}, entry{}} {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			name, inline, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if inline == "inline" {
				continue
			}
			if !regexp.MustCompile(`\b` + name + `\b`).MatchString(knownFields) {
				t.Errorf("%q is not among them", name)
			}
		}
	}
	_, err := Parse("plan.yaml", []byte("version: 1\npolicies: [a]\n"))
	if want := `plan.yaml:2: unknown field "policies"; ` + knownFields; err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}
