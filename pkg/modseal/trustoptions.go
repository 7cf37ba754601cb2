package modseal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

// TrustOptions say whom to trust. Somebody named here wins over PolicyFiles,
// which win over DefaultPolicyFile; the policies of the site hold besides
// whatever of these applies. With none of them nothing can be decided.
type TrustOptions struct {
	// A signature by any of these is accepted: public keys (paths or key
	// references), and whoever a certificate names as Identity.
	Keys     []string
	Identity policy.Match
	Issuer   policy.Match // the identity provider that vouched for Identity: keyless
	// Authorities is a PEM file of the certificate authorities to believe, roots
	// and intermediates: the certificate method. Without an Identity whoever they
	// certified is accepted, which the report warns of.
	Authorities string
	// TrustedRoot is of a Sigstore instance: a file, or [TrustPrefix] and a name
	// in the trust store. Empty means the public-good instance.
	TrustedRoot string

	PolicyFiles       []string // all must accept
	DefaultPolicyFile string   // used when it exists and nothing else is named
	SitePolicyFiles   []string // all must accept besides; those that exist are used

	// Offline asks nobody but the registry: trusted roots are files or were
	// stored before, and key references that lead to a service are refused.
	Offline bool
}

// TrustError says that what was named to be trusted cannot be used: a missing
// or broken key or policy. Nothing is decided then.
type TrustError struct{ Err error }

func (e *TrustError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *TrustError) Unwrap() error { return e.Err }

// trusted is a decision that waits for an artifact: rules, and what their names
// stand for.
type trusted struct {
	rulings []verify.Ruling
	sources []ruleSource // of the rulings, in their order
}

func (t *trusted) rules() []policy.Rules {
	out := make([]policy.Rules, len(t.rulings))
	for i, r := range t.rulings {
		out[i] = r.Rules
	}
	return out
}

// ruleSource is a policy document that applies, or the rules of the command line,
// which have no file.
type ruleSource struct {
	rules policy.Rules
	file  string
	// digest is of the bytes of the document that were read; empty for the rules
	// of the command line.
	digest digest.Digest
	site   bool // a policy of the site
}

// trusted reads policies and what they name, for the repository or directory
// called scope.
func (c *Client) trusted(ctx context.Context, o TrustOptions, scope string) (*trusted, error) {
	sources, err := o.sources(scope)
	if err != nil {
		return nil, err
	}
	return c.loadTrust(ctx, sources, o.Offline)
}

// loadTrust reads what the rules of sources name.
func (c *Client) loadTrust(ctx context.Context, sources []ruleSource, offline bool) (*trusted, error) {
	t := &trusted{sources: sources}
	for _, s := range sources {
		known, err := c.known(ctx, s, offline)
		if err != nil {
			return nil, err
		}
		t.rulings = append(t.rulings, verify.Ruling{Rules: s.rules, Trust: known})
	}
	return t, nil
}

// sources returns the rules that apply to scope, those of the site last. That
// there are none is an error.
func (o TrustOptions) sources(scope string) ([]ruleSource, error) {
	out, err := o.applying(scope)
	if err == nil && len(out) == 0 {
		err = &verify.Undecided{
			Why:  scope + ": nothing says whom to trust: no key, no identity, no policy" + lookedAt(o.DefaultPolicyFile),
			Next: "name the publisher's key with --key FILE, or a policy with --policy FILE (modseal policy init writes one)",
		}
	}
	return out, err
}

// applying is sources where there may be none.
func (o TrustOptions) applying(scope string) ([]ruleSource, error) {
	out, err := o.chosen(scope)
	if err != nil {
		return nil, err
	}
	for _, file := range o.SitePolicyFiles {
		s, err := fromPolicy(file, scope)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !there(file):
		case err != nil:
			return nil, err
		default:
			s.site = true
			out = append(out, s)
		}
	}
	return out, nil
}

// there reports whether a policy of the site has its name: one that leads nowhere
// is a mistake and not the absence of a policy.
func there(file string) bool {
	_, err := os.Lstat(file)
	return !errors.Is(err, fs.ErrNotExist)
}

