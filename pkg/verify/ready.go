package verify

import (
	"fmt"
	"slices"

	"github.com/modseal/modseal/pkg/policy"
)

// ready says what is missing to tell whether something is signed by signers and
// seen as w asks; nil when nothing is. Without it [matcher.signedBy] would refuse
// what it cannot judge.
func (x *matcher) ready(signers []policy.Signer, w policy.Witness) *Undecided {
	if len(signers) == 0 {
		return nil
	}
	for _, s := range signers {
		if no := x.known(s); no != nil {
			return no
		}
		if s.Keyless == nil && w.TransparencyLogs == 0 && w.Timestamps == 0 && w.TrustedRoot == "" {
			continue
		}
		name := w.TrustedRoot
		if name == "" && s.Keyless != nil {
			name = s.Keyless.TrustedRoot
		}
		if no := x.rootReady(name); no != nil {
			return no
		}
	}
	return nil
}

// known says what is missing to know a signer.
func (x *matcher) known(s policy.Signer) *Undecided {
	switch {
	case s.Keyless != nil && (s.Certificate != nil || s.Key != ""), s.Certificate != nil && s.Key != "":
		return &Undecided{Why: fmt.Sprintf("signer %q is more than one of key, certificate and keyless", s.Name), Next: "give each a signer of its own in the policy"}
	case s.Keyless != nil:
		if s.Keyless.Issuer.Valid() != nil || s.Keyless.Identity.Valid() != nil {
			return &Undecided{Why: fmt.Sprintf("signer %q names no issuer or no identity that can be compared", s.Name), Next: "name both in the policy, or with --certificate-oidc-issuer and --certificate-identity"}
		}
		return x.rootReady(s.Keyless.TrustedRoot)
	case s.Certificate != nil:
		if !s.Certificate.AnyIdentity && s.Certificate.Identity.Valid() != nil {
			return &Undecided{Why: fmt.Sprintf("signer %q names no identity that can be compared", s.Name), Next: "name it in the policy, or with --certificate-identity"}
		}
		if len(x.trust.Authorities[s.Name].Roots) == 0 {
			return &Undecided{Why: fmt.Sprintf("there are no root certificates for signer %q", s.Name), Next: "name them in the policy (certificate: roots), or with --certificate-chain FILE"}
		}
		return nil
	}
	if key, ok := x.trust.Keys[s.Name]; !ok || key.Fingerprint() == "" {
		return &Undecided{Why: fmt.Sprintf("there is no key for signer %q", s.Name), Next: "name a key with --key FILE, or write a policy with modseal policy init"}
	}
	return nil
}

// rootReady says what is missing to use a trusted root.
func (x *matcher) rootReady(name string) *Undecided {
	r := x.root(name)
	if r == nil || r.Material() == nil {
		return x.noRoot(name)
	}
	rule := x.rootRule(name)
	if rule.MaxAge == 0 {
		return nil
	}
	refresh := "fetch it anew where there is a network, and bring it here: modseal trust export, modseal trust import"
	switch {
	case r.Fetched.IsZero():
		return &Undecided{Why: fmt.Sprintf("nobody noted when the trusted root %q was fetched, and the policy wants it not older than %s", r.Name, age(rule.MaxAge)), Next: refresh}
	case r.Fetched.After(x.now.Add(clockTolerance)):
		return &Undecided{
			Why:  fmt.Sprintf("the trusted root %q was fetched at %s, and the clock of this machine says %s", r.Name, stamp(r.Fetched), stamp(x.now)),
			Next: "set the clock of this machine",
		}
	case x.now.Sub(r.Fetched) > rule.MaxAge:
		return &Undecided{
			Why:  fmt.Sprintf("the trusted root %q was fetched at %s, %s ago, and the policy wants it not older than %s", r.Name, stamp(r.Fetched), age(x.now.Sub(r.Fetched)), age(rule.MaxAge)),
			Next: refresh,
		}
	}
	return nil
}

func (x *matcher) noRoot(name string) *Undecided {
	const next = "name one with --trusted-root FILE, or in the policy (trustedRoots)"
	switch {
	case name != "":
		return &Undecided{Why: fmt.Sprintf("there is no trusted root %q", name), Next: next}
	case len(x.trust.Roots) > 1:
		return &Undecided{Why: "there are several trusted roots, and nothing says which one counts", Next: "name it in the policy (trustedRoot)"}
	}
	return &Undecided{Why: "there is no trusted root, which holds the keys of certificate authorities, transparency logs and timestamp authorities", Next: next}
}

// rootRule returns what the rules say of a trusted root.
func (x *matcher) rootRule(name string) policy.TrustedRoot {
	if name == "" && len(x.rules.TrustedRoots) == 1 {
		return x.rules.TrustedRoots[0]
	}
	if i := slices.IndexFunc(x.rules.TrustedRoots, func(r policy.TrustedRoot) bool { return r.Name == name }); i >= 0 {
		return x.rules.TrustedRoots[i]
	}
	return policy.TrustedRoot{}
}
