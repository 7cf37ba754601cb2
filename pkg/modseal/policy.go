package modseal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/modseal/modseal/pkg/policy"
)

// PolicyInit says what a new policy accepts: what the key signed, below a
// prefix.
type PolicyInit struct {
	KeyFile     string // path of a public key, which is copied into the document
	Prefix      string // see policy.Scope
	SignerName  string // empty: the base name of the key file
	OMSRequired bool
}

// NewPolicy returns the text of a policy document.
func NewPolicy(p PolicyInit) ([]byte, error) {
	name := p.SignerName
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(p.KeyFile), ".pub")
	}
	key, err := readKey(name, p.KeyFile)
	if err != nil {
		return nil, err
	}
	text := policy.Template(policy.TemplateOptions{
		Prefix: p.Prefix, SignerName: name, Key: string(key.PEM()), OMSRequired: p.OMSRequired,
	})
	// What is written must be readable: the prefix comes from the user.
	if _, err := policy.Parse("policy", text); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return text, nil
}

// WritePolicy writes a new policy to file, making its directory. A file that
// exists is not overwritten.
func WritePolicy(file string, p PolicyInit) error {
	text, err := NewPolicy(p)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	err = writeNew(file, text, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s exists and is not overwritten; edit it, or write to another --file", ErrUsage, file)
	}
	return err
}

// PolicyCheck is what [CheckPolicy] found in a valid policy.
type PolicyCheck struct {
	File         string           `json:"file"`
	Scopes       int              `json:"scopes"`
	Keys         []PolicyKey      `json:"keys"`
	Target       string           `json:"target,omitempty"`
	AppliedScope string           `json:"appliedScope,omitempty"`
	Warnings     []policy.Warning `json:"warnings,omitempty"`
}

// PolicyKey is a key that a policy names.
type PolicyKey struct {
	Name        string `json:"name"`
	Algorithm   string `json:"algorithm"`
	Fingerprint string `json:"fingerprint"`
}

// CheckPolicy reads a policy strictly, loads every key that it names, and finds
// the scope that applies to target unless that is empty.
func CheckPolicy(file, target string) (*PolicyCheck, error) {
	p, err := readPolicy(file)
	if err != nil {
		return nil, err
	}
	res := &PolicyCheck{File: file, Scopes: len(p.Scopes), Target: target, Warnings: p.Check(time.Now())}
	seen := map[PolicyKey]bool{}
	fingerprints := map[string]string{}
	for _, scope := range p.Scopes {
		keys, err := signerKeys(policy.Rules{Requirements: scope.Requirements}.Signers(), file)
		if err != nil {
			return nil, err
		}
		for _, s := range (policy.Rules{Requirements: scope.Requirements}).Signers() {
			k := keys[s.Name]
			fingerprints[s.Name] = k.Fingerprint().String()
			found := PolicyKey{Name: s.Name, Algorithm: k.Describe(), Fingerprint: k.Fingerprint().String()}
			if !seen[found] {
				seen[found] = true
				res.Keys = append(res.Keys, found)
			}
		}
	}
	res.Warnings = append(res.Warnings, p.CheckKeys(fingerprints)...)
	if target == "" {
		return res, nil
	}
	t, err := ParseTarget(target)
	if err != nil {
		return nil, err
	}
	rules, err := p.Rules(t.Scope())
	if err != nil {
		return nil, err
	}
	res.AppliedScope = rules.Scope
	return res, nil
}