// chosen returns the rules that the user chose.
func (o TrustOptions) chosen(scope string) ([]ruleSource, error) {
	flags, err := o.flags()
	switch {
	case err != nil:
		return nil, err
	case !flags.Empty() && len(o.PolicyFiles) > 0:
		return nil, fmt.Errorf("%w: a signer and a policy are both given; a policy names its own signers", ErrUsage)
	case !flags.Empty():
		rules, err := policy.FromFlags(flags)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUsage, err)
		}
		rules.Subject = scope
		return []ruleSource{{rules: rules}}, nil
	}
	var out []ruleSource
	for _, file := range o.PolicyFiles {
		s, err := fromPolicy(file, scope)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	if len(out) == 0 && o.DefaultPolicyFile != "" {
		s, err := fromPolicy(o.DefaultPolicyFile, scope)
		if err == nil {
			return []ruleSource{s}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return out, nil
}

func (o TrustOptions) flags() (policy.Flags, error) {
	if o.TrustedRoot != "" && o.Issuer.Exact == "" && o.Issuer.Regexp == "" {
		return policy.Flags{}, fmt.Errorf("%w: a trusted root is given that nothing would be verified with: "+
			"it is for keyless signatures (--certificate-identity, --certificate-oidc-issuer), and a policy names its own under trustedRoots", ErrUsage)
	}
	f := policy.Flags{
		Keys: o.Keys, Identity: o.Identity, Issuer: o.Issuer, Roots: o.Authorities, RootsName: o.Authorities,
		TrustedRoot: trustedRoot(o.TrustedRoot),
	}
	return f, nil
}

// trustedRoot is what the user names: a file, or [TrustPrefix] and a name in the
// trust store; nothing is the public-good instance.
func trustedRoot(file string) policy.TrustedRoot {
	if file == "" || file == policy.PublicGood {
		return policy.TrustedRoot{Name: policy.PublicGood, TUF: policy.PublicGood}
	}
	return policy.TrustedRoot{Name: file, File: file}
}

func lookedAt(file string) string {
	if file == "" {
		return ""
	}
	return ", and no default policy at " + file
}

func fromPolicy(file, scope string) (ruleSource, error) {
	p, read, err := readPolicyBytes(file)
	if err != nil {
		return ruleSource{}, err
	}
	rules, err := p.Rules(scope)
	return ruleSource{rules: rules, file: file, digest: read}, err
}

func readPolicy(file string) (*policy.Policy, error) {
	p, _, err := readPolicyBytes(file)
	return p, err
}

// readPolicyBytes returns also the digest of the bytes that were parsed: a file
// that is read again may be another one.
func readPolicyBytes(file string) (*policy.Policy, digest.Digest, error) {
	text, err := readSmall(file, limits.PolicyBytes)
	if err != nil {
		return nil, "", &TrustError{Err: fmt.Errorf("policy: %w", err)}
	}
	p, err := policy.Parse(file, text)
	if err != nil {
		return nil, "", &TrustError{Err: err}
	}
	return p, digest.FromBytes(text), nil
}

// known loads what the names in the rules of a policy stand for.
func (c *Client) known(ctx context.Context, s ruleSource, offline bool) (verify.Trust, error) {
	t := verify.Trust{Keys: map[string]trust.Key{}, Authorities: map[string]trust.Authority{}}
	for _, signer := range append(s.rules.Signers(), s.rules.OMS().Signers...) {
		if err := c.identify(ctx, signer, s.file, offline, &t); err != nil {
			return verify.Trust{}, err
		}
	}
	var err error
	if t.Roots, err = c.roots(ctx, s.rules.TrustedRoots, s.file, offline); err != nil {
		return verify.Trust{}, err
	}
	if s.rules.Remembers() {
		t.RememberedIn = c.o.state(acceptedFile)
	}
	t.Remembered, err = c.remembered(s.rules)
	return t, err
}

// identify loads what a signer is known by.
func (c *Client) identify(ctx context.Context, s policy.Signer, policyFile string, offline bool, into *verify.Trust) error {
	var err error
	switch {
	case s.Key != "":
		var key trust.Key
		if key, err = c.publicKey(ctx, s.Name, s.Key, policyFile, offline); err == nil {
			into.Keys[s.Name] = key
		}
	case s.Certificate != nil:
		var a trust.Authority
		if a, err = c.authority(s, policyFile); err == nil {
			into.Authorities[s.Name] = a
		}
	}
	var already *TrustError
	if err != nil && !errors.As(err, &already) {
		if errors.Is(err, trust.ErrInvalidCertificate) {
			return &TrustError{Err: fmt.Errorf("signer %w", err)} // it begins with the name
		}
		err = &TrustError{Err: fmt.Errorf("signer %q: %w", s.Name, err)}
	}
	return err
}

func (c *Client) authority(s policy.Signer, policyFile string) (trust.Authority, error) {
	if name, ok := strings.CutPrefix(s.Certificate.Roots, TrustPrefix); ok && s.Certificate.Intermediates == "" {
		a, err := c.trustStore().Authority(name)
		a.Name = s.Name
		return a, missing(err, "certificate authority "+name, "modseal trust add certificate NAME FILE, or modseal trust import FILE")
	}
	roots, err := pemText(s.Certificate.Roots, policyFile)
	if err != nil {
		return trust.Authority{}, fmt.Errorf("roots: %w", err)
	}
	// The command line names one file of both kinds.
	if policyFile == "" {
		return trust.ParseChain(s.Name, roots)
	}
	var intermediates []byte
	if s.Certificate.Intermediates != "" {
		if intermediates, err = pemText(s.Certificate.Intermediates, policyFile); err != nil {
			return trust.Authority{}, fmt.Errorf("intermediates: %w", err)
		}
	}
	return trust.ParseAuthority(s.Name, roots, intermediates)
}

// pemText returns PEM blocks that a policy holds or names. Paths are relative to
// the policy, so that both can be moved together.
func pemText(s, policyFile string) ([]byte, error) {
	if policy.Inline(s) {
		return []byte(s), nil
	}
	return readSmall(besidePolicy(s, policyFile), limits.KeyBytes)
}
