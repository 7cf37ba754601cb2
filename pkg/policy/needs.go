package policy

import (
	"cmp"
	"slices"
	"strings"
)

// KeySchemes are the kinds of key references that a policy may name, beside
// files and PEM blocks. Others are refused: a key that is fetched over HTTP is
// whoever answers, and a scheme that nobody knows would run a program from PATH
// (github.com/sigstore/sigstore v1.10.9, pkg/signature/kms).
func KeySchemes() []string {
	return []string{"env://", "k8s://", "awskms://", "gcpkms://", "azurekms://", "hashivault://", "openbao://", "pkcs11:"}
}

// KeyReference reports whether key is a reference with one of [KeySchemes],
// rather than a path or a PEM block.
func KeyReference(key string) bool {
	return slices.ContainsFunc(KeySchemes(), func(s string) bool { return strings.HasPrefix(key, s) })
}

// Inline reports whether text is PEM itself and not the path of a file.
func Inline(text string) bool { return strings.HasPrefix(strings.TrimSpace(text), "-----BEGIN ") }

// Signers returns the signers that the requirement names itself.
func (req Requirement) Signers() []Signer {
	switch {
	case req.Signature != nil:
		return req.Signature.Signers
	case req.OMS != nil:
		return req.OMS.Signers
	case req.Attestation != nil:
		return req.Attestation.Signers
	case req.VSA != nil:
		return req.VSA.Signers()
	}
	return nil
}

// Witness returns who beside the signers must have seen the evidence; the zero
// Witness for requirements that have none.
func (req Requirement) Witness() Witness {
	switch {
	case req.Signature != nil:
		return req.Signature.Witness
	case req.OMS != nil:
		return req.OMS.Witness
	case req.Attestation != nil:
		return req.Attestation.Witness
	case req.VSA != nil:
		return req.VSA.Witness
	}
	return Witness{}
}

// Expressions returns the conditions of the requirement, of whatever kind it is.
func (req Requirement) Expressions() []Condition {
	switch {
	case req.Attestation != nil:
		return req.Attestation.Conditions
	case req.VSA != nil:
		return req.VSA.Conditions
	case req.Conditions != nil:
		return req.Conditions.Conditions
	}
	return nil
}

// NeedsConfig reports whether the requirement asks for the config of the model,
// which is fetched for those alone.
func (req Requirement) NeedsConfig() bool {
	return req.Freshness != nil || slices.ContainsFunc(req.Expressions(), Condition.NeedsConfig)
}

// NeedsConfig reports whether any requirement asks for the config of the model.
func (r Rules) NeedsConfig() bool {
	return slices.ContainsFunc(r.Requirements, Requirement.NeedsConfig)
}

// NeedsLegacyTags reports whether signatures under the tag sha256-<digest>.sig
// and attestations under sha256-<digest>.att may count.
func (r Rules) NeedsLegacyTags() (signatures, attestations bool) {
	for _, req := range r.Requirements {
		signatures = signatures || req.Signature != nil && req.Signature.LegacyTags
		attestations = attestations || req.Attestation != nil && req.Attestation.LegacyTags || req.VSA != nil && req.VSA.LegacyTags
	}
	return signatures, attestations
}

// Remembers reports whether what is accepted must be remembered.
func (r Rules) Remembers() bool {
	return slices.ContainsFunc(r.Requirements, func(req Requirement) bool { return req.Freshness != nil && req.Freshness.Remember })
}

// MergeLimits returns the smaller of every limit; 0 is none.
func MergeLimits(all ...Limits) Limits {
	var out Limits
	for _, l := range all {
		out.Referrers = smaller(out.Referrers, l.Referrers)
		out.Pages = smaller(out.Pages, l.Pages)
		out.Bytes = smaller(out.Bytes, l.Bytes)
	}
	return out
}

func smaller[T cmp.Ordered](a, b T) T {
	var none T
	if a == none || b != none && b < a {
		return b
	}
	return a
}

// Files returns the paths of all files that the document names: keys,
// certificates and trusted roots, each once, in its order. They are relative to
// the document's directory unless absolute.
func (p *Policy) Files() []string {
	var out []string
	add := func(path string) {
		if path != "" && !Inline(path) && !KeyReference(path) && !slices.Contains(out, path) {
			out = append(out, path)
		}
	}
	for _, r := range p.TrustedRoots {
		add(r.File)
		add(r.TUFRoot)
	}
	for _, s := range p.signers() {
		add(s.Key)
		if c := s.Certificate; c != nil {
			add(c.Roots)
			add(c.Intermediates)
		}
	}
	return out
}

// KeyFiles returns the paths among [Policy.Files] that are keys.
func (p *Policy) KeyFiles() []string {
	return p.keys(func(key string) bool { return !Inline(key) && !KeyReference(key) })
}

// KeyReferences returns the key references that the document names, each once,
// in its order.
func (p *Policy) KeyReferences() []string { return p.keys(KeyReference) }

func (p *Policy) keys(want func(string) bool) []string {
	var out []string
	for _, s := range p.signers() {
		if s.Key != "" && want(s.Key) && !slices.Contains(out, s.Key) {
			out = append(out, s.Key)
		}
	}
	return out
}

// signers returns every signer of the document once, in its order.
func (p *Policy) signers() []Signer {
	var out []Signer
	for _, scope := range p.Scopes {
		for _, req := range scope.Requirements {
			out = addSigners(out, req.Signers())
		}
	}
	return out
}
