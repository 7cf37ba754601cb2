package verify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/statement"
)

// Summary is what a SLSA verification summary says: whose word it is, about what,
// and how it came out. Its JSON is stable.
type Summary struct {
	Verifier string `json:"verifier"` // URI; who may speak as it, the rules say
	Result   string `json:"result"`   // statement.ResultPassed or ResultFailed
	Resource string `json:"resource"` // URI: as what the artifact was verified
	Policy   string `json:"policy"`   // URI
	// PolicyDigests are those of the policy, as algorithm:value, sorted.
	PolicyDigests []digest.Digest `json:"policyDigests,omitempty"`
	Levels        []string        `json:"levels,omitempty"`
	TimeVerified  time.Time       `json:"timeVerified,omitzero"` // zero: it does not say
}

// NewSummary returns what v says.
func NewSummary(v *statement.VSA) *Summary {
	s := &Summary{
		Verifier: v.Verifier, Result: v.Result, Resource: v.Resource, Policy: v.Policy.URI,
		Levels: slices.Clone(v.Levels), TimeVerified: v.TimeVerified,
	}
	for algorithm, value := range v.Policy.Digest {
		s.PolicyDigests = append(s.PolicyDigests, digest.Digest(algorithm+":"+value))
	}
	slices.Sort(s.PolicyDigests)
	return s
}

// ReadSummary returns what the payload of a bundle says as a verification summary.
// Nothing of it is verified.
func ReadSummary(payload []byte) (*Summary, error) {
	v, err := statement.ParseVSA(payload)
	if err != nil {
		return nil, err
	}
	return NewSummary(v), nil
}

// String tells it in a phrase, with texts of others in quotes and bounded.
func (s *Summary) String() string {
	text := fmt.Sprintf("%s by %s for %s", s.Result, quoted(s.Verifier), quotedResource(s.Resource))
	if len(s.Levels) > 0 {
		text += ", " + listing(quotedAll(s.Levels))
	}
	if !s.TimeVerified.IsZero() {
		text += ", at " + stamp(s.TimeVerified)
	}
	return text
}

func (s *Summary) clone() *Summary {
	if s == nil {
		return nil
	}
	out := *s
	out.PolicyDigests, out.Levels = slices.Clone(s.PolicyDigests), slices.Clone(s.Levels)
	return &out
}

// quotedResource quotes a resourceUri with no more of its digest than it takes to
// recognise it.
func quotedResource(uri string) string {
	if i := strings.LastIndexByte(uri, '@'); i >= 0 && digest.Digest(uri[i+1:]).Validate() == nil {
		uri = uri[:i+1] + shortDigest(digest.Digest(uri[i+1:]))
	}
	return quoted(uri)
}

func quotedAll(texts []string) []string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = quoted(t)
	}
	return out
}
