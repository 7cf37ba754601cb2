package modseal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

// TrustOptions say whom to trust. Keys win over PolicyFile, which wins over
// DefaultPolicyFile; with none of them nothing can be decided.
type TrustOptions struct {
	Keys              []string // paths of public keys: a signature by any of them is accepted
	PolicyFile        string
	DefaultPolicyFile string // used when it exists
}

// TrustError says that what was named to be trusted cannot be used: a missing
// or broken key or policy. Nothing is decided then.
type TrustError struct{ Err error }

func (e *TrustError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *TrustError) Unwrap() error { return e.Err }

// trusted is a decision that waits for an artifact: the rules and the keys that
// they speak of.
type trusted struct {
	rules policy.Rules
	trust verify.Trust
}

// load reads keys and policy for the repository or directory called scope.
func (o TrustOptions) load(scope string) (*trusted, error) {
	switch {
	case len(o.Keys) > 0 && o.PolicyFile != "":
		return nil, fmt.Errorf("%w: a key and a policy are both given; a policy names its own keys", ErrUsage)
	case len(o.Keys) > 0:
		return fromRules(policy.FromKeys(o.Keys), "")
	case o.PolicyFile != "":
		return fromPolicy(o.PolicyFile, scope)
	}
	if o.DefaultPolicyFile != "" {
		t, err := fromPolicy(o.DefaultPolicyFile, scope)
		if !errors.Is(err, fs.ErrNotExist) {
			return t, err
		}
	}
	return nil, &verify.Undecided{
		Why:  scope + ": nothing says whom to trust: no key, no policy" + lookedAt(o.DefaultPolicyFile),
		Next: "name the publisher's key with --key FILE, or a policy with --policy FILE (modseal policy init writes one)",
	}
}

func lookedAt(file string) string {
	if file == "" {
		return ""
	}
	return ", and no default policy at " + file
}

func fromPolicy(file, scope string) (*trusted, error) {
	p, err := readPolicy(file)
	if err != nil {
		return nil, err
	}
	rules, err := p.Rules(scope)
	if err != nil {
		return nil, err
	}
	return fromRules(rules, file)
}

func fromRules(rules policy.Rules, file string) (*trusted, error) {
	keys, err := signerKeys(rules.Signers(), file)
	if err != nil {
		return nil, err
	}
	return &trusted{rules: rules, trust: verify.Trust{Keys: keys}}, nil
}

func readPolicy(file string) (*policy.Policy, error) {
	text, err := readSmall(file, limits.PolicyBytes)
	if err != nil {
		return nil, &TrustError{fmt.Errorf("policy: %w", err)}
	}
	p, err := policy.Parse(file, text)
	if err != nil {
		return nil, &TrustError{err}
	}
	return p, nil
}

// signerKeys loads the keys of signers. Paths are relative to the directory of
// the policy that names them, so that both can be moved together.
func signerKeys(signers []policy.Signer, policyFile string) (map[string]trust.Key, error) {
	keys := map[string]trust.Key{}
	for _, s := range signers {
		var key trust.Key
		var err error
		if s.Inline() {
			key, err = trust.ParseKey(s.Name, []byte(s.Key))
		} else {
			name := s.Key
			if policyFile != "" && !filepath.IsAbs(name) {
				name = filepath.Join(filepath.Dir(policyFile), name)
			}
			key, err = readKey(s.Name, name)
		}
		if err == nil && keys[s.Name].Public != nil && !keys[s.Name].Equal(key) {
			err = errors.New("it has two different keys")
		}
		if err != nil {
			return nil, &TrustError{fmt.Errorf("signer %q: %w", s.Name, err)}
		}
		keys[s.Name] = key
	}
	return keys, nil
}

func readKey(name, file string) (trust.Key, error) {
	pem, err := readSmall(file, limits.KeyBytes)
	if err != nil {
		return trust.Key{}, fmt.Errorf("public key: %w", err)
	}
	return trust.ParseKey(name, pem)
}

// verify decides on the artifact. t is nil when the user asked for no
// verification.
func (a *artifact) verify(ctx context.Context, t *trusted) (verify.Verified, error) {
	if t == nil {
		return verify.SkipUnsafe(ctx, a.subject())
	}
	evidence, err := a.evidence(ctx)
	if err != nil {
		return verify.Verified{}, err
	}
	return verify.Verify(ctx, a.subject(), evidence, verify.Ruling{Rules: t.rules, Trust: t.trust})
}
