package modseal

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

// trustToCarry returns the trust material for the archive, nil for none: what was
// named of the store, or all by which was decided.
func (s *saving) trustToCarry() ([]byte, error) {
	if !s.o.WithTrust {
		return nil, nil
	}
	if len(s.o.TrustNames) > 0 {
		data, _, err := s.TrustExport(s.o.TrustNames)
		return data, err
	}
	items := map[string]trust.Item{}
	for _, scope := range slices.Sorted(maps.Keys(s.trust)) {
		for _, r := range s.trust[scope].rulings {
			if err := addUsed(items, r); err != nil {
				return nil, err
			}
		}
	}
	return trust.Encode(slices.Collect(maps.Values(items)))
}

// addUsed adds what a ruling decides by.
func addUsed(items map[string]trust.Item, r verify.Ruling) error {
	signers := map[string]policy.Signer{}
	for _, s := range append(r.Rules.Signers(), r.Rules.OMS().Signers...) {
		signers[s.Name] = s
	}
	for _, name := range slices.Sorted(maps.Keys(r.Trust.Keys)) {
		it := trust.Item{Kind: trust.KindKey, Name: storeName(signers[name].Key, name), Data: r.Trust.Keys[name].PEM()}
		if err := addItem(items, it); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Trust.Authorities)) {
		roots := ""
		if c := signers[name].Certificate; c != nil {
			roots = c.Roots
		}
		it := trust.Item{Kind: trust.KindCertificate, Name: storeName(roots, name), Data: chainPEM(r.Trust.Authorities[name])}
		if err := addItem(items, it); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Trust.Roots)) {
		root := r.Trust.Roots[name]
		it := trust.Item{Kind: trust.KindRoot, Name: storeName(name, name), Fetched: root.Fetched.UTC().Truncate(time.Second), Data: root.JSON()}
		if err := addItem(items, it); err != nil {
			return err
		}
	}
	return nil
}

// addItem adds an item; two that differ and have one name would be taken for each
// other on the other side.
func addItem(items map[string]trust.Item, it trust.Item) error {
	key := string(it.Kind) + " " + it.Name
	if other, there := items[key]; there && !bytes.Equal(other.Data, it.Data) {
		return fmt.Errorf("%w: two of kind %s are called %s and differ; keep them in the trust store and name them", ErrUsage, it.Kind, it.Name)
	}
	items[key] = it
	return nil
}

// storeName is the name under which the other side keeps what a signer is known
// by: that of the trust store, so that a policy that names it there works here too,
// or one made of the signer's.
func storeName(from, signer string) string {
	if name, ok := strings.CutPrefix(from, TrustPrefix); ok && trust.ValidName(name) {
		return name
	}
	if trust.ValidName(signer) {
		return signer
	}
	const most = 64
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune("._-", r) || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			return r
		}
		return '-'
	}, signer[strings.LastIndexAny(signer, `/\`)+1:])
	if name = strings.TrimLeft(name, "._-"); name == "" {
		return "signer"
	}
	return name[:min(len(name), most)]
}

func chainPEM(a trust.Authority) []byte {
	var b bytes.Buffer
	for _, c := range slices.Concat(a.Roots, a.Intermediates) {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a buffer takes everything
	}
	return b.Bytes()
}

// policyToCarry returns the text of the policy that decided, nil for none.
func (s *saving) policyToCarry() ([]byte, error) {
	if !s.o.WithPolicy {
		return nil, nil
	}
	files := s.o.Trust.PolicyFiles
	if len(files) == 0 && s.o.Trust.DefaultPolicyFile != "" && there(s.o.Trust.DefaultPolicyFile) {
		files = []string{s.o.Trust.DefaultPolicyFile}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%w: a policy is to be in the archive, and none decided: name one instead of keys or identities", ErrUsage)
	}
	if len(files) != 1 {
		return nil, fmt.Errorf("%w: an archive carries one policy, and %d decided", ErrUsage, len(files))
	}
	return readSmall(files[0], limits.PolicyBytes)
}
