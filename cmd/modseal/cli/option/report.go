package option

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/modseal/modseal/cmd/modseal/cli/report"
)

// Report says where a command tells CI what it came to.
type Report struct{ Files []string }

// AddFlags adds the flags of the group.
func (r *Report) AddFlags(fs *pflag.FlagSet) {
	fs.StringArrayVar(&r.Files, "report", nil, "write what it came to, also when it fails, as `FORMAT=FILE` for CI: "+
		strings.Join(report.Formats(), ", ")+"; FILE - is standard error (may be repeated)")
}

// Sinks returns what the flags ask for.
func (r *Report) Sinks() ([]report.Sink, error) {
	var out []report.Sink
	for _, f := range r.Files {
		s, err := report.ParseSink(f)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}
