package cli

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/policy"
)

// checkTrust refuses flags that contradict each other. Which of them belong
// together the library says.
func checkTrust(cmd *cobra.Command) error {
	for _, name := range option.SignerFlags() {
		if err := notBoth(cmd, name, "policy"); err != nil {
			return err
		}
	}
	for _, name := range append(option.SignerFlags(), "trusted-root", "policy") {
		if err := notEmpty(cmd, name); err != nil {
			return err
		}
	}
	for _, name := range []string{"certificate-identity", "certificate-oidc-issuer"} {
		if err := notBoth(cmd, name, name+"-regexp"); err != nil {
			return err
		}
	}
	return nil
}

// notEmpty refuses a flag that is given without a value, as by a variable that is
// not set: whoever wrote it wants somebody asked for, and not everybody accepted.
func notEmpty(cmd *cobra.Command, name string) error {
	f := cmd.Flags().Lookup(name)
	if f == nil || !f.Changed {
		return nil
	}
	values := []string{f.Value.String()}
	if list, ok := f.Value.(pflag.SliceValue); ok {
		values = list.GetSlice()
	}
	if slices.Contains(values, "") {
		return usageError(cmd, fmt.Errorf("--%s is empty: give it a value, or leave it out", name))
	}
	return nil
}

// trust returns whom the flags and the policies of user and site say to trust.
func (a *app) trust(t *option.Trust) modseal.TrustOptions {
	return modseal.TrustOptions{
		Keys:        t.Keys,
		Identity:    policy.Match{Exact: t.Identity, Regexp: t.IdentityRegexp},
		Issuer:      policy.Match{Exact: t.Issuer, Regexp: t.IssuerRegexp},
		Authorities: t.Chain, TrustedRoot: t.TrustedRoot,
		PolicyFiles: t.Policies, DefaultPolicyFile: a.env.defaultPolicy(), SitePolicyFiles: a.env.sitePolicies(),
		Offline: t.Offline,
	}
}
