package cli

import (
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
)

// version is set by the linker for releases (-X …/cli.version=v1.2.3); a build
// by go install knows its module version.
var version string

type versionResult struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"` // built from a tree with changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func buildVersion() versionResult {
	v := versionResult{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if v.Version == "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

func userAgent() string { return "modseal/" + buildVersion().Version }

func (a *app) versionCommand() *cobra.Command {
	var o option.Output
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show the version",
		Args:  exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			v := buildVersion()
			return a.print(&o, v, func(w io.Writer) {
				f := render.NewFields(w)
				f.Add("version", v.Version)
				f.Add("revision", v.Revision)
				f.Add("go", v.Go)
				f.Add("platform", v.Platform)
				f.Flush()
			})
		},
	}
	o.AddFlags(cmd.Flags())
	return cmd
}
