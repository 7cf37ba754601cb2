package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/sign/oidc"
)

// signs reports whether the flags say that something is to be signed.
func signs(s *option.Sign) bool {
	return s.Key != "" || s.Keyless || s.IdentityToken != ""
}

// checkSign refuses flags that make no sense together. needed says that the
// command does nothing else than sign.
func checkSign(cmd *cobra.Command, s *option.Sign, needed bool) error {
	key, keyless, certificate, chain := s.Flag("key"), s.Flag("keyless"), s.Flag("certificate"), s.Flag("certificate-chain")
	alone := func(name string) error {
		return usageError(cmd, fmt.Errorf("--%s alone does not say who signs: add --%s, or --%s", name, key, keyless))
	}
	if !signs(s) && needed {
		return usageError(cmd, fmt.Errorf("say who signs: --%s FILE, or --%s for the identity of the CI job or of who logs in", key, keyless))
	}
	for _, name := range s.SignFlags() {
		// Whoever gives one of them means to sign, and would push unsigned.
		if !signs(s) && cmd.Flags().Changed(name) {
			return alone(name)
		}
	}
	for _, other := range s.KeylessFlags() {
		if err := notBoth(cmd, key, other); err != nil {
			return err
		}
	}
	if s.Key == "" && s.Certificate != "" {
		return usageError(cmd, fmt.Errorf("--%s needs the private key that it is of: add --%s", certificate, key))
	}
	if s.Certificate == "" && cmd.Flags().Changed(chain) {
		return usageError(cmd, fmt.Errorf("--%s needs the certificate that it begins with: add --%s", chain, certificate))
	}
	return nil
}

// signer returns what signs by the flags.
func (a *app) signer(s *option.Sign, o *option.Output) modseal.SignOptions {
	return modseal.SignOptions{
		Key: s.Key, Password: a.keyPassword(s.Key),
		Certificate: s.Certificate, CertificateChain: s.Chain,
		Keyless:       s.Key == "",
		Token:         a.identityToken(s, o),
		SigningConfig: s.SigningConfig, TrustedRoot: s.TrustedRoot,
	}
}

// identityToken returns how an identity token is got: the one that is given,
// that of the CI job, or the one for whom a person signs in.
func (a *app) identityToken(s *option.Sign, o *option.Output) func(context.Context, string) (string, error) {
	var source *oidc.Source
	return func(ctx context.Context, issuer string) (string, error) {
		if source == nil {
			options := oidc.Options{
				Given: s.IdentityToken, Getenv: os.LookupEnv, NoAmbient: s.NoAmbient,
				Issuer: cmp.Or(s.OIDCIssuer, issuer), ClientID: s.OIDCClientID,
				Input: a.in, Output: a.err,
				Transport: &http.Transport{Proxy: proxyFromEnvironment}, UserAgent: userAgent(),
			}
			switch {
			case s.DeviceFlow:
				options.Flow = oidc.FlowDevice
			case a.interactive() && !o.Quiet:
				options.Flow = oidc.FlowBrowser
			}
			source = oidc.New(options)
		}
		return source.Token(ctx)
	}
}
