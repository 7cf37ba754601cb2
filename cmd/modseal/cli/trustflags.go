package cli

import (
	"github.com/spf13/cobra"

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
	for _, name := range []string{"certificate-identity", "certificate-oidc-issuer"} {
		if err := notBoth(cmd, name, name+"-regexp"); err != nil {
			return err
		}
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
