package modseal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

// PolicyCheck is what [Client.CheckPolicy] found in a valid policy.
type PolicyCheck struct {
	File         string           `json:"file"`
	Scopes       int              `json:"scopes"`
	Signers      []PolicySigner   `json:"signers"`
	Target       string           `json:"target,omitempty"`
	AppliedScope string           `json:"appliedScope,omitempty"`
	Warnings     []policy.Warning `json:"warnings,omitempty"`
}

// PolicySigner is somebody whom a policy names.
type PolicySigner struct {
	Name        string      `json:"name"`
	Method      sign.Method `json:"method"`
	Algorithm   string      `json:"algorithm,omitempty"`   // of a key
	Fingerprint string      `json:"fingerprint,omitempty"` // of a key
	Identity    string      `json:"identity,omitempty"`    // in certificates
	Issuer      string      `json:"issuer,omitempty"`      // who vouches for a keyless signer
}

// CheckPolicy reads a policy strictly, loads every key and certificate that it
// names, and finds the scope that applies to target unless that is empty. It asks
// no service: trusted roots are those that are here.
func (c *Client) CheckPolicy(ctx context.Context, file, target string) (*PolicyCheck, error) {
	p, err := readPolicy(file)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	res := &PolicyCheck{File: file, Scopes: len(p.Scopes), Target: target, Warnings: p.Check(now)}
	known := verify.Trust{Keys: map[string]trust.Key{}, Authorities: map[string]trust.Authority{}}
	fingerprints := map[string]string{}
	seen := map[string]bool{}
	for _, scope := range p.Scopes {
		for _, s := range (policy.Rules{Requirements: scope.Requirements}).Signers() {
			if seen[s.Name] {
				continue
			}
			seen[s.Name] = true
			// A key that only a service knows is not asked for here.
			if s.Key == "" || !sign.IsReference(s.Key) {
				if err := c.identify(ctx, s, file, true, &known); err != nil {
					return nil, err
				}
			}
			described := describeSigner(s, known)
			if described.Fingerprint != "" {
				fingerprints[s.Name] = described.Fingerprint
			}
			res.Signers = append(res.Signers, described)
			if a, ok := known.Authorities[s.Name]; ok {
				for _, w := range a.Describe(now).Warnings {
					res.Warnings = append(res.Warnings, policy.Warning{Line: scope.Line, Scope: scope.Prefix, Message: fmt.Sprintf("signer %q: %s", s.Name, w)})
				}
			}
		}
	}
	res.Warnings = append(res.Warnings, p.CheckKeys(fingerprints)...)
	res.Warnings = append(res.Warnings, c.checkRoots(ctx, p, file, now)...)
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

// checkRoots says which trusted roots are missing, too old or expired.
func (c *Client) checkRoots(ctx context.Context, p *policy.Policy, file string, now time.Time) []policy.Warning {
	var out []policy.Warning
	for _, r := range p.TrustedRoots {
		warn := func(message string) {
			out = append(out, policy.Warning{Message: fmt.Sprintf("trusted root %q: %s", r.Name, message)})
		}
		root, err := c.root(ctx, r, file, true)
		var missing *verify.Undecided
		if errors.As(err, &missing) {
			warn("with --offline nothing could be decided: " + missing.Why + "; " + missing.Next)
			continue
		}
		if err != nil {
			warn(err.Error())
			continue
		}
		for _, w := range root.Describe(now).Warnings {
			warn(w)
		}
	}
	return out
}

func describeSigner(s policy.Signer, known verify.Trust) PolicySigner {
	out := PolicySigner{Name: s.Name, Method: sign.MethodKey}
	switch {
	case s.Certificate != nil:
		out.Method, out.Identity = sign.MethodCertificate, s.Certificate.Identity.String()
	case s.Keyless != nil:
		out.Method, out.Identity, out.Issuer = sign.MethodKeyless, s.Keyless.Identity.String(), s.Keyless.Issuer.String()
	default:
		if key, ok := known.Keys[s.Name]; ok {
			out.Algorithm, out.Fingerprint = key.Describe(), key.Fingerprint().String()
		} else {
			out.Algorithm = sign.Redact(s.Key)
		}
	}
	return out
}
