package scan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/modelfile"
	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/pickle"
)

// Name is what reports call the scanner.
const Name = "modseal"

// DefaultConcurrency is how many files are examined at once: each takes the memory
// of a reader.
const DefaultConcurrency = 2

// ErrAllow is wrapped when what is to be allowed is no name of a global.
var ErrAllow = errors.New("no name of a Python global")

// Options say how to judge. The zero value works.
type Options struct {
	// Allow names globals that are clean besides those that always are, exactly:
	// argparse.Namespace.
	Allow       []string
	Concurrency int    // files at once; 0 means DefaultConcurrency
	Version     string // of the program, for the report
	// Unread are files that nobody can read in parts. They are reported as what they
	// are: unknown.
	Unread []Unread
}

// Unread is a file whose content is not known, and why.
type Unread struct {
	Path string
	Size int64
	Why  string
}

// CheckAllowed reports the first name that is none of a global.
func CheckAllowed(names []string) error {
	_, err := allowed(names)
	return err
}

func allowed(names []string) (pickle.Allowed, error) {
	out := pickle.Allowed{}
	for _, n := range names {
		g, err := pickle.ParseGlobal(n)
		if err != nil {
			return nil, fmt.Errorf("%w: %q: %w", ErrAllow, n, err)
		}
		out[g] = true
	}
	return out, nil
}

// Scan examines the files of a model. What is wrong with a file is a finding; errors
// are of reading, of ctx, and of what the options say.
func Scan(ctx context.Context, files []modelfile.File, o Options) (*Report, error) {
	allow, err := allowed(o.Allow)
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(slices.Values(o.Allow))
	s := &scanner{
		allow: allow, paths: make(map[string]bool, len(files)), pointed: map[string]bool{},
		gathering: gathering{most: limits.ScanFindings, verdicts: map[hazard.Verdict]bool{}, report: &Report{
			Scanner: Scanner{Name: Name, Version: o.Version, Rules: Digest{RulesDigest()}},
			Allowed: slices.Compact(names), Rules: map[string]int{}, Files: []File{}, Findings: []hazard.Finding{},
		}},
	}
	for i := range files {
		s.paths[files[i].Path] = true
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(cmp.Or(o.Concurrency, DefaultConcurrency))
	for i := range files {
		group.Go(func() error { return s.examine(ctx, &files[i]) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	s.judgePython()
	for _, u := range o.Unread {
		x := s.examination(u.Path, u.Size, "")
		x.report("")(hazard.Of(hazard.FileUnread, "", u.Why))
		x.done()
	}
	return s.finish(), nil
}

// scanner examines the files of one model.
type scanner struct {
	gathering
	allow pickle.Allowed
	paths map[string]bool // of all files

	mu      sync.Mutex
	pointed map[string]bool // files of code that configurations have loaded
	python  []*examination  // what waits until all configurations are read
}

func (s *scanner) examination(path string, size int64, role string) *examination {
	return &examination{scanner: s, file: File{Path: path, Size: size, Verdict: hazard.Clean}, role: role, rules: map[string]int{}}
}

// examine looks at one file.
func (s *scanner) examine(ctx context.Context, f *modelfile.File) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	x := s.examination(f.Path, f.Size, f.Role)
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	err = x.look(ctx, hazard.OfFile(f.Path, r, f.Size), "")
	if errors.Is(err, errBudget) {
		x.report("")(hazard.Of(hazard.FileUnfinished, "", fmt.Sprintf("what is in it unpacks to more than %d bytes", int64(limits.ScanUnpackedBytes))))
		err = nil
	}
	if err != nil {
		return fmt.Errorf("%q: %w", f.Path, err)
	}
	if extension(f.Path) == ".py" {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.python = append(s.python, x)
		return nil
	}
	x.done()
	return nil
}

// point notes that a configuration has a file of code loaded. dir is that of the
// configuration.
func (s *scanner) point(dir, file string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pointed[strings.TrimPrefix(dir+"/"+file, "/")] = true
}

// judgePython says of Python files whether anything runs them.
func (s *scanner) judgePython() {
	for _, x := range s.python {
		f := hazard.Of(hazard.CodePython, "", "")
		if s.pointed[x.file.Path] {
			f.Severity, f.Message = hazard.Medium, "a configuration of the model has this file run when it is loaded"
		}
		x.report("")(f)
		x.done()
	}
}
