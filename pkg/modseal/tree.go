package modseal

import (
	"context"
	"errors"
	"fmt"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/referrer"
	"github.com/modseal/modseal/pkg/verify"
)

// TreeNode is an artifact and what refers to it.
type TreeNode struct {
	Reference    string `json:"reference,omitempty"` // of the root only
	Digest       string `json:"digest"`
	MediaType    string `json:"mediaType"`
	ArtifactType string `json:"artifactType,omitempty"`
	Size         int64  `json:"size"` // of the manifest's layers, in bytes
	// PredicateType is what a bundle claims to be, and Claim the name of that. It
	// is read from the payload, whose signature is checked only when Verification
	// says so.
	PredicateType string `json:"predicateType,omitempty"`
	Claim         string `json:"claim,omitempty"`
	// Says is what a claim says in one line, ClaimedBy who the bundle says has signed
	// it; both are believed no more than the claim.
	Says      string `json:"says,omitempty"`
	ClaimedBy string `json:"claimedBy,omitempty"`
	// Unsigned means that the claim is attached as it is: anybody may have written it.
	Unsigned bool `json:"unsigned,omitempty"`
	// Summary is what a verification summary says, believed no more than the claim.
	Summary *verify.Summary `json:"summary,omitempty"`
	// Verification says whether it counts for anybody who is trusted; nil when
	// nobody was named, and for what refers to referrers.
	Verification *TreeVerification `json:"verification,omitempty"`
	Problem      string            `json:"problem,omitempty"` // why the node could not be read
	Referrers    []*TreeNode       `json:"referrers,omitempty"`
}

// TreeVerification is how a claim about the artifact verifies by itself.
type TreeVerification struct {
	Verified    bool   `json:"verified"`
	Signer      string `json:"signer,omitempty"`      // its name in the policy, or on the command line
	Identity    string `json:"identity,omitempty"`    // in its certificate
	Issuer      string `json:"issuer,omitempty"`      // that vouched for the identity of a keyless signer
	Fingerprint string `json:"fingerprint,omitempty"` // of a key signer's key
	Why         string `json:"why,omitempty"`         // it does not verify; continues "it …"
}

// TreeOptions say what is told of the claims.
type TreeOptions struct {
	// Trust is by whom claims are verified: everybody whom these options or their
	// policies name for the artifact, whatever for. nil means that nothing is
	// verified.
	Trust *TrustOptions
}

// Tree lists what refers to the artifact that target names, and what refers to
// that, within bounds. Claims that do not verify are no error: the tree says so.
func (c *Client) Tree(ctx context.Context, target string, o TreeOptions) (*TreeNode, error) {
	l, err := c.openTarget(ctx, target)
	if err != nil {
		return nil, err
	}
	if err := l.checkNamed(); err != nil {
		return nil, err
	}
	var t *trusted
	if o.Trust != nil {
		if t, err = c.trusted(ctx, *o.Trust, l.Scope()); err != nil {
			return nil, err
		}
	}
	desc, err := l.find(ctx)
	if err != nil {
		return nil, err
	}
	raw, err := fetchManifest(ctx, l, desc)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.Target, err)
	}
	root := &TreeNode{Reference: l.String(), Digest: desc.Digest.String(), MediaType: desc.MediaType}
	if m, err := artifacttypes.DecodeManifest(raw); err == nil {
		root.describe(m)
	}
	// path holds the newest node of each depth: Walk goes depth first.
	path := []*TreeNode{root}
	g := &grower{location: l, trusted: t, subject: verify.Subject{Name: l.Scope(), Descriptor: desc, Manifest: raw}, budget: limits.EvidenceBytes}
	err = referrer.Walk(ctx, l.repository, desc, func(depth int, n referrer.Node) error {
		node, err := g.node(ctx, depth, n)
		if err != nil {
			return err
		}
		path = append(path[:depth], node)
		parent := path[depth-1]
		parent.Referrers = append(parent.Referrers, node)
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.Target, err)
	}
	return root, nil
}

// grower makes the nodes of a tree.
type grower struct {
	*location
	*trusted // nil: nothing is verified
	subject  verify.Subject
	budget   int64 // bytes of bundles that may be read still
}

