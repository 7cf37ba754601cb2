// Package report writes for the systems that run modseal, CI above all, what a
// command came to: the same facts in the form that each of them reads, whether the
// command succeeded or failed. What is written needs no further program to be read.
//
// Much of it is foreign text. No form lets it become more than text: not a second
// value, not a command to the runner, not markup.
package report

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Outcomes, as they stand in reports. There is one for each exit code.
const (
	Done         = "done"
	Failed       = "failed"
	Usage        = "usage"
	Refused      = "refused"
	Undecided    = "undecided"
	NotFound     = "not-found"
	Unauthorized = "unauthorized"
	Transport    = "transport"
	Integrity    = "integrity"
	Drift        = "drift"
	Interrupted  = "interrupted"
)

// Report is what a command came to.
type Report struct {
	Command string `json:"command"` // modseal verify
	Target  string `json:"target"`  // what it was about, as it was given
	Outcome string `json:"outcome"`
	// ExitCode is that of the command. Retry means that the same call may succeed
	// later, and that nothing was decided.
	ExitCode int  `json:"exitCode"`
	Retry    bool `json:"retry"`
	// Digest is that of the manifest; empty when it was not resolved.
	Digest string `json:"digest,omitempty"`
	// Verified means that everything was met that was asked for; what a policy only
	// warns of, and what --no-verify skips, is not verified.
	Verified bool     `json:"verified"`
	VSA      string   `json:"vsa,omitempty"` // digest of the referrer with the verification summary
	Checks   []Check  `json:"checks,omitempty"`
	Facts    []Fact   `json:"-"` // for people, beside the above
	Error    string   `json:"error,omitempty"`
	Next     []string `json:"next,omitempty"` // advice
}

// Check is one requirement.
type Check struct {
	Name   string `json:"name"`
	Policy string `json:"policy,omitempty"` // where it comes from, a file in most cases
	Passed bool   `json:"passed"`
	Found  string `json:"found"`
	Next   string `json:"next,omitempty"`
}

// Fact is something that people want to read in a summary.
type Fact struct{ Name, Value string }

// Stderr as the file of a [Sink] is standard error.
const Stderr = "-"

// Sink is a form and where it is written.
type Sink struct{ Format, File string }

// form is a way to write a report.
type form struct {
	write func(Report) ([]byte, error)
	// appended forms add to what others wrote into the file before.
	appended bool
}

var forms = map[string]form{
	"outputs":     {outputs, true},
	"dotenv":      {dotenv, false},
	"markdown":    {markdown, true},
	"junit":       {junit, false},
	"annotations": {annotations, true},
	"json":        {asJSON, false},
	"digest":      {value(func(r Report) string { return r.Digest }), false},
	"verified":    {value(func(r Report) string { return fmt.Sprint(r.Verified) }), false},
	"vsa":         {value(func(r Report) string { return r.VSA }), false},
	"outcome":     {value(func(r Report) string { return r.Outcome }), false},
	"exit_code":   {value(func(r Report) string { return fmt.Sprint(r.ExitCode) }), false},
}

// Formats are the names of the forms.
func Formats() []string {
	names := make([]string, 0, len(forms))
	for name := range forms {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// ParseSink parses FORMAT=FILE.
func ParseSink(s string) (Sink, error) {
	format, file, ok := strings.Cut(s, "=")
	switch {
	case !ok || file == "":
		return Sink{}, fmt.Errorf("%q is no FORMAT=FILE", s)
	case forms[format].write == nil:
		return Sink{}, fmt.Errorf("%q is none of %s", format, strings.Join(Formats(), ", "))
	}
	return Sink{format, file}, nil
}

// Write writes r to all sinks. One that fails does not keep the others from being
// written.
func Write(r Report, sinks []Sink, stderr io.Writer) error {
	var errs []error
	for _, s := range sinks {
		text, err := forms[s.Format].write(r)
		if err == nil {
			err = s.put(text, forms[s.Format].appended, stderr)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("report %s: %w", s.Format, err))
		}
	}
	return errors.Join(errs...)
}

func (s Sink) put(text []byte, appended bool, stderr io.Writer) error {
	if s.File == Stderr {
		_, err := stderr.Write(text)
		return err
	}
	mode := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if appended {
		mode = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	}
	// Other steps, and other users of a runner, read it.
	f, err := os.OpenFile(s.File, mode, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
