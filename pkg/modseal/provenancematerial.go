package modseal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/modelfile"
	"github.com/modseal/modseal/pkg/provenance"
	"github.com/modseal/modseal/pkg/statement"
)

// material adds what the model was made from, as somebody who builds it named it.
func (m *maker) material(ctx context.Context, as, text string) error {
	r, err := m.resource(ctx, as, text)
	if err != nil {
		if errors.Is(err, provenance.ErrMaterial) {
			return fmt.Errorf("%w: --%s: %w; name an artifact (registry/repository:tag, oci:PATH:TAG), a model of the hub (organisation/name@revision) or a URI", ErrUsage, as, err)
		}
		return fmt.Errorf("--%s %s: %w", as, text, err)
	}
	if !r.Pinned() {
		// As it is written down: the text that was given may hold a password.
		m.warn("--%s %s: no digest is known of it, so that nobody can tell later which one it was: name a commit of the hub (name@COMMIT), an artifact, or a digest (URI@sha256:…)", as, r.URI)
	}
	m.parts.Dependencies = append(m.parts.Dependencies, r)
	return nil
}

func (m *maker) resource(ctx context.Context, as, text string) (provenance.Resource, error) {
	switch {
	case isArtifactName(text):
		return m.pinned(ctx, as, strings.TrimPrefix(text, "oci://"))
	case as == provenance.NameDataset && isPath(text):
		return hashedFile(ctx, as, text)
	}
	if r, ok, err := provenance.Material(as, text); ok {
		return r, err
	}
	return provenance.Hub(as, text)
}

// isArtifactName reports whether text names an OCI artifact. A registry is told from
// an organisation of the hub as docker tells it from a user: by a dot, a port, or
// being localhost.
func isArtifactName(text string) bool {
	if hasAnyPrefix(text, "oci:", "archive:") {
		return true
	}
	host, path, ok := strings.Cut(text, "/")
	return ok && path != "" && !strings.HasPrefix(path, "/") && !isPath(text) &&
		(host == "localhost" || strings.ContainsAny(host, ".:")) && !strings.HasPrefix(text, "pkg:") && !strings.HasPrefix(text, "git+")
}

func isPath(text string) bool {
	return filepath.IsAbs(text) || hasAnyPrefix(text, "./", "../", "/", `.\`, `..\`)
}

// pinned resolves an artifact to its digest. Where it lies on a disk of this machine
// is nobody's business: then the digest alone says which it is.
func (m *maker) pinned(ctx context.Context, as, text string) (provenance.Resource, error) {
	l, err := m.client.openTarget(ctx, text)
	if err != nil {
		return provenance.Resource{}, err
	}
	if l.Reference == "" {
		return provenance.Resource{}, fmt.Errorf("%w: it has no tag or digest", ErrUsage)
	}
	desc, err := l.Resolve(ctx, l.Reference)
	if err != nil {
		return provenance.Resource{}, err
	}
	r := provenance.Resource{
		Name: as, MediaType: desc.MediaType, Digest: map[string]string{desc.Digest.Algorithm().String(): desc.Digest.Encoded()},
	}
	if l.Kind == KindRegistry {
		r.URI = statement.ResourceURI(l.Scope(), desc.Digest)
		r.Annotations = map[string]any{provenance.AnnotationReference: l.String()}
	}
	return r, nil
}

// hashedFile is a data set that is one file of this machine. Its name is told, and
// not where it lies.
func hashedFile(ctx context.Context, as, name string) (provenance.Resource, error) {
	info, err := os.Stat(name)
	if err != nil {
		return provenance.Resource{}, err
	}
	if !info.Mode().IsRegular() {
		return provenance.Resource{}, fmt.Errorf("%w: it is no regular file; pack a directory, and name the artifact: modseal pack %s oci:PATH:TAG", ErrUsage, name)
	}
	f, err := os.Open(name)
	if err != nil {
		return provenance.Resource{}, err
	}
	defer f.Close()
	d, err := digest.Canonical.FromReader(ingest.ContextReader(ctx, f))
	if err != nil {
		return provenance.Resource{}, err
	}
	return provenance.Resource{
		Name: as, Digest: map[string]string{d.Algorithm().String(): d.Encoded()},
		Annotations: map[string]any{provenance.AnnotationReference: filepath.Base(name)},
	}, nil
}

// stated adds what the files of the model say that it was made from, where nobody
// who builds it says so, and how it came from that.
func (m *maker) stated(facts *modelfile.Facts) {
	add := func(as string, names []string) {
		for _, name := range names {
			r, err := provenance.Hub(as, name)
			if err != nil {
				m.warn("the files of the model name a %s that is not told: %v", as, err)
				continue
			}
			if !r.Pinned() {
				m.warn("the files of the model say that it was made from %s, and not from which version: say it with --%s %s@COMMIT, or with an artifact", name, as, name)
			}
			r.Annotations = map[string]any{provenance.AnnotationStatedBy: "the files of the model"}
			m.parts.Dependencies = append(m.parts.Dependencies, r)
		}
	}
	if len(m.o.BaseModels) == 0 {
		add(provenance.NameBaseModel, facts.BaseModels)
	}
	if len(m.o.Datasets) == 0 {
		add(provenance.NameDataset, facts.Datasets)
	}
	if facts.BaseModelRelation == "" {
		return
	}
	for i := range m.parts.Dependencies {
		d := &m.parts.Dependencies[i]
		if d.Name != provenance.NameBaseModel {
			continue
		}
		if d.Annotations == nil {
			d.Annotations = map[string]any{}
		}
		d.Annotations[provenance.AnnotationRelation] = facts.BaseModelRelation
	}
}