func (n *TreeNode) describe(m *ocispec.Manifest) {
	n.ArtifactType = m.ArtifactType
	if n.ArtifactType == "" {
		n.ArtifactType = m.Config.MediaType
	}
	for _, d := range m.Layers {
		n.Size += d.Size
	}
}

func (g *grower) node(ctx context.Context, depth int, n referrer.Node) (*TreeNode, error) {
	node, bundle := g.read(ctx, n)
	if node.PredicateType == "" || node.Problem != "" || depth != 1 || g.trusted == nil {
		return node, nil
	}
	var err error
	node.Verification, err = g.verify(ctx, verify.Evidence{Digest: n.Descriptor.Digest, Bundle: bundle}, node.PredicateType)
	return node, err
}

// read describes a referrer, and returns the bundle that it holds, if it does.
func (g *grower) read(ctx context.Context, n referrer.Node) (*TreeNode, []byte) {
	node := &TreeNode{Digest: n.Descriptor.Digest.String(), MediaType: n.Descriptor.MediaType, ArtifactType: n.Descriptor.ArtifactType}
	if n.Manifest == nil {
		return node, nil
	}
	node.describe(n.Manifest)
	layer, ok := bundleLayer(n.Manifest)
	if !ok {
		node.plain()
		return node, nil
	}
	if g.budget -= layer.Size; g.budget < 0 {
		node.Problem = fmt.Sprintf("not read: the bundles together have more than %d bytes", limits.EvidenceBytes)
		return node, nil
	}
	bundle, err := fetchBytes(ctx, g.location, layer, limits.BundleBytes, "bundle")
	if err == nil {
		err = node.claimed(bundle)
	}
	if err != nil {
		node.Problem = err.Error()
		if as[*integrity.Error](err) {
			node.Problem = "damaged: " + node.Problem
		}
		return node, nil
	}
	return node, bundle
}

// verify decides on one claim by itself: whether anybody whom the rules name for
// anything has made it.
func (g *grower) verify(ctx context.Context, e verify.Evidence, predicateType string) (*TreeVerification, error) {
	v := &TreeVerification{Why: "is by nobody whom the rules name: they name nobody"}
	for _, ruling := range g.rulings {
		for _, req := range ruling.Rules.Requirements {
			signers := req.Signers()
			if len(signers) == 0 {
				continue
			}
			rules := ruling.Rules
			rules.Mode = policy.ModeEnforce
			rules.Requirements = []policy.Requirement{requirementOf(predicateType, signers, req.Witness())}
			report, err := verify.Explain(ctx, g.subject, []verify.Evidence{e}, verify.Ruling{Rules: rules, Trust: ruling.Trust})
			if errors.Is(err, artifacttypes.ErrNotAModel) || errors.Is(err, artifacttypes.ErrInvalidManifest) {
				return &TreeVerification{Why: "is about something that cannot be verified: " + err.Error()}, nil
			}
			if err != nil {
				return nil, err
			}
			if v.take(report); v.Verified {
				return v, nil
			}
		}
	}
	return v, nil
}

// requirementOf asks for one claim of the type by one of signers.
func requirementOf(predicateType string, signers []policy.Signer, w policy.Witness) policy.Requirement {
	switch {
	case predicateType == artifacttypes.PredicateCosignSign:
		return policy.Requirement{Signature: &policy.SignatureRequirement{Signers: signers, Threshold: 1, Witness: w}}
	case strings.HasPrefix(predicateType, artifacttypes.PredicateOMSFamily):
		return policy.Requirement{OMS: &policy.OMSRequirement{Required: true, Signers: signers, Witness: w, AnyIgnorePaths: true, Symlinks: true}}
	}
	return policy.Requirement{Attestation: &policy.AttestationRequirement{
		PredicateTypes: []string{predicateType}, Signers: signers, Threshold: 1, Witness: w,
	}}
}

// take notes how the one requirement of a report came out.
func (v *TreeVerification) take(report verify.Report) {
	for _, r := range report.Requirements {
		for _, e := range r.Evidence {
			*v = TreeVerification{
				Verified: r.Outcome == verify.Passed && e.Outcome == verify.Counted,
				Signer:   e.Signer, Identity: e.Identity, Issuer: e.Issuer, Fingerprint: e.Fingerprint, Why: e.Why,
			}
			if !v.Verified && v.Why == "" {
				v.Why = r.Found
			}
		}
	}
}
