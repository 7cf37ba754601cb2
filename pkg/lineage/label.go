package lineage

import (
	"strings"
	"unicode/utf8"
)

// labelRunes is how wide a line of a drawing is at most.
const labelRunes = 56

// label returns the lines that a drawing shows for a node: what it is called, what
// that is, and what became of it.
func (n *Node) label() []string {
	lines := []string{middle(n.short())}
	called := n.Name
	if called == n.Title() {
		called = ""
	}
	if n.Version != "" {
		called = strings.TrimSpace(called + " " + n.Version)
	}
	lines = append(lines, middle(called), n.shortDigest())
	if n.Kind != KindModel {
		return compact(append(lines, string(n.Kind)))
	}
	state := stateWords[n.State]
	if n.Signer != "" {
		state += ": signed by " + n.Signer
	}
	lines = append(lines, middle(state))
	if n.State == Unreadable {
		lines = append(lines, middle(n.Why))
	}
	return compact(lines)
}

// stateWords are the states in the words of people.
var stateWords = map[State]string{
	Accepted: "accepted", Warned: "accepted with warnings", Refused: "REFUSED", Unverified: "not verified",
	Undecided: "undecided", Unreadable: "not verified: referrers could not be read", NotFollowed: "not followed", Missing: "MISSING", Unreachable: "unreachable",
	Broken: "BROKEN", Named: "only a name", Beyond: "not looked for",
}

// Words returns the state in the words of people.
func (s State) Words() string { return stateWords[s] }

// shortDigest is the digest as far as people compare it, unless the title has it.
func (n *Node) shortDigest() string {
	const keep = len("sha256:") + 12
	if len(n.Digest) <= keep || strings.Contains(n.Title(), n.Digest) {
		return ""
	}
	return n.Digest[:keep] + "…"
}

// label returns what a drawing writes on an edge.
func (e *Edge) label() string {
	s := e.Relation
	if !e.Pinned || e.Verified() && !e.proven() {
		s += ", by name"
	}
	if !e.Verified() {
		s += ", unproven"
	}
	if e.Cycle {
		s += ", CYCLE"
	}
	return s
}

func compact(lines []string) []string {
	out := lines[:0]
	for _, l := range lines {
		if l != "" {
			out = append(out, l)
		}
	}
	return out
}

// middle shortens a line in its middle, since the ends of a reference tell most.
func middle(s string) string {
	const most = labelRunes
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	r := []rune(s)
	head := (most - 1) / 3
	return string(r[:head]) + "…" + string(r[len(r)-(most-1-head):])
}
