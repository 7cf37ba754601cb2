// Package policy reads the policy document: what must be true before a model
// may be used. It does no I/O: the caller reads the document and the files that it
// names ([Policy.Files]), and pkg/verify decides.
//
// A policy is a YAML document:
//
//	version: 1
//	default: reject                      # no scope matches: refuse
//	scopes:
//	  - prefix: registry.example.com/team
//	    mode: enforce                    # or warn; enforce when absent
//	    requirements:                    # all must hold
//	      - signature:
//	          signers:
//	            - name: release
//	              key: release.pub       # a file, a PEM block or a key reference
//	          threshold: 1               # how many different signers; 1 when absent
//	      - oms:
//	          required: true             # an OMS statement must be there
//	      - conditions:
//	          - files.all(f, !f.name.endsWith('.pkl'))
//
// [Sections] is the table of all its fields. The parser takes the keys it knows
// from there, and [Schema] and docs/reference/policy.md are made of it.
//
// The scope with the longest matching prefix applies, and no other. A prefix
// matches whole components: registry.example.com/team is no prefix of
// registry.example.com/teamwork. "oci:" and "dir:" match every layout and every
// directory, "oci:/srv/models" those below a path, "*" everything. Every other
// prefix begins with a registry host, as references do, and goes on in lower
// case: one that could never match is refused. What is below a mirror is first
// given the name of the original ([Remap]).
//
// In a scope of mode warn the model is used all the same: the command exits with
// 0, and every unmet requirement is a warning.
//
// A policy is read strictly, because a rule with a typing error that is passed
// over is a rule that does not hold: unknown and duplicate keys, wrong types,
// anchors, aliases, tags and a second document all reject the whole file, with
// the line. So do expressions that do not compile. Conditions ([Condition]) are
// CEL, and every evaluation ends within a cost, whatever a stranger wrote into the
// predicate that it is about.
package policy
