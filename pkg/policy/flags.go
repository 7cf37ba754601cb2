package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Flags is what a command line says of whom to trust: anybody of those it names.
type Flags struct {
	Keys     []string // paths or references of public keys; each is the name of its signer
	Identity Match    // of a certificate
	Issuer   Match    // of OpenID Connect, which vouched for Identity: keyless
	// Roots of the certificate method: a path or PEM blocks.
	Roots, Intermediates string
	// RootsName is what messages call Roots.
	RootsName string
	// TrustedRoot is of a Sigstore instance; without a File and a TUF it is the
	// public-good one.
	TrustedRoot TrustedRoot
}

// Empty reports whether nobody is named.
func (f Flags) Empty() bool {
	return len(f.Keys) == 0 && !f.Identity.given() && !f.Issuer.given() && f.Roots == ""
}

// Errors of [FromFlags]: which flag is missing or too much.
var (
	ErrIdentityAlone = errors.New("--certificate-identity says who, and not who vouches for it: add --certificate-oidc-issuer for a keyless signature, or --certificate-chain with the roots of a certificate")
	ErrIssuerAlone   = errors.New("--certificate-oidc-issuer alone would accept everybody whom the issuer knows: add --certificate-identity")
	ErrTwoMethods    = errors.New("--certificate-oidc-issuer is for keyless signatures, --certificate-chain for certificates of an authority of your own: use one of them")
)

// FromFlags returns the rules of a command line: a signature by any of those that
// it names, and an OMS statement by one of them must match when there is one. Roots
// without an Identity name everybody whom those authorities certified.
func FromFlags(f Flags) (Rules, error) {
	r := FromKeys(f.Keys)
	signers := r.Requirements[0].Signature.Signers
	var names []string
	if r.Name != "" {
		names = []string{r.Name}
	}
	for _, m := range []Match{f.Identity, f.Issuer} {
		if m.given() && m.Valid() != nil {
			return Rules{}, fmt.Errorf("%s: %w", m, m.Valid())
		}
	}
	hasIssuer, hasIdentity, hasRoots := f.Issuer.given(), f.Identity.given(), f.Roots != ""
	switch {
	case hasIssuer && hasRoots:
		return Rules{}, ErrTwoMethods
	case hasIssuer && !hasIdentity:
		return Rules{}, ErrIssuerAlone
	case hasIdentity && !hasIssuer && !hasRoots:
		return Rules{}, ErrIdentityAlone
	case hasIssuer:
		root := f.TrustedRoot
		if root.File == "" && root.TUF == "" {
			root.TUF = PublicGood
		}
		r.TrustedRoots = []TrustedRoot{root}
		signers = append(signers, Signer{Name: f.Identity.plain(), Keyless: &Keyless{
			TrustedRoot: root.Name, Issuer: f.Issuer, Identity: f.Identity, SCTs: -1,
		}})
		names = append(names, f.Identity.flag("--certificate-identity"), f.Issuer.flag("--certificate-oidc-issuer"))
	case hasRoots:
		name := "any certificate of " + f.RootsName
		if hasIdentity {
			name = f.Identity.plain()
			names = append(names, f.Identity.flag("--certificate-identity"))
		}
		signers = append(signers, Signer{Name: name, Certificate: &Certificate{
			Roots: f.Roots, Intermediates: f.Intermediates, Identity: f.Identity, AnyIdentity: !hasIdentity,
		}})
		names = append(names, "--certificate-chain "+f.RootsName)
	}
	r.Requirements[0].Signature.Signers = slices.Clip(signers)
	r.Name = strings.Join(names, " ")
	return r, nil
}

func (m Match) flag(name string) string {
	if m.Regexp != "" {
		return name + "-regexp " + m.Regexp
	}
	return name + " " + m.Exact
}

func (m Match) given() bool { return m.Exact != "" || m.Regexp != "" }

// plain is what was written, without marks around it.
func (m Match) plain() string { return cmp.Or(m.Exact, m.Regexp) }
