package scan

import (
	"fmt"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// Predicate is what an attestation of type artifacttypes.PredicateScan claims: that
// the scanner read these files, and what it found. Conditions of policies look into
// it; its names do not change within v1.
type Predicate struct {
	Scanner Scanner   `json:"scanner"`
	Allowed []string  `json:"allowed,omitempty"`
	Result  Result    `json:"result"`
	Files   []Scanned `json:"files"`
	// Findings are the worst first. Result counts those too that are not listed.
	Findings []hazard.Finding `json:"findings"`
	Omitted  int              `json:"omitted"`
}

// Result is what it comes to.
type Result struct {
	Verdict hazard.Verdict `json:"verdict"`
	Counts
	Rules map[string]int `json:"rules"`
}

// Scanned is a file, and the digest of the bytes that were examined.
type Scanned struct {
	Path    string         `json:"path"`
	Size    int64          `json:"size"`
	Digest  Digest         `json:"digest"`
	Format  string         `json:"format,omitempty"`
	Verdict hazard.Verdict `json:"verdict"`
}

// Predicate returns the report as a claim, in JSON. digests has the SHA-256 of each
// file by its path, in hexadecimal: a claim that names no digest of what was read
// claims nothing.
func (r *Report) Predicate(digests map[string]string) ([]byte, error) {
	p := Predicate{
		Scanner: r.Scanner, Allowed: r.Allowed, Findings: r.Findings, Omitted: r.Omitted,
		Result: Result{Verdict: r.Verdict, Counts: r.Counts, Rules: r.Rules},
	}
	for _, f := range r.Files {
		d := digests[f.Path]
		if d == "" {
			return nil, fmt.Errorf("scan: %q has no digest", f.Path)
		}
		p.Files = append(p.Files, Scanned{Path: f.Path, Size: f.Size, Digest: Digest{d}, Format: f.Format, Verdict: f.Verdict})
	}
	return artifacttypes.Marshal(p)
}
