package policy_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// now is when policies are checked.
var now = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

func TestCheck(t *testing.T) {
	t.Parallel()
	p := parse(t, full)
	var got []string
	for _, w := range p.Check(now) {
		got = append(got, w.Scope)
	}
	// "oci:" warns only, and requires no signature.
	if diff := cmp.Diff([]string{"oci:", "oci:"}, got); diff != "" {
		t.Error(diff)
	}
	if w := parse(t, scopes("LOCALHOST/a_b/c--d/e.f", "127.0.0.1:5000/a__b", "R.Example:5000", "archive:/a/B.tar", "dir:/A", "*")).Check(now); len(w) != 0 {
		t.Errorf("good prefixes: %v", w)
	}
	if w := parse(t, "version: 1\ndefault: reject\nscopes: []\n").Check(now); len(w) != 1 {
		t.Errorf("a policy without scopes: %v", w)
	}
}

func TestCheckKeys(t *testing.T) {
	t.Parallel()
	text := func(threshold int) string {
		return fmt.Sprintf(`version: 1
default: reject
scopes:
  - prefix: r.example/a
    requirements:
      - signature: {signers: [{name: a, key: a.pub}, {name: b, key: b.pub}, {name: c, key: c.pub}], threshold: %d}
      - oms: {required: true, signers: [{name: d, key: d.pub}, {name: e, key: e.pub}]}
  - prefix: r.example/b
    requirements:
      - signature: {signers: [{name: a, key: a.pub}]}
      - signature: {signers: [{name: b, key: b.pub}]}
`, threshold)
	}
	const same = `signers "a" and "b" are the same key, sha256:1, which counts once`
	for name, row := range map[string]struct {
		threshold int
		keys      map[string]string
		want      []string
	}{
		"different keys":     {3, map[string]string{"a": "sha256:1", "b": "sha256:2", "c": "sha256:3", "d": "sha256:1", "e": "sha256:2"}, nil},
		"nothing is known":   {3, nil, nil},
		"one key, two names": {2, map[string]string{"a": "sha256:1", "b": "sha256:1", "c": "sha256:3"}, []string{same}},
		"too few keys": {3, map[string]string{"a": "sha256:1", "b": "sha256:1", "c": "sha256:3"}, []string{
			same, "no model can meet this signature requirement: its threshold is 3, and its 3 signers have only 2 different keys",
		}},
		"one key for all": {2, map[string]string{"a": "sha256:1", "b": "sha256:1", "c": "sha256:1"}, []string{
			`signers "a", "b" and "c" are the same key, sha256:1, which counts once`,
			"no model can meet this signature requirement: its threshold is 2, and its 3 signers have only 1 key",
		}},
		"OMS signers": {1, map[string]string{"d": "sha256:4", "e": "sha256:4"}, []string{`signers "d" and "e" are the same key, sha256:4, which counts once`}},
	} {
		var got []string
		for _, w := range parse(t, text(row.threshold)).CheckKeys(row.keys) {
			if w.Scope != "r.example/a" || w.Line != 4 {
				t.Errorf("%s: %+v", name, w)
			}
			got = append(got, w.Message)
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
