package option

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// FormatSARIF is that of systems which show findings.
const FormatSARIF = "sarif"

// AddFlagsWithSARIF adds the flags of the group, for a command that finds something.
func (o *Output) AddFlagsWithSARIF(fs *pflag.FlagSet) {
	o.AddFlags(fs)
	f := fs.Lookup("output")
	f.Value = oneOf(&o.Format, FormatText, FormatJSON, FormatSARIF)
	f.Usage = strings.Replace(f.Usage, "text or json", "text, json or sarif (2.1.0)", 1)
}

// SARIF reports whether the result is to be SARIF.
func (o *Output) SARIF() bool { return o.Format == FormatSARIF }

// Allow names globals that pass in pickles.
type Allow struct{ Globals []string }

// AddFlags adds the flags of the group.
func (a *Allow) AddFlags(fs *pflag.FlagSet) {
	fs.StringArrayVar(&a.Globals, "allow-global", nil, "let pickles name the Python global `MODULE.NAME`, such as argparse.Namespace; reports and attestations say so (may be repeated)")
}

// failNone is the value of --fail-on that no finding reaches.
const failNone = "none"

// FailOn is the severity from which on findings fail a command.
type FailOn struct{ Severity string }

// AddFlags adds the flags of the group.
func (f *FailOn) AddFlags(fs *pflag.FlagSet) {
	f.Severity = hazard.High.String()
	values := []string{failNone}
	for s := hazard.Low; s <= hazard.Critical; s++ {
		values = append(values, s.String())
	}
	fs.Var(oneOf(&f.Severity, values...), "fail-on", "exit with 3 when there is a finding of this severity or a worse one")
}

// Reached returns the least severity that fails, and whether any does.
func (f *FailOn) Reached() (hazard.Severity, bool) {
	s, err := hazard.ParseSeverity(f.Severity)
	return s, err == nil
}

// Modes of scanning before a push.
const (
	ScanWarn    = "warn"
	ScanEnforce = "enforce"
	ScanOff     = "off"
)

// ScanPush says what a push does about what is in the files.
type ScanPush struct {
	Allow
	Mode string
}

// AddFlags adds the flags of the group.
func (s *ScanPush) AddFlags(fs *pflag.FlagSet) {
	s.Mode = ScanWarn
	s.Allow.AddFlags(fs)
	fs.Var(oneOf(&s.Mode, ScanWarn, ScanEnforce, ScanOff), "scan", fmt.Sprintf(
		"look for what can harm whoever loads the model before anything is stored, and %s of it, %s to push what has findings of severity high or worse, or do not look (%s); given with a signer, the result is attached, signed",
		ScanWarn, ScanEnforce, ScanOff))
	fs.Lookup("scan").NoOptDefVal = ScanWarn
}
