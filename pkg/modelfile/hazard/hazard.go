// Package hazard has the words in which readers of model files say what can harm
// whoever loads a file, and the seam through which they are given what to look at.
//
// A [Finding] names a [Rule] of the one table in this package, so that a rule has the
// same id, severity and help in a terminal, in SARIF, in an attestation and in the
// documentation. Nothing here reads a format.
package hazard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Severity is how bad a finding is.
type Severity int

// Severities, from the least.
const (
	// Low is worth knowing and no reason not to use a model.
	Low Severity = iota + 1
	// Medium is code or a name that is on no list: somebody has to look at it.
	Medium
	// High can harm, or could not be read to its end, where harm may be.
	High
	// Critical runs code, opens connections or writes files when it is loaded.
	Critical
)

var severities = [...]string{Low: "low", Medium: "medium", High: "high", Critical: "critical"}

func (s Severity) String() string {
	if s < Low || s > Critical {
		return "unknown"
	}
	return severities[s]
}

// ParseSeverity returns the severity of that name.
func ParseSeverity(name string) (Severity, error) {
	for s := Low; s <= Critical; s++ {
		if severities[s] == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("severity %q: it is one of %s", name, strings.Join(severities[Low:], ", "))
}

// MarshalText writes the name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a name.
func (s *Severity) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSeverity(string(text))
	return err
}

// Finding is one thing that a reader noticed. Text in it comes from the file: who
// shows it makes it harmless first.
type Finding struct {
	Rule     string   `json:"rule"` // see [Rules]
	Severity Severity `json:"severity"`
	Path     string   `json:"path"` // of the file in the model
	// Member is the way to it in containers, outermost first: archive/data.pkl.
	Member string `json:"member,omitempty"`
	// Offset counts bytes from the start of the member, or of the file when there is
	// none; -1 when it is about no place.
	Offset int64 `json:"offset"`
	// Subject is what it is about: builtins.eval, a key, a path. Empty when nothing
	// more can be said than Message does.
	Subject string `json:"subject,omitempty"`
	Message string `json:"message"` // one sentence, why it matters here
}

// Says is the finding in one line: the message, behind the subject where that is not
// in it.
func (f Finding) Says() string {
	if f.Subject == "" || strings.Contains(f.Message, f.Subject) {
		return f.Message
	}
	return f.Subject + ": " + f.Message
}

// Verdict is what the findings about a file or a model come to.
type Verdict string

// Verdicts. Policy treats [Incomplete] like [Dangerous].
const (
	Clean      Verdict = "clean"
	Suspicious Verdict = "suspicious" // something on no list, none worse than Medium
	Dangerous  Verdict = "dangerous"  // High or Critical
	Incomplete Verdict = "incomplete" // not read to its end, and nothing dangerous before
)

// Judge returns the verdict of findings.
func Judge(findings []Finding) Verdict {
	verdict := Clean
	rank := map[Verdict]int{Clean: 0, Suspicious: 1, Incomplete: 2, Dangerous: 3}
	for _, f := range findings {
		var v Verdict
		switch {
		case RuleOf(f.Rule).Incomplete:
			v = Incomplete
		case f.Severity >= High:
			v = Dangerous
		case f.Severity == Medium:
			v = Suspicious
		default:
			continue
		}
		if rank[v] > rank[verdict] {
			verdict = v
		}
	}
	return verdict
}

// Rule is a kind of finding.
type Rule struct {
	ID string // kebab-case, with the family first: pickle-dangerous-global
	// Severity is that of most findings; some are lowered or raised by what they
	// are about.
	Severity Severity
	Title    string
	// Help says what the danger is and what to do about it, for who never heard of
	// it.
	Help string
	// Incomplete marks rules that say that something was not read to its end.
	Incomplete bool
	References []string // URLs and CVE numbers
}

// Rules returns all rules in the order of their families.
func Rules() []Rule {
	var out []Rule
	for _, family := range families {
		out = append(out, family...)
	}
	return out
}

