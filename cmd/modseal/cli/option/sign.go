package option

import (
	"strings"

	"github.com/spf13/pflag"
)

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

	prefix string // of the names of flags
}

// signPrefix is put before the names of signing flags in a command that verifies
// by flags of the same names.
const signPrefix = "sign-"

// Flag returns how the flag of the group that is called name is called in this
// command.
func (s *Sign) Flag(name string) string {
	if name == "signing-config" {
		return name // it says what it is for already
	}
	return s.prefix + name
}

// KeylessFlags are the flags that say in whose name a signature without a key is.
func (s *Sign) KeylessFlags() []string {
	return s.flags("keyless", "identity-token", "oidc-issuer", "oidc-client-id", "oidc-device-flow", "oidc-disable-ambient-providers")
}

// SignFlags are the flags that say how something is signed, and by themselves not
// who signs.
func (s *Sign) SignFlags() []string {
	return s.flags("certificate", "certificate-chain", "signing-config", "trusted-root",
		"oidc-issuer", "oidc-client-id", "oidc-device-flow", "oidc-disable-ambient-providers")
}

func (s *Sign) flags(names ...string) []string {
	for i, name := range names {
		names[i] = s.Flag(name)
	}
	return names
}

// AddPrefixedFlags adds the flags of the group, with names that begin with sign-,
// to a command that verifies too.
func (s *Sign) AddPrefixedFlags(fs *pflag.FlagSet) {
	s.prefix = signPrefix
	s.AddFlags(fs)
}

// AddFlags adds the flags of the group.
func (s *Sign) AddFlags(fs *pflag.FlagSet) {
	text := func(to *string, name, value, usage string) { fs.StringVar(to, s.Flag(name), value, s.named(usage)) }
	truth := func(to *bool, name, usage string) { fs.BoolVar(to, s.Flag(name), false, s.named(usage)) }
	text(&s.Key, "key", "", "private key to sign with: a `FILE`, or a reference: env://VAR, k8s://NAMESPACE/SECRET, awskms://…, gcpkms://…, azurekms://…, hashivault://…, openbao://…, pkcs11:…; the password of a file comes from MODSEAL_PASSWORD, COSIGN_PASSWORD or a prompt")
	text(&s.Certificate, "certificate", "", "PEM `FILE` of the certificate of --key: sign in its name")
	text(&s.Chain, "certificate-chain", "", "PEM `FILE` of the certificates between that of --certificate and the root")
	truth(&s.Keyless, "keyless", "sign with a certificate of ten minutes, in the name that the identity provider vouches for: of the CI job, or of who logs in with a browser")
	text(&s.IdentityToken, "identity-token", "", "identity `TOKEN` to sign keyless with, or better a file with one, since all who list processes see arguments (SIGSTORE_ID_TOKEN does the same)")
	text(&s.OIDCIssuer, "oidc-issuer", "", "`URL` of the identity provider to log in at (default: that of the signing configuration)")
	text(&s.OIDCClientID, "oidc-client-id", "sigstore", "`ID` of modseal at the identity provider")
	truth(&s.DeviceFlow, "oidc-device-flow", "log in with a code on another device instead of a browser on this machine")
	truth(&s.NoAmbient, "oidc-disable-ambient-providers", "do not take the identity of the CI job")
	text(&s.SigningConfig, "signing-config", "", "services to sign with, Fulcio, transparency logs and timestamp authorities: a `FILE`, trust:NAME for one of modseal trust show, or public-good (default with --keyless: public-good)")
	text(&s.TrustedRoot, "trusted-root", "", "trusted root of the instance of --signing-config, which what its services answer is verified with at once: a `FILE`, or trust:NAME for one of modseal trust show (default for public-good: its own; otherwise what they answer is believed)")
}

// named gives the flags that a usage text names the names that they have here.
func (s *Sign) named(usage string) string {
	if s.prefix == "" {
		return usage
	}
	return strings.NewReplacer("--key", "--"+s.Flag("key"), "--certificate", "--"+s.Flag("certificate"), "--keyless", "--"+s.Flag("keyless")).Replace(usage)
}
