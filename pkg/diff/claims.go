package diff

import (
	"cmp"
	"slices"
)

// Claim is what refers to an artifact: a signature, an attestation, or something
// that nobody signed.
type Claim struct {
	Digest string `json:"digest"` // of the manifest that refers to the artifact
	// Type is the predicate type of what is signed, else the artifact type.
	Type string `json:"type"`
	Name string `json:"name,omitempty"` // what people call that
	// Signer is who made it: as verified, else as it says of itself, which anybody
	// can write. Empty: it does not say, or nobody signed it.
	Signer   string `json:"signer,omitempty"`
	Verified bool   `json:"verified"`
	Why      string `json:"why,omitempty"` // it is not verified although somebody is trusted; continues "it …"
}

// ClaimChange is how claims of one type by one signer differ.
type ClaimChange struct {
	Change Change  `json:"change"`
	Before []Claim `json:"before,omitempty"`
	After  []Claim `json:"after,omitempty"`
}

// Claim is one of the claims, for what all of them have in common.
func (c ClaimChange) Claim() Claim {
	if len(c.After) > 0 {
		return c.After[0]
	}
	return c.Before[0]
}

// ClaimChanges is how the claims differ.
type ClaimChanges struct {
	Equal   int           `json:"equal"` // claims that both sides have
	Changes []ClaimChange `json:"changes"`
}

// Claims compares claims by type and by who made them, and whether that is
// verified. About one subject a claim is the same only when it is the same bytes:
// what was signed again has changed. About two subjects no two claims can be the
// same bytes, and what counts is how many there are.
func Claims(a, b []Claim, sameSubject bool) ClaimChanges {
	type kind struct {
		typ, signer string
		verified    bool
	}
	kindOf := func(c Claim) kind { return kind{c.Type, c.Signer, c.Verified} }
	kinds := map[kind]*ClaimChange{}
	group := func(k kind) *ClaimChange {
		if kinds[k] == nil {
			kinds[k] = &ClaimChange{}
		}
		return kinds[k]
	}
	for _, c := range a {
		g := group(kindOf(c))
		g.Before = append(g.Before, c)
	}
	for _, c := range b {
		g := group(kindOf(c))
		g.After = append(g.After, c)
	}
	out := ClaimChanges{Changes: []ClaimChange{}}
	for _, g := range kinds {
		out.compare(*g, sameSubject)
	}
	slices.SortFunc(out.Changes, func(x, y ClaimChange) int {
		p, q := x.Claim(), y.Claim()
		return cmp.Or(cmp.Compare(p.Type, q.Type), cmp.Compare(p.Signer, q.Signer), cmp.Compare(x.Change, y.Change), cmp.Compare(p.Digest, q.Digest))
	})
	return out
}

func (c *ClaimChanges) compare(g ClaimChange, sameSubject bool) {
	if sameSubject {
		g = c.takeEqual(g)
	} else {
		n := min(len(g.Before), len(g.After))
		c.Equal += n
		g.Before, g.After = g.Before[n:], g.After[n:]
	}
	switch {
	case len(g.Before) == 0 && len(g.After) == 0:
		return
	case len(g.Before) == 0:
		g.Change = Added
	case len(g.After) == 0:
		g.Change = Removed
	default:
		g.Change = Changed
	}
	c.Changes = append(c.Changes, g)
}

// takeEqual counts claims that are the same bytes, and returns the others.
func (c *ClaimChanges) takeEqual(g ClaimChange) ClaimChange {
	has := func(claims []Claim, digest string) bool {
		return slices.ContainsFunc(claims, func(o Claim) bool { return o.Digest == digest })
	}
	var left ClaimChange
	for _, b := range g.Before {
		if has(g.After, b.Digest) {
			c.Equal++
		} else {
			left.Before = append(left.Before, b)
		}
	}
	for _, a := range g.After {
		if !has(g.Before, a.Digest) {
			left.After = append(left.After, a)
		}
	}
	return left
}
