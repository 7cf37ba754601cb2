package modseal

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/modelfile"
	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/pickle"
	"github.com/modseal/modseal/pkg/pack"
	"github.com/modseal/modseal/pkg/scan"
	"github.com/modseal/modseal/pkg/source"
)

// ScanPush says what a push does about what a scan finds. The scan is made before
// the first byte moves.
type ScanPush struct {
	// Refuse ends the push when there are findings of this severity or a worse one;
	// 0 never does.
	Refuse hazard.Severity
	// Attest signs the result and attaches it, where there is a signer.
	Attest bool
	// Allow names globals that pass, besides those of modseal.yaml.
	Allow   []string
	Version string // of the program
}

// PushedScan is what a scan before a push found.
type PushedScan struct {
	Verdict hazard.Verdict `json:"verdict"`
	Counts  scan.Counts    `json:"counts"`
	Allowed []string       `json:"allowed,omitempty"`
	// Findings are the worst, at most twenty: scan lists all.
	Findings []hazard.Finding `json:"findings,omitempty"`
}

// maxPushedFindings bounds what a push tells of: it is about something else.
const maxPushedFindings = 20

// SayScan scans a model before it is stored, refuses by what is found, and says what
// was found.
func SayScan(o ScanPush) Saying { return &scanSaying{ScanPush: o} }

type scanSaying struct {
	ScanPush
	report   *scan.Report
	warnings []string
}

// prepare implements [Saying].
func (s *scanSaying) prepare(ctx context.Context, _ *Client, tree *source.Tree, _ bool) error {
	own, err := readOverrides(tree.Dir)
	if err != nil {
		return err
	}
	if err := scan.CheckAllowed(slices.Concat(s.Allow, own.AllowGlobals)); err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	allow := slices.Concat(s.Allow, s.ownAllowances(own.AllowGlobals))
	s.report, err = scan.Scan(ctx, treeFiles(tree), scan.Options{Allow: allow, Version: s.Version})
	if err != nil {
		return fmt.Errorf("scan: %w", err)
	}
	if s.Refuse != 0 && s.report.Counts.AtLeast(s.Refuse) > 0 {
		return &ScanError{Target: tree.Dir, Refuse: s.Refuse, Scan: pushedScan(s.report)}
	}
	return nil
}

// ownAllowances returns the globals that the overrides of a model let pass: a
// directory may have come from a stranger with its modseal.yaml. What is known to be
// dangerous passes when whoever pushes says so, and what passes is told.
func (s *scanSaying) ownAllowances(names []string) []string {
	var pass, denied []string
	for _, name := range names {
		if slices.Contains(s.Allow, name) {
			continue
		}
		if g, err := pickle.ParseGlobal(name); err != nil || pickle.Denied(g) {
			denied = append(denied, name)
			continue
		}
		pass = append(pass, name)
	}
	if len(pass) > 0 {
		s.warnings = append(s.warnings, fmt.Sprintf("%s lets pass: %s", pack.OverridesFile, strings.Join(pass, ", ")))
	}
	if len(denied) > 0 {
		s.warnings = append(s.warnings, fmt.Sprintf("%s names what is known to be dangerous, which it lets not pass: %s; --allow-global does", pack.OverridesFile, strings.Join(denied, ", ")))
	}
	return pass
}

// about implements [Saying].
func (s *scanSaying) about(_ context.Context, m *PackedModel) (Said, error) {
	if err := s.untouched(m.tree); err != nil {
		return Said{}, err
	}
	said := Said{PredicateType: artifacttypes.PredicateScan, Scan: pushedScan(s.report), Warnings: s.warnings}
	if !s.Attest {
		return said, nil
	}
	digests := make(map[string]string, len(m.packed.Files))
	for _, f := range m.packed.Files {
		digests[f.Path] = hexSHA256(f.Digest)
	}
	var err error
	said.Predicate, err = s.report.Predicate(digests)
	return said, err
}

// untouched makes sure that what was stored is what was scanned, where that counts.
func (s *scanSaying) untouched(tree *source.Tree) error {
	if !s.Attest && s.Refuse == 0 {
		return nil
	}
	for i := range tree.Files {
		if err := tree.Files[i].Untouched(); err != nil {
			return fmt.Errorf("since it was scanned: %w", err)
		}
	}
	return nil
}

func pushedScan(r *scan.Report) *PushedScan {
	return &PushedScan{
		Verdict: r.Verdict, Counts: r.Counts, Allowed: r.Allowed,
		Findings: r.Findings[:min(len(r.Findings), maxPushedFindings)],
	}
}

func treeFiles(tree *source.Tree) []modelfile.File {
	out := make([]modelfile.File, len(tree.Files))
	for i := range tree.Files {
		f := &tree.Files[i]
		out[i] = modelfile.File{
			Path: f.Path, Size: f.Size, Role: string(f.Role),
			Open: func() (modelfile.ReaderAtCloser, error) { return f.Open() },
		}
	}
	return out
}

// ScanError says that a model was not stored for what is in it.
type ScanError struct {
	Target string
	Refuse hazard.Severity
	Scan   *PushedScan
}

func (e *ScanError) Error() string {
	worst := e.Scan.Findings[0]
	return fmt.Sprintf("%s: refused by its scan: %s; the worst: %s %s in %q: %s",
		e.Target, e.Scan.Counts, worst.Severity, worst.Rule, Place(worst), worst.Says())
}

// Next says what to do.
func (e *ScanError) Next() string {
	next := "see all findings: modseal scan " + e.Target
	if slices.ContainsFunc(e.Scan.Findings, func(f hazard.Finding) bool { return slices.Contains(allowable, f.Rule) }) {
		next += "; a global that is meant passes with --allow-global MODULE.NAME"
	}
	return next
}

// allowable are the rules of globals that can be let pass: see docs/scan.md.
var allowable = []string{"pickle-dangerous-global", "pickle-unknown-global", "pickle-dotted-name"}

// Place is where a finding is, for people: file!member.
func Place(f hazard.Finding) string {
	if f.Member == "" {
		return f.Path
	}
	return f.Path + "!" + f.Member
}
