package scan

import (
	"errors"
	"io"
	"slices"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// examination is what is known of one file while it is looked at. It has one reader
// at a time.
type examination struct {
	*scanner
	file     File
	role     string
	findings []hazard.Finding
	counts   Counts
	rules    map[string]int

	members  int   // of containers in it, looked at
	unpacked int64 // bytes read out of compressed members
	full     bool  // that there are too many members was reported
}

var rank = map[hazard.Verdict]int{hazard.Clean: 0, hazard.Suspicious: 1, hazard.Incomplete: 2, hazard.Dangerous: 3}

// report returns what takes findings about a member, or about the file itself.
func (x *examination) report(member string) hazard.Report {
	return func(f hazard.Finding) {
		f.Path = x.file.Path
		f.Member = inside(member, f.Member)
		f.Subject = shorten(f.Subject)
		x.counts.add(f.Severity)
		x.rules[f.Rule]++
		if v := hazard.Judge([]hazard.Finding{f}); rank[v] > rank[x.file.Verdict] {
			x.file.Verdict = v
		}
		x.findings = append(x.findings, f)
		if len(x.findings) >= 2*limits.ScanFindings {
			slices.SortFunc(x.findings, compareFindings)
			x.findings = x.findings[:limits.ScanFindings]
		}
	}
}

// inside joins the way to a member with that to a member of it.
func inside(outer, inner string) string {
	if outer == "" || inner == "" {
		return shorten(outer + inner)
	}
	return shorten(outer + "!" + inner)
}

func (x *examination) done() {
	x.file.Findings = x.counts.Total()
	x.add(x.file, x.findings, x.counts, x.rules)
}

// errBudget ends an examination that unpacks more than one file may.
var errBudget = errors.New("unpacks to too much")

// metered bounds what is read out of members whose bytes are not in the file as they
// are: what is small in it may be anything outside.
func (x *examination) metered(c hazard.Content) hazard.Content {
	if c.At != nil || c.Depth == 0 {
		return c
	}
	open := c.Open
	c.Open = func() (io.ReadCloser, error) {
		r, err := open()
		if err != nil {
			return nil, err
		}
		return &meteredReader{ReadCloser: r, x: x}, nil
	}
	return c
}

type meteredReader struct {
	io.ReadCloser
	x *examination
}

func (m *meteredReader) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	if m.x.unpacked += int64(n); m.x.unpacked > limits.ScanUnpackedBytes {
		return 0, errBudget
	}
	return n, err
}
