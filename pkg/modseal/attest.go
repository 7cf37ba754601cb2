package modseal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/verify"
)

// AttestOptions say what is claimed, and what signs it.
type AttestOptions struct {
	Sign SignOptions
	// PredicateType is an absolute URI or one of the names of
	// statement.PredicateTypeNames.
	PredicateType string
	// Predicate is read to its end: a JSON object. Of one that is too large no
	// more than the bound is read.
	Predicate io.Reader
}

// AttestResult says what [Client.Attest] did.
type AttestResult struct {
	Reference   string    `json:"reference"`
	Digest      string    `json:"digest"`
	Attestation Signature `json:"attestation"`
}

// Attest attaches a signed claim to the artifact that target names: an in-toto
// statement about its manifest digest. It reads the manifest and what is attached,
// and no layer.
//
// Errors wrap [ErrUsage] when there can be no such claim: the predicate is no JSON
// object, or not what its type demands, or the type is that of a signature.
func (c *Client) Attest(ctx context.Context, target string, o AttestOptions) (*AttestResult, error) {
	t, err := ParseTarget(target)
	if err != nil {
		return nil, err
	}
	predicateType, err := statement.PredicateType(o.PredicateType)
	if err != nil {
		return nil, usage(err)
	}
	predicate, err := io.ReadAll(io.LimitReader(o.Predicate, limits.PredicateBytes+1))
	if err != nil {
		return nil, fmt.Errorf("predicate: %w", err)
	}
	l, err := c.openAs(ctx, t, false, true)
	if err != nil {
		return nil, err
	}
	a, err := l.resolve(ctx)
	if err != nil {
		return nil, err
	}
	payload, err := statement.Attestation(a.descriptor.Digest, predicateType, predicate)
	if err != nil {
		return nil, usage(err)
	}
	// Nobody is asked for a password or a token before it is known what for.
	signer, err := c.signer(ctx, &o.Sign)
	if err != nil {
		return nil, err
	}
	s, err := a.attest(ctx, claim{predicateType, payload, sign.FormCosign}, signer)
	if err != nil {
		return nil, err
	}
	return &AttestResult{Reference: l.String(), Digest: a.descriptor.Digest.String(), Attestation: s}, nil
}

// usage makes what is wrong with the claim an error of the call.
func usage(err error) error {
	if errors.Is(err, statement.ErrInvalid) || errors.Is(err, statement.ErrPredicateType) {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return err
}

// attest attaches a claim unless the same signer has attached the same one.
func (a *artifact) attest(ctx context.Context, c claim, s *signer) (Signature, error) {
	ruling, ok := s.recognised()
	if !ok {
		return a.attach(ctx, c, s)
	}
	// Whoever it is that signs, here it is a claim of one type that counts.
	ruling.Rules.Requirements = []policy.Requirement{{Attestation: &policy.AttestationRequirement{
		PredicateTypes: []string{c.predicateType}, Signers: ruling.Rules.Signers(), Threshold: 1, Witness: s.witness,
	}}}
	evidence, err := a.evidence(ctx)
	if err != nil {
		return Signature{}, err
	}
	for _, e := range evidence {
		if e.Err != nil || !bytes.Equal(claimedPayload(e.Bundle), c.payload) {
			continue
		}
		_, err := verify.Verify(ctx, a.subject(), []verify.Evidence{e}, ruling)
		if ctx.Err() != nil {
			return Signature{}, context.Cause(ctx)
		}
		// Whoever else made the claim, or whatever else is wrong with it: it is made
		// again.
		if err == nil {
			return Signature{Digest: e.Digest.String(), PredicateType: c.predicateType, Signer: s.Identity().String(), Existed: true}, nil
		}
	}
	return a.attach(ctx, c, s)
}

// claimedPayload returns what a bundle says that it signs; nil when there is no
// such thing.
func claimedPayload(bundle []byte) []byte {
	var b struct {
		Envelope struct {
			Payload []byte `json:"payload"`
		} `json:"dsseEnvelope"`
	}
	if json.Unmarshal(bundle, &b) != nil {
		return nil
	}
	return b.Envelope.Payload
}
