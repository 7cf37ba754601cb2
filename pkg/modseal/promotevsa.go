package modseal

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/verify"
)

// LevelPolicyPassed is the verified level that every summary of a promotion has:
// the model met the policy that the summary names.
const LevelPolicyPassed = "MODSEAL_POLICY_PASSED" //nolint:gosec // no credential: PASSED is not a password

// slsaVersion is that of the specification that the summaries follow.
const slsaVersion = "1.1"

// loadSigner gets who signs: a key that cannot be used must not come to light when
// the model has been copied.
func (p *promoting) loadSigner(ctx context.Context) (StepOutcome, string, error) {
	var err error
	if p.signer, err = p.Client.signer(ctx, &p.o.Sign); err != nil {
		return "", "", err
	}
	if _, ok := p.signer.recognised(); !ok {
		return "", "", &verify.Undecided{
			Subject: p.to.Scope(),
			Why:     "the verification summary that " + p.signer.Identity().String() + " signs could not be verified afterwards: the services that witness it have no trusted root",
			Next:    "name the trusted root of the instance that signs: --sign-trusted-root",
		}
	}
	if p.o.VerifierID == "" {
		p.o.VerifierID = verifierID(p.signer.Identity())
	}
	return StepDone, p.signer.Identity().String() + ", as " + p.o.VerifierID, nil
}

// verifierID says as a URI who signs.
func verifierID(who sign.Identity) string {
	if c := who.Certificate; c != nil {
		switch {
		case len(c.URIs) > 0:
			return c.URIs[0].String()
		case len(c.EmailAddresses) > 0:
			return (&url.URL{Scheme: "mailto", Opaque: c.EmailAddresses[0]}).String()
		case len(c.DNSNames) > 0:
			return "dns:" + c.DNSNames[0]
		}
	}
	if who.Method == sign.MethodKeyless {
		return "modseal:identity:" + url.PathEscape(who.Subject) // the otherName of Fulcio
	}
	return "modseal:key:" + who.Key.Fingerprint().String()
}

// summary is what the verification summary says, but for the time.
func (p *promoting) summary() *statement.VSA {
	v := &statement.VSA{
		Verifier:    p.o.VerifierID,
		Resource:    statement.ResourceURI(p.to.Scope(), p.model.descriptor.Digest),
		Policy:      p.decidingPolicy(),
		Result:      statement.ResultPassed,
		Levels:      p.o.levels(),
		SLSAVersion: slsaVersion,
	}
	for _, d := range counted(p.accepted.Report()) {
		v.Inputs = append(v.Inputs, statement.ResourceDescriptor{
			URI: statement.ResourceURI(p.to.Scope(), d), Digest: map[string]string{d.Algorithm().String(): d.Encoded()},
		})
	}
	return v
}

// levels are those of the summary, each once.
func (o *PromoteOptions) levels() []string {
	levels := []string{LevelPolicyPassed}
	for _, level := range o.Levels {
		if !slices.Contains(levels, level) {
			levels = append(levels, level)
		}
	}
	return levels
}

// checkSummary refuses what no summary may say: that must not come to light when the
// model has been copied.
func (o *PromoteOptions) checkSummary() error {
	v := &statement.VSA{
		Verifier: cmp.Or(o.VerifierID, "modseal:key:sha256"), // who signs is not known yet
		Resource: "modseal:check", Policy: statement.ResourceDescriptor{URI: "modseal:check"},
		Result: statement.ResultPassed, Levels: o.levels(), SLSAVersion: slsaVersion,
	}
	if _, err := v.Payload(digest.FromString("")); err != nil {
		return fmt.Errorf("%w: the verification summary: %w", ErrUsage, err)
	}
	return nil
}

