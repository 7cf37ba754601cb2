package policy

import (
	"cmp"
	"fmt"
	"strings"
)

// Draft describes a policy to begin with: of one scope, from what is known about
// an artifact or said by a user.
type Draft struct {
	// From is what the draft was made of, in a few words; it becomes a comment.
	From   string
	Prefix string
	// TrustedRoots that the signers name.
	TrustedRoots []TrustedRoot
	// Signature is what the manifest must be signed by.
	Signature SignatureRequirement
	// OMS says whether there must be an OMS statement.
	OMS OMSRequirement
	// Attestations that must be there.
	Attestations []AttestationRequirement
	Freshness    *FreshnessRequirement // nil: none
}

// Text returns the document, with comments. The error is a [*Error] about the
// document that would have come out: that prefix, key or identity is none that
// [Parse] takes.
func (d Draft) Text() ([]byte, error) {
	text := d.render()
	if _, err := Parse("policy", text); err != nil {
		return nil, err
	}
	return text, nil
}

func (d Draft) render() []byte {
	signature := d.Signature
	if signature.Threshold == 0 {
		signature.Threshold = 1
	}
	oms := d.OMS
	scope := Scope{Prefix: d.Prefix, Mode: ModeEnforce, Requirements: []Requirement{{Signature: &signature}, {OMS: &oms}}}
	for _, a := range d.Attestations {
		if a.Threshold == 0 {
			a.Threshold = 1
		}
		scope.Requirements = append(scope.Requirements, Requirement{Attestation: &a})
	}
	if d.Freshness != nil {
		scope.Requirements = append(scope.Requirements, Requirement{Freshness: d.Freshness})
	}
	head := "# Which models may be used here. modseal policy check reads this file strictly.\n"
	if d.From != "" {
		head += fmt.Sprintf("# Made from %s: see that these are the signers that you expect.\n", oneLine(d.From))
	}
	p := &Policy{Name: "policy", TrustedRoots: d.TrustedRoots, Scopes: []Scope{scope}}
	return render(p, comments{
		head:     head,
		fallback: "what happens to a model that no scope matches",
		roots:    "the Sigstore instances that signers, logs and timestamps are of",
		scopes: "The scope with the longest matching prefix applies, and no other. A prefix is\n" +
			"a registry, a repository or a part of its path; oci: and dir: match layouts and\n" +
			"directories on disk, * everything.",
		mode:    "or warn: warn of what is missing, and use the model all the same",
		all:     "all must hold",
		signers: "keys are files beside this one, PEM blocks, or references such as awskms://",
		count:   "how many different signers there must be",
		oms: "An OMS statement that does not match the model is always refused;\n" +
			"true demands that there is one.",
	})
}

// oneLine keeps what is named in a comment from going on in the document.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff {
			return ' '
		}
		return r
	}, text)
}

// TemplateOptions fill in a [Template].
type TemplateOptions struct {
	Prefix      string // empty: registry.example.com/team
	SignerName  string // empty: release
	Key         string // empty: release.pub
	OMSRequired bool
}

// Template returns a policy document of one key to begin with, with comments. It
// is a policy that [Parse] reads, provided that the options are what it would
// read.
func Template(o TemplateOptions) []byte {
	return Draft{
		Prefix: cmp.Or(o.Prefix, "registry.example.com/team"),
		Signature: SignatureRequirement{Signers: []Signer{{
			Name: cmp.Or(o.SignerName, "release"), Key: cmp.Or(o.Key, "release.pub"),
		}}},
		OMS: OMSRequirement{Required: o.OMSRequired},
	}.render()
}
