package modseal

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/referrer"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/transfer"
	"github.com/modseal/modseal/pkg/verify"
)

// consignment is an artifact on its way into an archive.
type consignment struct {
	selectedArtifact

	graph  *transfer.Graph
	permit permit
	// legacy are the images under tags of cosign's that a policy counts.
	legacy []legacyImage
}

// legacyImage is what cosign attached by a tag.
type legacyImage struct {
	tag   string
	graph *transfer.Graph
}

// surveys is how many artifacts are surveyed at once: latency is all they cost.
const surveys = 4

// gather resolves what is asked for and reads the manifests of it. Whom to trust is
// known before a registry is asked anything.
func (s *saving) gather(ctx context.Context, refs []string) error {
	artifacts, err := (&selection{client: s.Client, before: func(l *location) error { return s.trustFor(ctx, l.Scope()) }}).all(ctx, refs)
	if err != nil {
		return err
	}
	s.consignments = make([]*consignment, len(artifacts))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(surveys)
	for i, a := range artifacts {
		group.Go(func() error {
			g, err := transfer.Survey(groupCtx, a.repository, a.descriptor, transfer.SurveyOptions{Referrers: true})
			if err != nil {
				return fmt.Errorf("%s: %w", a.Target, err)
			}
			s.consignments[i] = &consignment{selectedArtifact: a, graph: g}
			return nil
		})
	}
	return group.Wait()
}

// trustFor reads whom to trust for a scope, once. nil is what nothing is verified
// by.
func (s *saving) trustFor(ctx context.Context, scope string) error {
	if _, known := s.trust[scope]; known {
		return nil
	}
	t, err := s.trustedUnlessSkipped(ctx, PullOptions{Trust: s.o.Trust, SkipVerificationUnsafe: s.o.SkipVerificationUnsafe}, scope)
	if err == nil {
		s.trust[scope] = t
	}
	return err
}

// accept decides on every model of every artifact, by what decides when it is
// verified where it lies.
func (s *saving) accept(ctx context.Context) error {
	for _, c := range s.consignments {
		t := s.trust[c.Scope()]
		models := modelsOf(c.graph)
		if len(models) == 0 {
			return &ManifestError{c.Target.String(), fmt.Errorf("%w: it is an index of nothing", artifacttypes.ErrNotAModel)}
		}
		var reports []verify.Report
		for _, n := range models {
			v, err := c.decide(ctx, n, t)
			if err != nil {
				return err
			}
			c.permit.models = append(c.permit.models, v)
			reports = append(reports, v.Report())
			s.result.Warnings = append(s.result.Warnings, v.Report().Warnings...)
			if err := c.findLegacy(ctx, n.Descriptor.Digest, t); err != nil {
				return err
			}
		}
		s.result.Artifacts = append(s.result.Artifacts, c.saved(reports))
	}
	return nil
}

// decide decides on one manifest of an artifact.
func (c *consignment) decide(ctx context.Context, n transfer.Node, t *trusted) (verify.Verified, error) {
	raw, err := c.graph.Raw(ctx, n)
	if err != nil {
		return verify.Verified{}, err
	}
	model, err := artifacttypes.ParseManifest(raw)
	if err != nil {
		return verify.Verified{}, &ManifestError{c.at(n.Descriptor), err}
	}
	a := &artifact{location: c.location, descriptor: n.Descriptor, manifest: raw, model: model}
	v, err := a.verify(ctx, t)
	if err != nil {
		return verify.Verified{}, err
	}
	return v, a.compareMembers(ctx, v)
}

// findLegacy finds what cosign attached by tags where one of the rules counts it.
// A tag that holds something else counts for nobody, and stays where it is.
func (c *consignment) findLegacy(ctx context.Context, model digest.Digest, t *trusted) error {
	if t == nil {
		return nil
	}
	for _, suffix := range legacySuffixes(t.rules()) {
		tag := referrer.LegacyTag(model, suffix)
		desc, err := c.Resolve(ctx, tag)
		if errors.Is(err, errdef.ErrNotFound) || err == nil && desc.MediaType != ocispec.MediaTypeImageManifest {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.named(tag).Target, err)
		}
		g, err := transfer.Survey(ctx, c.repository, desc, transfer.SurveyOptions{})
		if err != nil {
			return fmt.Errorf("%s: %w", c.named(tag).Target, err)
		}
		c.legacy = append(c.legacy, legacyImage{tag, g})
	}
	return nil
}

// saved describes the artifact for the result.
func (c *consignment) saved(reports []verify.Report) SavedArtifact {
	a := SavedArtifact{
		Name: c.fullName(), Digest: c.descriptor.Digest, MediaType: c.descriptor.MediaType, Verification: reports,
		Referrers: len(c.legacy),
	}
	for _, b := range c.graph.Blobs() {
		a.Size += b.Size
	}
	for _, n := range c.graph.Nodes() {
		a.Size += n.Descriptor.Size
		if n.Kind == transfer.KindReferrer {
			a.Referrers++
		}
	}
	return a
}

// fullName is how the archive calls the artifact.
func (c *consignment) fullName() string {
	repository, tag := c.name()
	if tag == "" {
		return repository + "@" + c.descriptor.Digest.String()
	}
	return repository + ":" + tag
}

// name returns the repository and the tag by which the archive knows the artifact:
// those that it has. What lies in a layout is called localhost/NAME, as local
// images are by others; what lies in an archive keeps the name that it has there.
func (c *consignment) name() (repository, tag string) {
	tag = c.tag()
	if c.Kind == KindRegistry {
		return c.Scope(), tag
	}
	if ref, err := remote.ParseReference(tag); err == nil {
		repository, tag = ref.Registry+"/"+ref.Repository, ref.Reference
	} else {
		repository = "localhost/" + repositoryName(c.Path)
	}
	if c.archive == nil || (registry.Reference{Reference: tag}).ValidateReferenceAsTag() != nil && tag != "" {
		return repository, tag
	}
	if full, ok := c.nameInArchive(tag); ok {
		return full, tag
	}
	return repository, tag
}

// nameInArchive returns the repository that an archive gives an artifact.
func (c *consignment) nameInArchive(tag string) (repository string, ok bool) {
	contents, ok := c.archive.Contents()
	if !ok {
		return "", false
	}
	for _, a := range contents.Artifacts {
		ref, err := remote.ParseReference(a.Name)
		if err == nil && a.Digest == c.descriptor.Digest && (tag == "" || ref.Reference == tag) {
			return ref.Registry + "/" + ref.Repository, true
		}
	}
	return "", false
}

// repositoryName makes the name of a directory or file that of a repository.
func repositoryName(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	name := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(strings.TrimSuffix(filepath.Base(abs), ".tar")))
	for strings.Contains(name, "--") {
		name = strings.ReplaceAll(name, "--", "-")
	}
	if name = strings.Trim(name, "-"); name == "" {
		return "model"
	}
	return name
}
