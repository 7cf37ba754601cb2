package scan

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/scan/secret"
)

// Report is what a scan found.
type Report struct {
	Scanner Scanner `json:"scanner"`
	// Allowed are the globals that the caller let pass besides those that are clean.
	Allowed []string       `json:"allowed,omitempty"`
	Verdict hazard.Verdict `json:"verdict"`
	Counts  Counts         `json:"counts"` // of all findings, also those left out
	// Rules has how many findings there are by each rule, of all of them.
	Rules map[string]int `json:"rules"`
	Files []File         `json:"files"` // ascending by path
	// Findings are the worst first, at most limits.ScanFindings of them.
	Findings []hazard.Finding `json:"findings"`
	Omitted  int              `json:"omitted,omitempty"` // findings that are not listed
}

// Scanner says what judged.
type Scanner struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Rules   Digest `json:"rules"` // of the table of rules: see [RulesDigest]
}

// Digest is a digest as in-toto writes it.
type Digest struct {
	SHA256 string `json:"sha256"`
}

// Counts are findings by severity.
type Counts struct {
	Critical int `json:"critical"`
	High     int `json:"high"`
	Medium   int `json:"medium"`
	Low      int `json:"low"`
}

// File is what is said of one file.
type File struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
	// Format is what it was read as; empty when nothing knows it, and it is data that
	// no loader takes for code.
	Format   string         `json:"format,omitempty"`
	Verdict  hazard.Verdict `json:"verdict"`
	Findings int            `json:"findings,omitempty"`
}

func (c *Counts) add(s hazard.Severity) {
	switch s {
	case hazard.Critical:
		c.Critical++
	case hazard.High:
		c.High++
	case hazard.Medium:
		c.Medium++
	case hazard.Low:
		c.Low++
	}
}

// Total is the number of all findings.
func (c Counts) Total() int { return c.Critical + c.High + c.Medium + c.Low }

// AtLeast is the number of findings of that severity or a worse one.
func (c Counts) AtLeast(s hazard.Severity) int {
	n := 0
	for i, count := range []int{c.Low, c.Medium, c.High, c.Critical} {
		if hazard.Severity(i+1) >= s {
			n += count
		}
	}
	return n
}

// String lists what there is: 1 critical, 2 low.
func (c Counts) String() string {
	var parts []string
	for _, p := range []struct {
		n    int
		name hazard.Severity
	}{{c.Critical, hazard.Critical}, {c.High, hazard.High}, {c.Medium, hazard.Medium}, {c.Low, hazard.Low}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.name))
		}
	}
	return strings.Join(parts, ", ")
}

// RulesDigest names the rules by which is judged: it changes with the table of rules
// and with that of credentials.
var RulesDigest = sync.OnceValue(func() string {
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(hazard.Rules()); err != nil {
		panic(err) // a table of texts and numbers has a form in JSON
	}
	h.Write([]byte(secret.Text()))
	return hex.EncodeToString(h.Sum(nil))
})

// gathering is a report that is being made.
type gathering struct {
	mu       sync.Mutex
	report   *Report
	verdicts map[hazard.Verdict]bool
	most     int
}

// add takes what was found in one file. Of many findings the worst are kept.
func (g *gathering) add(f File, findings []hazard.Finding, counts Counts, rules map[string]int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.report
	r.Files = append(r.Files, f)
	r.Counts.Critical += counts.Critical
	r.Counts.High += counts.High
	r.Counts.Medium += counts.Medium
	r.Counts.Low += counts.Low
	for rule, n := range rules {
		r.Rules[rule] += n
	}
	g.verdicts[f.Verdict] = true
	r.Findings = append(r.Findings, findings...)
	if len(r.Findings) > 2*g.most {
		g.trim()
	}
}

func (g *gathering) trim() {
	slices.SortFunc(g.report.Findings, compareFindings)
	g.report.Findings = g.report.Findings[:min(len(g.report.Findings), g.most)]
}

// finish puts everything into the order that does not depend on who was first.
func (g *gathering) finish() *Report {
	r := g.report
	g.trim()
	r.Omitted = r.Counts.Total() - len(r.Findings)
	slices.SortFunc(r.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	r.Verdict = hazard.Clean
	for _, v := range []hazard.Verdict{hazard.Suspicious, hazard.Incomplete, hazard.Dangerous} {
		if g.verdicts[v] {
			r.Verdict = v
		}
	}
	return r
}

func compareFindings(a, b hazard.Finding) int {
	return cmp.Or(
		cmp.Compare(b.Severity, a.Severity),
		strings.Compare(a.Path, b.Path),
		strings.Compare(a.Member, b.Member),
		cmp.Compare(a.Offset, b.Offset),
		strings.Compare(a.Rule, b.Rule),
		strings.Compare(a.Subject, b.Subject),
	)
}
