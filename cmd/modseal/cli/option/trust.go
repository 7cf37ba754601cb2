package option

import "github.com/spf13/pflag"

// Signers say whose signatures to believe.
type Signers struct {
	Keys           []string
	Identity       string
	IdentityRegexp string
	Issuer         string
	IssuerRegexp   string
	Chain          string
	TrustedRoot    string
	Offline        bool
}

// SignerFlags are the flags that name a signer, which a policy names by itself.
func SignerFlags() []string {
	return []string{
		"key", "certificate-identity", "certificate-identity-regexp",
		"certificate-oidc-issuer", "certificate-oidc-issuer-regexp", "certificate-chain",
	}
}

// AddFlags adds the flags of the group.
func (s *Signers) AddFlags(fs *pflag.FlagSet) {
	fs.StringArrayVar(&s.Keys, "key", nil, "public key: a `FILE`, or a reference such as awskms://… or env://VAR; a signature by it is accepted (may be repeated: any of them)")
	fs.StringVar(&s.Identity, "certificate-identity", "", "accept a certificate of exactly this `NAME`: an email address, a URI, a DNS name")
	fs.StringVar(&s.IdentityRegexp, "certificate-identity-regexp", "", "accept a certificate whose whole name matches the `EXPRESSION`")
	fs.StringVar(&s.Issuer, "certificate-oidc-issuer", "", "`URL` of the identity provider that vouched for the name: keyless signatures")
	fs.StringVar(&s.IssuerRegexp, "certificate-oidc-issuer-regexp", "", "the same, as an `EXPRESSION` that the whole URL must match")
	fs.StringVar(&s.Chain, "certificate-chain", "", "PEM `FILE` of the certificate authorities to believe, roots and intermediates: signatures with a certificate; without --certificate-identity any certificate of theirs is accepted, with a warning")
	fs.StringVar(&s.TrustedRoot, "trusted-root", "", "trusted root of a Sigstore instance: a `FILE`, or trust:NAME for one of modseal trust show (default: the public-good instance)")
	fs.BoolVar(&s.Offline, "offline", false, "ask nobody but the registry; trusted roots are files or were stored before (modseal trust update, modseal trust import)")
}

// Trust says whom to trust: signers, or policies.
type Trust struct {
	Signers
	Policies []string
}

// AddFlags adds the flags of the group.
func (t *Trust) AddFlags(fs *pflag.FlagSet) {
	t.Signers.AddFlags(fs)
	fs.StringArrayVar(&t.Policies, "policy", nil, "policy `FILE` (default: $XDG_CONFIG_HOME/modseal/policy.yaml when it exists; may be repeated: all must accept)")
}