// families are the lists in the files rules_*.go.
var families = [][]Rule{pickleRules, containerRules, codeRules, onnxRules, ggufRules, fileRules}

// RuleOf returns the rule of that id, and an empty one when there is none.
func RuleOf(id string) Rule {
	for _, family := range families {
		for _, r := range family {
			if r.ID == id {
				return r
			}
		}
	}
	return Rule{}
}

// Of returns a finding of a rule with its usual severity and title, about no place.
func Of(rule, subject, message string) Finding {
	r := RuleOf(rule)
	return Finding{Rule: rule, Severity: r.Severity, Offset: -1, Subject: subject, Message: cmp.Or(message, r.Title)}
}

// At returns f at an offset.
func (f Finding) At(offset int64) Finding {
	f.Offset = offset
	return f
}

// Report takes findings as they are made. Path and Member are filled in by who gave
// the reader its [Content].
type Report func(Finding)

// Content is bytes to look at: a file, or a member of a container in it.
type Content struct {
	// Name is that of the file or of the member alone, with slashes. It is foreign
	// text.
	Name string
	// Size is in bytes; -1 when only the end of Open tells it.
	Size int64
	// At reads any part; nil when the bytes come in their order alone, as
	// compressed members do.
	At io.ReaderAt
	// Open returns the bytes from the beginning. It may be called again.
	Open func() (io.ReadCloser, error)
	// Depth is in how many containers it lies.
	Depth int
	// Hint is what the container is, where that changes what its members mean;
	// empty otherwise.
	Hint Hint
	// Sibling returns the size of another member of the container, as that says it, and
	// false when there is none of that name, in whatever case; of several it is the least.
	// nil where nothing refers to others.
	Sibling func(name string) (size int64, ok bool)
}

// Hint says what a container is whose members mean more than they would alone.
type Hint string

// Hints.
const (
	// InTorch marks pickles that torch reads: persistent ids in them name storages.
	InTorch Hint = "torch"
	// InTorchScript marks the code of TorchScript: Python by its syntax alone, which the
	// interpreter of torch runs.
	InTorchScript Hint = "torchscript"
	// InNumPy marks the pickle of an array of objects.
	InNumPy Hint = "numpy"
	// InKeras marks the texts from which Keras builds layers.
	InKeras Hint = "keras"
)

// Bounds on what comes out of compressed bytes, so that a bomb takes no more time than
// a large model: ExpandedFactor times what went in, and ExpandedSlack bytes, which lets
// small files expand well.
const (
	ExpandedFactor = 64
	ExpandedSlack  = 1 << 30
)

// MaxDepth is how many containers deep members are looked at. Models have two at
// most: an .npz in a tar.
const MaxDepth = 3

// ErrBroken is wrapped by errors of the readers of a [Content] when its bytes cannot
// be had because of what the container says, and not because reading failed: whoever
// made the content reports it.
var ErrBroken = errors.New("broken content")

// Broken returns an error of that text which wraps [ErrBroken] without saying so.
func Broken(text string) error { return brokenError(text) }

type brokenError string

func (e brokenError) Error() string { return string(e) }

func (brokenError) Unwrap() error { return ErrBroken }

// Bounded returns a report that passes on so many findings of each rule and drops the
// others: hostile files have as many as they like.
func Bounded(report Report, limit int) Report {
	seen := map[string]int{}
	return func(f Finding) {
		if seen[f.Rule]++; seen[f.Rule] <= limit {
			report(f)
		}
	}
}

// OfFile returns a file of the given size as content.
func OfFile(name string, r io.ReaderAt, size int64) Content {
	return Content{Name: name, Size: size, At: r, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(r, 0, size)), nil
	}}
}

// Visit is how a reader of containers has a member looked at, by whoever knows all
// formats. It returns errors of reading alone: what is wrong with a member is
// reported.
type Visit func(ctx context.Context, member Content) error