// counted returns the referrers whose bundles met a requirement, sorted.
func counted(r verify.Report) []digest.Digest {
	var out []digest.Digest
	for _, c := range r.Checks {
		if c.Passed() && c.Evidence != "" {
			out = append(out, c.Evidence)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// decidingPolicy names the policy that the user chose for the source, or else that
// of the site. Of several it is the digest of the list of their digests, sorted,
// each in hexadecimal on a line of its own.
func (p *promoting) decidingPolicy() statement.ResourceDescriptor {
	chosen := slices.Clone(p.source.sources)
	if i := slices.IndexFunc(chosen, func(s ruleSource) bool { return s.site }); i > 0 {
		chosen = chosen[:i] // those of the site come last, and hold besides
	}
	if len(chosen) == 1 {
		return policyDescriptor(chosen[0], p.source)
	}
	var lines []string
	for _, s := range chosen {
		lines = append(lines, policyDescriptor(s, p.source).Digest["sha256"]+"\n")
	}
	slices.Sort(lines)
	return statement.ResourceDescriptor{URI: "modseal:policies", Digest: sha256Of(strings.Join(lines, ""))}
}

// policyDescriptor names rules by their document, or those of the command line by
// whom they trust: a line for each signer, sorted.
func policyDescriptor(s ruleSource, t *trusted) statement.ResourceDescriptor {
	if s.digest != "" {
		return statement.ResourceDescriptor{URI: url.PathEscape(filepath.Base(s.file)), Digest: map[string]string{s.digest.Algorithm().String(): s.digest.Encoded()}}
	}
	var lines []string
	for _, signer := range s.rules.Signers() {
		lines = append(lines, signerLine(signer, t)+"\n")
	}
	slices.Sort(lines)
	return statement.ResourceDescriptor{URI: "modseal:command-line", Digest: sha256Of(strings.Join(lines, ""))}
}

func signerLine(s policy.Signer, t *trusted) string {
	switch {
	case s.Keyless != nil:
		return fmt.Sprintf("keyless %s %s", s.Keyless.Issuer, s.Keyless.Identity)
	case s.Certificate != nil:
		return fmt.Sprintf("certificate %s", s.Certificate.Identity)
	}
	for _, r := range t.rulings {
		if key, ok := r.Trust.Keys[s.Name]; ok {
			return "key " + key.Fingerprint().String()
		}
	}
	return "key " + s.Name
}

func sha256Of(text string) map[string]string {
	sum := sha256.Sum256([]byte(text))
	return map[string]string{"sha256": hex.EncodeToString(sum[:])}
}

// sign attaches the summary at the destination, unless the same signer has said
// the same there and it is young enough.
func (p *promoting) sign(ctx context.Context) (StepOutcome, string, error) {
	want := p.summary()
	kept, when, err := p.keptSummary(ctx, want)
	if err != nil {
		return "", "", err
	}
	made := &PromoteVSA{
		Signer: p.signer.Identity().String(), VerifierID: want.Verifier, ResourceURI: want.Resource,
		Policy: VSAPolicy{URI: want.Policy.URI, Digest: want.Policy.Digest}, Levels: want.Levels, Inputs: digestsOf(want.Inputs),
	}
	if kept != "" {
		made.Digest, made.Existed, made.TimeVerified = kept.String(), true, when
		p.res.VSA = made
		return StepNothing, "the same signer said the same at " + when.Format(time.RFC3339), nil
	}
	want.TimeVerified = time.Now().UTC()
	payload, err := want.Payload(p.model.descriptor.Digest)
	if err != nil {
		if errors.Is(err, statement.ErrInvalid) {
			err = fmt.Errorf("%w: %w", ErrUsage, err)
		}
		return "", "", err
	}
	s, err := p.there.attach(ctx, claim{artifacttypes.PredicateVSA, payload, sign.FormCosign}, p.signer)
	if err != nil {
		return "", "", err
	}
	made.Digest, made.TimeVerified = s.Digest, want.TimeVerified
	p.res.VSA = made
	return StepDone, s.Digest + " by " + s.Signer, nil
}

func digestsOf(inputs []statement.ResourceDescriptor) []string {
	out := []string{}
	for _, i := range inputs {
		for algorithm, encoded := range i.Digest {
			out = append(out, algorithm+":"+encoded)
		}
	}
	return out
}

// ownRuling is met only by a summary that this signer made for the destination.
func (p *promoting) ownRuling() verify.Ruling {
	r, _ := p.signer.recognised() // loadSigner made sure
	r.Rules.Name = "summary of this promotion"
	r.Rules.Requirements = []policy.Requirement{{VSA: &policy.VSARequirement{
		Verifiers: []policy.Verifier{{ID: p.o.VerifierID, Signers: r.Rules.Signers()}},
		Threshold: 1, Resource: policy.Resources{Here: true}, Witness: p.signer.witness,
	}}}
	return r
}
