package policy_test

import (
	"errors"
	"testing"

	"github.com/modseal/modseal/pkg/policy"
)

func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Add(policy.Template(policy.TemplateOptions{}))
	f.Add([]byte(scopes("a.b/c", "*")))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := policy.Parse("p", data)
		if err != nil {
			var e *policy.Error
			if !errors.As(err, &e) {
				t.Fatalf("%v is no *policy.Error", err)
			}
			return
		}
		for _, s := range p.Scopes {
			if len(s.Requirements) == 0 {
				t.Fatalf("scope %q requires nothing", s.Prefix)
			}
			r := policy.Rules{Requirements: s.Requirements}
			if len(r.Signers()) == 0 || len(r.OMS().Signers) == 0 {
				t.Fatalf("scope %q names nobody", s.Prefix)
			}
		}
		_ = p.Check(now)
	})
}
