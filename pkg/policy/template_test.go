package policy_test

import (
	"testing"

	"github.com/modseal/modseal/pkg/policy"
)

func TestTemplateIsAPolicy(t *testing.T) {
	t.Parallel()
	for _, o := range []policy.TemplateOptions{
		{},
		{Prefix: "*", SignerName: "the release key", Key: "keys/a \"b\".pub", OMSRequired: true},
		{Prefix: "oci:", Key: pemBlock},
	} {
		p := parse(t, string(policy.Template(o)))
		if len(p.Scopes) != 1 {
			t.Fatalf("%+v", p)
		}
		s := p.Scopes[0]
		if o.Prefix != "" && s.Prefix != o.Prefix || s.Mode != policy.ModeEnforce {
			t.Errorf("prefix %q, mode %q", s.Prefix, s.Mode)
		}
		signer := s.Requirements[0].Signature.Signers[0]
		if o.Key != "" && signer.Key != o.Key || o.SignerName != "" && signer.Name != o.SignerName {
			t.Errorf("signer %+v", signer)
		}
		if s.Requirements[1].OMS.Required != o.OMSRequired {
			t.Error("oms.required is lost")
		}
		if w := p.Check(now); len(w) != 0 {
			t.Errorf("the template is warned about: %v", w)
		}
	}
}
