package verify

import (
	"maps"
	"slices"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/trust"
)

// key decides whether s is signed with the key of signer, whatever the bundle
// says about its key.
func (x *matcher) key(s *signedStatement, signer policy.Signer, w policy.Witness) (signerMatch, *miss) {
	key := x.trust.Keys[signer.Name]
	key.Name = signer.Name
	if s.form != formKey {
		return signerMatch{}, missf(causeCertificate, "signed with a certificate, not with a key")
	}
	material, err := keyMaterial(key)
	if err == nil {
		err = s.signatureBy(material)
	}
	if err != nil {
		return signerMatch{}, x.otherKey(s, key)
	}
	by := "signed by " + signer.Name
	o, m := x.see(s, x.observers(w, signer), material)
	if m == nil {
		m = o.enough(w, policy.Witness{})
	}
	times := x.times(o)
	if m == nil {
		m = x.inTime(times, signer, w)
	}
	if m != nil {
		return signerMatch{}, m.but(by)
	}
	return signerMatch{signer: signer, key: key, fingerprint: key.Fingerprint().String(), when: times[0]}, nil
}

// keyMaterial trusts key and nothing else, at any time: the window of a signer
// is compared by [matcher.inTime], which can say so.
func keyMaterial(key trust.Key) (root.TrustedMaterial, error) {
	v, err := signature.LoadVerifier(key.Public, key.Hash())
	if err != nil {
		return nil, err
	}
	return root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(v, time.Time{}, time.Time{}), nil
	}), nil
}

// otherKey says who signed instead of key, as far as a bundle that it does not
// verify can tell. The hint is not signed, and text of whoever attached the
// bundle: at most the fingerprint in it is told.
func (x *matcher) otherKey(s *signedStatement, key trust.Key) *miss {
	if key.MatchesHint(s.hint) {
		return missf(causeWrong, "signed in the name of %s (%s), but its signature is wrong", key.Name, key.Short())
	}
	for _, name := range slices.Sorted(maps.Keys(x.trust.Keys)) {
		if k := x.trust.Keys[name]; k.MatchesHint(s.hint) {
			return missf(causeOtherKey, "signed by a key that claims to be %s (%s), which does not count here", name, k.Short())
		}
	}
	if f, ok := trust.FingerprintOfHint(s.hint); ok {
		return missf(causeOtherKey, "signed by an unknown key that claims to be %s", shortDigest(f))
	}
	return missf(causeOtherKey, "signed by an unknown key")
}
