package policy_test

import (
	"context"
	"fmt"

	"github.com/modseal/modseal/pkg/policy"
)

// A policy is parsed once, and asked for the rules of each artifact.
func ExamplePolicy_Rules() {
	p, err := policy.Parse("policy.yaml", []byte(`
version: 1
default: reject
remap:
  - {from: mirror.example.com/hub, to: registry.example.com}
scopes:
  - prefix: registry.example.com/team
    requirements:
      - signature:
          signers: [{name: release, key: release.pub}]
      - conditions:
          - files.all(f, !f.name.endsWith('.pkl'))
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	rules, err := p.Rules("mirror.example.com/hub/team/model")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(rules.Name)
	fmt.Println(rules.Subject, rules.Signers()[0].Key)

	facts, err := policy.NewFacts(policy.Artifact{Subject: rules.Subject, Files: []policy.File{{Name: "weights.pkl", Size: 7}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, req := range rules.Requirements {
		for _, c := range req.Expressions() {
			fmt.Println(c.Eval(context.Background(), facts))
		}
	}
	// Output:
	// policy.yaml scope registry.example.com/team
	// registry.example.com/team/model release.pub
	// condition files.all(f, !f.name.endsWith('.pkl')) is false
}
