package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/sign"
)

func (a *app) keygenCommand() *cobra.Command {
	var o option.Output
	var prefix, curve string
	cmd := &cobra.Command{
		Use:        "keygen",
		SuggestFor: []string{"generate-key-pair"},
		Short:      "Make a key pair to sign with",
		Long: `Make an elliptic curve key pair: PREFIX.key, encrypted with a password from
MODSEAL_PASSWORD, COSIGN_PASSWORD or a prompt, and PREFIX.pub for those who are to
verify. cosign reads both. A file that exists is never overwritten.`,
		Example: `  modseal keygen                               # modseal.key and modseal.pub
  modseal keygen --output-key-prefix release   # release.key and release.pub`,
		Args: exactArgs(),
	}
	o.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&prefix, "output-key-prefix", "modseal", "write `PREFIX`.key and PREFIX.pub")
	cmd.Flags().StringVar(&curve, "curve", string(sign.P256), "elliptic curve: "+curveNames())
	_ = cmd.RegisterFlagCompletionFunc("curve", cobra.FixedCompletions(strings.Split(curveNames(), ", "), cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(*cobra.Command, []string) error {
		password, err := a.newPassword()
		if err != nil {
			return err
		}
		res, err := modseal.Keygen(prefix, sign.Curve(curve), password)
		if err != nil {
			return err
		}
		if len(password) == 0 {
			a.warn(&o, res.PrivateKey+" is encrypted with an empty password: whoever reads it can sign")
		}
		return a.print(&o, res, func(w io.Writer) {
			f := render.NewFields(w)
			f.Add("private key", res.PrivateKey)
			f.Add("public key", res.PublicKey)
			f.Add("algorithm", res.Algorithm)
			f.Add("fingerprint", res.Fingerprint)
			f.Flush()
		})
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		for _, c := range sign.Curves() {
			if string(c) == curve {
				return nil
			}
		}
		return usageError(cmd, fmt.Errorf("--curve %q is none of %s", curve, curveNames()))
	}
	return cmd
}

func curveNames() string {
	var names []string
	for _, c := range sign.Curves() {
		names = append(names, string(c))
	}
	return strings.Join(names, ", ")
}
