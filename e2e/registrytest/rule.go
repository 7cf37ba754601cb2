package registrytest

import (
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"
)

// A Fault answers a request in place of the registry, which is next.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// A Rule says which requests a fault strikes, and how often.
type Rule struct {
	Match Match
	// Skip lets that many matching requests pass first; Times is how many are
	// struck after that, 0 means all.
	Skip, Times int
	// Chance is how likely a matching request is struck, by the random numbers
	// of [Front.Seed]; 0 means always. Requests that chance lets pass are not
	// counted in Skip and Times.
	Chance float64
	Fault  Fault

	hits int
}

// Match says which requests a rule is about. Fields that are empty match all.
type Match struct {
	Method string         // "GET", "GET|HEAD"; "ANY" is the same as ""
	Path   *regexp.Regexp // is found in the path
	Repo   string
	Kind   string // blobs, uploads, manifests, referrers, tags
	Rest   string // the digest or tag in the path
	Header string // the request has this header
	Hop    int    // 0: at the registry; 1: at the server it redirects to; -1: both
	When   func(r *http.Request) bool
}

func (m Match) matches(r *http.Request, at route) bool {
	switch {
	case m.Method != "" && m.Method != "ANY" && !contains(m.Method, r.Method),
		m.Path != nil && !m.Path.MatchString(r.URL.Path),
		m.Repo != "" && m.Repo != at.repo,
		m.Kind != "" && !contains(m.Kind, at.kind),
		m.Rest != "" && m.Rest != at.rest,
		m.Header != "" && r.Header.Get(m.Header) == "",
		m.Hop >= 0 && m.Hop != at.hop,
		m.When != nil && !m.When(r):
		return false
	}
	return true
}

// contains reports whether word is one of those in list, which "|" separates.
func contains(list, word string) bool {
	for one := range strings.SplitSeq(list, "|") {
		if one == word {
			return true
		}
	}
	return false
}

// content matches GET requests for the bytes with that digest: a blob, or a
// manifest by digest, at the registry or where it redirects to. The empty
// digest is that of every blob.
func content(d digest.Digest) Match {
	if d == "" {
		return Match{Method: "GET", Kind: "blobs", Hop: -1}
	}
	return Match{Method: "GET", Kind: "blobs|manifests", Rest: d.String(), Hop: -1}
}

// Add adds rules. Of several that strike one request, the last added comes
// first and sees the others as the registry.
func (f *Front) Add(rules ...*Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, rules...)
}

// Heal removes all faults.
func (f *Front) Heal() {
	f.mu.Lock()
	f.rules = nil
	f.triggers = nil
	f.mu.Unlock()
	f.rate.Store(0)
}

// Seed makes what is random in rules the same each time, as far as requests
// come in the same order.
func (f *Front) Seed(seed uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.random = rand.New(rand.NewPCG(seed, 0))
}

// handler is the registry as the faults make it look for one request. A rule
// counts a request only when it gets to see it.
func (f *Front) handler(at route) http.Handler {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.next
	for _, rule := range f.rules {
		next := h
		h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !f.strikes(rule, r, at) {
				next.ServeHTTP(w, r)
				return
			}
			rule.Fault(w, r, next)
		})
	}
	return h
}

// strikes counts a matching request and says whether it is to be changed.
func (f *Front) strikes(rule *Rule, r *http.Request, at route) bool {
	if !rule.Match.matches(r, at) {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if rule.Chance > 0 && f.random.Float64() >= rule.Chance {
		return false
	}
	rule.hits++
	return rule.hits > rule.Skip && (rule.Times == 0 || rule.hits <= rule.Skip+rule.Times)
}
