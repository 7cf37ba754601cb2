package modseal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/diff"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/pack"
	"github.com/modseal/modseal/pkg/referrer"
	"github.com/modseal/modseal/pkg/source"
	"github.com/modseal/modseal/pkg/verify"
)

// diffSide is what is known of one side of a comparison.
type diffSide struct {
	DiffSide

	name, target string
	location     *location    // nil: a directory
	view         *modelView   // of its files
	tree         *source.Tree // nil: no directory
	model        *artifacttypes.Model
	fields       []diff.Field
	claims       []diff.Claim
	warnings     []string

	headers []headerFile
	configs []artifacttypes.Layer
	tensors []diff.Tensor
	// mostTensors bounds tensors.
	mostTensors int
	unread      []DiffUnread

	metadata, configBytes atomic.Int64
}

func (s *diffSide) fetched() DiffFetched {
	f := DiffFetched{Metadata: s.metadata.Load(), Configs: s.configBytes.Load()}
	if s.tree == nil {
		f.Headers = s.view.fetched()
	}
	return f
}

// gather reads what s is, without any of its files.
func (c *Client) gather(ctx context.Context, s *diffSide, o DiffOptions) error {
	t, err := ParseTarget(s.target)
	if err != nil {
		return err
	}
	if t.Kind == KindDirectory {
		return c.gatherDirectory(ctx, s, t)
	}
	l, err := c.openTarget(ctx, s.target)
	if err != nil {
		return err
	}
	l.repository = &metered{l.repository, &s.metadata}
	a, err := l.resolve(ctx)
	if err != nil {
		return err
	}
	s.location, s.view = l, viewOfBlobs(ctx, l)
	s.view.meter.budget = limits.DiffHeaderBytes
	if err := s.describe(ctx, t.String(), a.descriptor.Digest, a.model, func() ([]byte, error) {
		return fetchBytes(ctx, l, a.model.Manifest.Config, limits.ConfigBytes, "config")
	}); err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}
	return c.gatherClaims(ctx, s, a, o)
}

// gatherDirectory finds out what pushing the directory would store.
func (c *Client) gatherDirectory(ctx context.Context, s *diffSide, t Target) error {
	tree, overrides, err := PackOptions{}.read(ctx, t.Path)
	if err != nil {
		return err
	}
	packed, err := pack.Pack(ctx, tree, remembered{}, pack.Options{Overrides: overrides, Digests: c.digests})
	_ = c.digests.Flush(context.WithoutCancel(ctx)) // a cache that cannot be written remembers nothing
	if err != nil {
		return err
	}
	model, err := artifacttypes.ParseManifest(packed.Manifest)
	if err != nil {
		return err
	}
	s.tree, s.warnings = tree, packed.Warnings
	s.view = viewOfTree(ctx, tree, packed.Files)
	s.view.meter.budget = limits.DiffHeaderBytes
	return s.describe(ctx, t.String(), packed.Descriptor.Digest, model, func() ([]byte, error) { return packed.Config, nil })
}

// remembered computes digests, or believes those of files that were not touched
// since.
type remembered struct{ ingest.Digests }

func (r remembered) Ingest(ctx context.Context, b ingest.Blob) (ocispec.Descriptor, error) {
	if b.Known != "" {
		return ocispec.Descriptor{MediaType: b.MediaType, Digest: b.Known, Size: b.Size}, nil
	}
	return r.Digests.Ingest(ctx, b)
}

// describe notes what manifest and config say.
func (s *diffSide) describe(ctx context.Context, reference string, d digest.Digest, model *artifacttypes.Model, config func() ([]byte, error)) error {
	m := model.Manifest
	s.model = model
	s.DiffSide = DiffSide{Reference: reference, Digest: d.String(), Size: model.Size(), Layers: len(model.Layers)}
	s.note("manifest", "artifactType", m.ArtifactType)
	s.note("manifest", "config.mediaType", m.Config.MediaType)
	for _, key := range slices.Sorted(maps.Keys(m.Annotations)) {
		s.note("annotations", key, m.Annotations[key])
	}
	if m.Config.MediaType != artifacttypes.MediaTypeModelConfig {
		return nil
	}
	raw, err := config()
	if err != nil {
		return err
	}
	fields, err := diff.Flatten("config", raw)
	if err != nil {
		s.warnings = append(s.warnings, fmt.Sprintf("%s: the config cannot be read: %v", reference, err))
		return ctx.Err()
	}
	// What the config says of layers are their digests once more.
	s.fields = append(s.fields, slices.DeleteFunc(fields, func(f diff.Field) bool { return f.Name == "modelfs.diffIds" })...)
	return nil
}

