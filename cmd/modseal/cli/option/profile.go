package option

import (
	"github.com/spf13/pflag"

	"github.com/modseal/modseal/pkg/profile"
)

// Profile says whose annotations are written.
type Profile struct{ Profile string }

// AddFlags adds the flags of the group.
func (p *Profile) AddFlags(fs *pflag.FlagSet) {
	fs.Var(oneOf(&p.Profile, profile.Name), "profile", "write the annotations of this profile: what the model is, and what this command attaches to it (docs/profile.md)")
}
