// Package policy reads the policy document: what must be true before a model
// may be used. It does no I/O: the caller reads the document and the key files
// that it names ([Rules.Signers]), and pkg/verify decides.
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
//	              key: release.pub       # a file beside the policy, or a PEM block
//	          threshold: 1               # how many different keys; 1 when absent
//	      - oms:
//	          required: true             # an OMS statement must be there
//
// The scope with the longest matching prefix applies, and no other. A prefix
// matches whole components: registry.example.com/team is no prefix of
// registry.example.com/teamwork. "oci:" and "dir:" match every layout and every
// directory, "oci:/srv/models" those below a path, "*" everything. Every other
// prefix begins with a registry host, as references do, and goes on in lower
// case: one that could never match is refused.
//
// In a scope of mode warn the model is used all the same: the command exits with
// 0, and every unmet requirement is a warning.
//
// A policy is read strictly, because a rule with a typing error that is passed
// over is a rule that does not hold: unknown and duplicate keys, wrong types,
// anchors, aliases, tags and a second document all reject the whole file, with
// the line.
package policy
