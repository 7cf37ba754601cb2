package modseal

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/verify"
)

// text renders the draft, with the keys and certificates written into it, so that
// the file can be moved.
func (p PolicyInit) text(d policy.Draft, known verify.Trust) ([]byte, error) {
	for _, s := range d.Signature.Signers {
		if policy.KeyReference(s.Key) && sign.Redact(s.Key) != s.Key {
			return nil, fmt.Errorf("%w: the secret in the reference of %q would be in the policy, where all can read it: leave it out (COSIGN_PKCS11_PIN is read for a PIN)", ErrUsage, s.Name)
		}
	}
	names := map[string]string{}
	name := func(s *policy.Signer) {
		key, isKey := known.Keys[s.Name]
		old := s.Name
		switch {
		case p.SignerName != "" && (len(names) == 0 || names[old] == p.SignerName):
			s.Name = p.SignerName
		case isKey:
			s.Name = strings.TrimSuffix(filepath.Base(s.Name), ".pub")
		}
		names[old] = s.Name
		switch {
		case isKey && !policy.KeyReference(s.Key):
			s.Key = string(key.PEM())
		case s.Certificate != nil:
			c := *s.Certificate
			c.Roots, c.Intermediates = pemOf(known.Authorities[old].Roots), pemOf(known.Authorities[old].Intermediates)
			s.Certificate = &c
		}
	}
	signers := func(all []policy.Signer) []policy.Signer {
		all = slices.Clone(all)
		for i := range all {
			name(&all[i])
		}
		return all
	}
	d.Signature.Signers = signers(d.Signature.Signers)
	for i := range d.Attestations {
		d.Attestations[i].Signers = signers(d.Attestations[i].Signers)
	}
	if err := p.nameRoots(&d); err != nil {
		return nil, err
	}
	text, err := d.Text()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return text, nil
}

// CheckNewPolicy returns the error of [WritePolicy] for a file that exists, before
// anybody is asked anything.
func CheckNewPolicy(file string) error {
	if _, err := os.Lstat(file); err != nil {
		return nil //nolint:nilerr // what else is wrong shows when it is written
	}
	return policyExists(file)
}

func policyExists(file string) error {
	return fmt.Errorf("%w: %s exists and is not overwritten; edit it, or write to another --file", ErrUsage, file)
}

// WritePolicy writes the text of a new policy to file, making its directory. A
// file that exists is not overwritten.
func WritePolicy(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	err := writeNew(file, text, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return policyExists(file)
	}
	return err
}

// instance is what a policy calls the trusted root of a file.
const instance = "sigstore"

// nameRoots gives the trusted root of the command line a name of its own, and a
// path that does not depend on where the policy lies.
func (p PolicyInit) nameRoots(d *policy.Draft) error {
	rename := func(signers []policy.Signer) {
		for i, s := range signers {
			if s.Keyless != nil && s.Keyless.TrustedRoot != policy.PublicGood {
				k := *s.Keyless
				k.TrustedRoot = instance
				signers[i].Keyless = &k
			}
		}
	}
	d.TrustedRoots = slices.Clone(d.TrustedRoots)
	for i, r := range d.TrustedRoots {
		if r.File == "" {
			continue
		}
		r.Name = instance
		if !strings.HasPrefix(r.File, TrustPrefix) {
			abs, err := filepath.Abs(r.File)
			if err != nil {
				return err
			}
			r.File = abs
		}
		d.TrustedRoots[i] = r
	}
	rename(d.Signature.Signers)
	for _, a := range d.Attestations {
		rename(a.Signers)
	}
	return nil
}

func pemOf(certificates []*x509.Certificate) string {
	var out strings.Builder
	for _, c := range certificates {
		out.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return out.String()
}
