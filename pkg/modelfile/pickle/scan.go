// Package pickle reads what Python's pickle module writes, and executes nothing of it:
// the opcodes are followed on a stack and a memo of abstract values, which know what
// they are made of but never are it.
//
// A pickle is a program that names functions and calls them, so that whoever loads one
// from a stranger runs the stranger's code. [Scan] reports through [hazard] whatever a
// pickle names beyond the globals that models need, and every trick by which a name
// can be hidden from a reader; what it cannot read to its end it says so. What is left
// on the stack is a [Value], in which the tensors of PyTorch are found by [Tensors].
//
// The content is read once and forwards, and less than 32 MiB of memory are used
// whatever it holds.
package pickle

import (
	"context"
	"fmt"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// Bounds of what is read. Beyond each the scan ends, and says so as pickle-limit.
const (
	// MaxOpcodes bounds the opcodes of a content, nested pickles included.
	MaxOpcodes = 10_000_000
	// MaxStack bounds the values on the stack.
	MaxStack = 100_000
	// MaxMemo bounds the values in the memo.
	MaxMemo = memoSize
	// MaxStreams bounds the pickles that follow each other.
	MaxStreams = 10_000
	// MaxNesting bounds how deep pickles are in literals of others.
	MaxNesting = 3
	// MaxFindings bounds what is reported of one content.
	MaxFindings = 1_000
)

// Options say what a pickle is part of. The zero value is a pickle of its own, read
// with the default list.
type Options struct {
	// Allow are further globals that are clean. Names on the list of the dangerous
	// can be allowed too; spellings that are dangerous by themselves cannot.
	Allow Allowed
	// Torch says that persistent ids name storages, as they do in data.pkl of a zip
	// file of torch and in the object of a legacy one.
	Torch bool
	// Storage returns how many bytes there are of the storage of that key, and false where
	// that is not known; nil: of none it is.
	Storage func(key string) (size int64, ok bool)
	// Build is asked after every BUILD, for formats that put data between opcodes.
	Build BuildHook
	// Done is asked after each stream; when it returns true the rest is the
	// caller's. Nil goes on to the end, where unexplained bytes are a finding.
	Done func([]Stream) bool
	// Visit is given literals that are other files, as those that
	// torch.storage._load_from_bytes loads. With nil such a call is dangerous.
	Visit hazard.Visit
}

// BuildHook is told of an object that was given its state, with the input behind it.
// It may read on in the input, and returns true when the object has become an array.
type BuildHook func(object Value, next *Follow) (array bool, err error)

// Stream is one pickle of a content.
type Stream struct {
	// Offset and Size are in bytes, from the begin of the content.
	Offset, Size int64
	// Protocol is the last that PROTO announced, 0 without.
	Protocol int
	Opcodes  int
	// Root is what STOP found on the stack; unknown when there was no STOP.
	Root Value
	// Whole tells whether it ended with STOP.
	Whole bool
	// Globals and Calls count what was named and what was called.
	Globals, Calls int
}

// GlobalUse is a global that a content names.
type GlobalUse struct {
	Global
	Offset  int64 // of the first use; of the literal, in nested pickles of text
	Verdict hazard.Verdict
}

// Result is what a scan came to, apart from the findings.
type Result struct {
	Streams []Stream
	// End is the first byte that was not read or explained.
	End int64
	// Whole tells that every stream ended with STOP and that nothing was left out.
	Whole bool
	// Globals are the distinct ones, in the order of their first use, nested
	// pickles included.
	Globals []GlobalUse
}

// Scan reads all pickles in c. What it finds is reported without Path and Member. An
// error is of reading c or of ctx alone: a content that is no pickle is a finding.
func Scan(ctx context.Context, c hazard.Content, o Options, report hazard.Report) (*Result, error) {
	return newScanner(ctx, c, o, report).scan(c)
}

func newScanner(ctx context.Context, c hazard.Content, o Options, report hazard.Report) *scanner {
	opcodes := 0
	s := &scanner{options: o, report: report, cancelled: ctx.Err, depth: c.Depth, pool: &pool{budget: memoryBytes}, opcodes: &opcodes, complete: true}
	if o.Visit != nil {
		s.visit = func(c hazard.Content) error { return o.Visit(ctx, c) }
	}
	return s
}

// memoryBytes bounds the memory that values take, memo and nested pickles included.
const memoryBytes = keptBytes + memoReserve

// scanner is one call of [Scan], or the scan of a literal in it.
type scanner struct {
	options Options
	report  hazard.Report
	// cancelled and visit are of the context and of the options.
	cancelled func() error
	visit     func(hazard.Content) error
	depth     int // of the content
	nesting   int // in literals
	pool      *pool
	opcodes   *int

	in       *Input
	buffer   []byte // for short literals
	result   Result
	complete bool
	found    map[[2]string]bool // by rule and subject
	muted    bool               // more than MaxFindings
	// uncertain says that what is read may be no pickle: what is found waits until
	// it names or calls something.
	uncertain bool
	waiting   []hazard.Finding
	named     map[Global]bool
}

func (s *scanner) scan(c hazard.Content) (*Result, error) {
	in, err := open(s.cancelled, c)
	if err != nil {
		return nil, err
	}
	defer in.close()
	s.in = in
	if err := s.streams(); err != nil {
		return nil, err
	}
	s.result.End = in.pos
	s.result.Whole = s.complete
	return &s.result, nil
}

// streams reads one pickle after the other.
func (s *scanner) streams() error {
	for {
		if err := s.cancelled(); err != nil {
			return err
		}
		ended, err := s.in.ended()
		if err != nil {
			return err
		}
		if ended && len(s.result.Streams) > 0 {
			return nil
		}
		if len(s.result.Streams) >= MaxStreams {
			s.limit(s.in.pos, fmt.Sprintf("more than %d pickles follow each other", MaxStreams))
			return nil
		}
		m := newMachine(s)
		s.uncertain = len(s.result.Streams) > 0
		stream, err := m.run()
		if err != nil {
			return err
		}
		s.result.Streams = append(s.result.Streams, stream)
		if !stream.Whole {
			return nil
		}
		if s.options.Done != nil && s.options.Done(s.result.Streams) {
			return nil
		}
	}
}

// find reports a finding once for each subject.
func (s *scanner) find(f hazard.Finding) {
	if s.uncertain {
		if len(s.waiting) < maxWaiting {
			s.waiting = append(s.waiting, f)
		}
		return
	}
	if hazard.RuleOf(f.Rule).Incomplete {
		s.complete = false
	}
	key := [2]string{f.Rule, f.Subject}
	if s.found[key] || s.muted {
		return
	}
	if len(s.found) >= MaxFindings {
		s.muted, s.complete = true, false
		s.report(hazard.Of("pickle-limit", "", fmt.Sprintf("there are more than %d findings: the others are not listed", MaxFindings)).At(f.Offset))
		return
	}
	if s.found == nil {
		s.found = map[[2]string]bool{}
	}
	s.found[key] = true
	s.report(f)
}

// maxWaiting bounds what is found before anything is named or called.
const maxWaiting = 16

// settle says that what is read is a pickle, and reports what was found so far.
func (s *scanner) settle() {
	waiting := s.waiting
	s.uncertain, s.waiting = false, nil
	for _, f := range waiting {
		s.find(f)
	}
}

// limit reports that a bound was reached.
func (s *scanner) limit(at int64, message string) {
	s.find(hazard.Of("pickle-limit", "", message).At(at))
}

// use notes that a global was named.
func (s *scanner) use(g Global, at int64, v hazard.Verdict) {
	if s.named[g] || len(s.named) >= maxGlobals {
		return
	}
	if s.named == nil {
		s.named = map[Global]bool{}
	}
	s.named[g] = true
	s.result.Globals = append(s.result.Globals, GlobalUse{g, at, v})
}

// Starts tells whether a content with this prefix says itself that it is a pickle.
// Protocols 0 and 1 do not: whatever may be one is tried with [Scan] or [Probe].
func Starts(prefix []byte) bool {
	return len(prefix) >= 2 && prefix[0] == byte(opProto) && prefix[1] <= highestProtocol
}
