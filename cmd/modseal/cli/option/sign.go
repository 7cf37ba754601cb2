package option

import "github.com/spf13/pflag"

// Sign says what signs.
type Sign struct {
	Key           string
	Certificate   string
	Chain         string
	Keyless       bool
	IdentityToken string
	OIDCIssuer    string
	OIDCClientID  string
	DeviceFlow    bool
	NoAmbient     bool
	SigningConfig string
	TrustedRoot   string
}

// KeylessFlags are the flags that say in whose name a signature without a key is.
func KeylessFlags() []string {
	return []string{"keyless", "identity-token", "oidc-issuer", "oidc-client-id", "oidc-device-flow", "oidc-disable-ambient-providers"}
}

// SignFlags are the flags that say how something is signed, and by themselves not
// who signs.
func SignFlags() []string {
	return []string{
		"certificate", "certificate-chain", "signing-config", "trusted-root",
		"oidc-issuer", "oidc-client-id", "oidc-device-flow", "oidc-disable-ambient-providers",
	}
}

// AddFlags adds the flags of the group.
func (s *Sign) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&s.Key, "key", "", "private key to sign with: a `FILE`, or a reference: env://VAR, k8s://NAMESPACE/SECRET, awskms://…, gcpkms://…, azurekms://…, hashivault://…, openbao://…, pkcs11:…; the password of a file comes from MODSEAL_PASSWORD, COSIGN_PASSWORD or a prompt")
	fs.StringVar(&s.Certificate, "certificate", "", "PEM `FILE` of the certificate of --key: sign in its name")
	fs.StringVar(&s.Chain, "certificate-chain", "", "PEM `FILE` of the certificates between that of --certificate and the root")
	fs.BoolVar(&s.Keyless, "keyless", false, "sign with a certificate of ten minutes, in the name that the identity provider vouches for: of the CI job, or of who logs in with a browser")
	fs.StringVar(&s.IdentityToken, "identity-token", "", "identity `TOKEN` to sign keyless with, or better a file with one, since all who list processes see arguments (SIGSTORE_ID_TOKEN does the same)")
	fs.StringVar(&s.OIDCIssuer, "oidc-issuer", "", "`URL` of the identity provider to log in at (default: that of the signing configuration)")
	fs.StringVar(&s.OIDCClientID, "oidc-client-id", "sigstore", "`ID` of modseal at the identity provider")
	fs.BoolVar(&s.DeviceFlow, "oidc-device-flow", false, "log in with a code on another device instead of a browser on this machine")
	fs.BoolVar(&s.NoAmbient, "oidc-disable-ambient-providers", false, "do not take the identity of the CI job")
	fs.StringVar(&s.SigningConfig, "signing-config", "", "services to sign with, Fulcio, transparency logs and timestamp authorities: a `FILE`, trust:NAME for one of modseal trust show, or public-good (default with --keyless: public-good)")
	fs.StringVar(&s.TrustedRoot, "trusted-root", "", "trusted root of the instance of --signing-config, which what its services answer is verified with at once: a `FILE`, or trust:NAME for one of modseal trust show (default for public-good: its own; otherwise what they answer is believed)")
}
