package modseal

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/referrer"
	"github.com/modseal/modseal/pkg/statement"
)

// TreeNode is an artifact and what refers to it.
type TreeNode struct {
	Reference    string `json:"reference,omitempty"` // of the root only
	Digest       string `json:"digest"`
	MediaType    string `json:"mediaType"`
	ArtifactType string `json:"artifactType,omitempty"`
	Size         int64  `json:"size"` // of the manifest's layers, in bytes
	// PredicateType is what a bundle claims to be. It is read from the payload,
	// whose signature nobody has checked here.
	PredicateType string      `json:"predicateType,omitempty"`
	Problem       string      `json:"problem,omitempty"` // why the node could not be read
	Referrers     []*TreeNode `json:"referrers,omitempty"`
}

// Tree lists what refers to the artifact that target names, and what refers to
// that, within bounds.
func (c *Client) Tree(ctx context.Context, target string) (*TreeNode, error) {
	l, err := c.openTarget(target)
	if err != nil {
		return nil, err
	}
	if l.Reference == "" {
		return nil, fmt.Errorf("%w: %s has no tag or digest", ErrUsage, l.Target)
	}
	desc, err := l.Resolve(ctx, l.Reference)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.Target, err)
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
	budget := int64(limits.EvidenceBytes)
	err = referrer.Walk(ctx, l.repository, desc, func(depth int, n referrer.Node) error {
		node := l.treeNode(ctx, n, &budget)
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

func (n *TreeNode) describe(m *ocispec.Manifest) {
	n.ArtifactType = m.ArtifactType
	if n.ArtifactType == "" {
		n.ArtifactType = m.Config.MediaType
	}
	for _, d := range m.Layers {
		n.Size += d.Size
	}
}

func (l *location) treeNode(ctx context.Context, n referrer.Node, budget *int64) *TreeNode {
	node := &TreeNode{Digest: n.Descriptor.Digest.String(), MediaType: n.Descriptor.MediaType, ArtifactType: n.Descriptor.ArtifactType}
	if n.Manifest == nil {
		return node
	}
	node.describe(n.Manifest)
	layer, ok := bundleLayer(n.Manifest)
	if !ok {
		return node
	}
	if *budget -= layer.Size; *budget < 0 {
		node.Problem = fmt.Sprintf("not read: the bundles together have more than %d bytes", limits.EvidenceBytes)
		return node
	}
	bundle, err := fetchBytes(ctx, l, layer, limits.BundleBytes, "bundle")
	if err == nil {
		node.PredicateType, err = claimedPredicate(bundle)
	}
	if err != nil {
		node.Problem = err.Error()
		if as[*integrity.Error](err) {
			node.Problem = "damaged: " + node.Problem
		}
	}
	return node
}

// claimedPredicate reads the predicate type out of a bundle without believing it.
func claimedPredicate(bundle []byte) (string, error) {
	var b struct {
		Envelope *struct {
			Payload []byte `json:"payload"`
		} `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(bundle, &b); err != nil {
		return "", fmt.Errorf("no bundle: %w", err)
	}
	if b.Envelope == nil {
		return "", nil
	}
	h, err := statement.ParseHeader(b.Envelope.Payload)
	if err != nil {
		return "", err
	}
	return h.PredicateType, nil
}

// ClaimName returns what people call a claim of the predicate type.
func ClaimName(predicateType string) string {
	switch {
	case predicateType == artifacttypes.PredicateCosignSign:
		return "signature"
	case strings.HasPrefix(predicateType, artifacttypes.PredicateOMSNamePrefix):
		return "OMS signature of the files"
	}
	return "attestation"
}