// note adds a field, unless it is empty.
func (s *diffSide) note(source, name, value string) {
	if value == "" {
		return
	}
	text, err := diff.Value(value)
	if err != nil {
		return // a text has a form in JSON
	}
	s.fields = append(s.fields, diff.Field{Source: source, Name: name, Value: text})
}

func (s *diffSide) files() []diff.File {
	out := make([]diff.File, 0, len(s.model.Layers))
	for _, l := range s.model.Layers {
		out = append(out, diff.File{
			Path: l.Path, Role: string(l.Role), Encoding: string(l.Encoding), Size: l.Descriptor.Size,
			Digest: l.Descriptor.Digest.String(), Executable: l.Executable,
		})
	}
	return out
}

// gatherClaims reads what refers to the artifact.
func (c *Client) gatherClaims(ctx context.Context, s *diffSide, a *artifact, o DiffOptions) error {
	g := &grower{location: a.location, subject: a.subject(), budget: limits.EvidenceBytes}
	if o.Trust != nil {
		var err error
		if g.trusted, err = c.trusted(ctx, *o.Trust, a.Scope()); err != nil {
			return err
		}
	}
	nodes, err := referrer.List(ctx, a.repository, a.descriptor)
	if err != nil {
		return fmt.Errorf("%s: claims: %w", a.at(a.descriptor), err)
	}
	for _, n := range nodes {
		node, bundle := g.read(ctx, n)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		claim := diff.Claim{Digest: node.Digest, Type: node.ArtifactType, Name: node.Claim}
		if node.Problem != "" {
			s.warnings = append(s.warnings, fmt.Sprintf("%s: %s: %s", a.at(a.descriptor), node.Digest, node.Problem))
		}
		if node.PredicateType != "" {
			claim.Type = node.PredicateType
		}
		if node.PredicateType != "" && node.Problem == "" {
			if err := g.signer(ctx, &claim, verify.Evidence{Digest: n.Descriptor.Digest, Bundle: bundle}); err != nil {
				return err
			}
		}
		s.claims = append(s.claims, claim)
	}
	return nil
}

// signer says who made a claim: as verified, else as its bundle says.
func (g *grower) signer(ctx context.Context, claim *diff.Claim, e verify.Evidence) error {
	if g.trusted != nil {
		v, err := g.verify(ctx, e, claim.Type)
		if err != nil {
			return err
		}
		if claim.Verified, claim.Why = v.Verified, v.Why; v.Verified {
			claim.Signer = signerText(v.Signer, v.Identity, v.Issuer, v.Fingerprint)
			return nil
		}
	}
	// One that says nothing usable is by nobody.
	if said, err := verify.ReadClaim(e.Bundle); err == nil {
		claim.Signer = signerText("", said.Identity, said.Issuer, said.Fingerprint.String())
		if claim.Signer == "" && said.Hint != "" {
			// The form of OMS: the hash of the text of the key.
			claim.Signer = "key with the hint " + said.Hint[:min(len(said.Hint), maxHint)]
		}
	}
	return nil
}

// maxHint is how much of the hint of a key is kept: a SHA-512 in hexadecimal.
const maxHint = 128

// signerText names a signer by what tells him from others.
func signerText(name, identity, issuer, fingerprint string) string {
	who := identity
	if issuer != "" {
		who += ", vouched for by " + issuer
	}
	if who == "" && fingerprint != "" {
		who = "key " + fingerprint
	}
	switch {
	case name == "" || name == identity:
		return who
	case who == "":
		return name
	}
	return name + " (" + who + ")"
}

// metered counts the bytes of what is fetched.
type metered struct {
	repository
	n *atomic.Int64
}

func (m *metered) Fetch(ctx context.Context, target ocispec.Descriptor) (io.ReadCloser, error) {
	rc, err := m.repository.Fetch(ctx, target)
	if err != nil {
		return nil, err
	}
	return &meteredReader{rc, m.n}, nil
}

// ReferrersWithin is that of the repository, if it has pages.
func (m *metered) ReferrersWithin(ctx context.Context, desc ocispec.Descriptor, artifactType string, pages int, fn func([]ocispec.Descriptor) error) error {
	within, ok := m.repository.(interface {
		ReferrersWithin(ctx context.Context, desc ocispec.Descriptor, artifactType string, pages int, fn func([]ocispec.Descriptor) error) error
	})
	if !ok {
		return m.Referrers(ctx, desc, artifactType, fn)
	}
	return within.ReferrersWithin(ctx, desc, artifactType, pages, fn)
}

type meteredReader struct {
	io.ReadCloser
	n *atomic.Int64
}

func (r *meteredReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.n.Add(int64(n))
	return n, err
}

// isAbsent reports whether a blob is simply not there, as in an archive that was
// made without it.
func isAbsent(err error) bool { return errors.Is(err, errdef.ErrNotFound) }
