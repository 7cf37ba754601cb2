package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// What scripts do to registries behind modseal's back goes through oras-go
// alone: an own implementation of the protocol, as an attacker would have one.

const (
	mediaTypeBundle         = "application/vnd.dev.sigstore.bundle.v0.3+json"
	annotationPredicateType = "dev.sigstore.bundle.predicateType"
	annotationBundleContent = "dev.sigstore.bundle.content"
	artifactTypeModel       = "application/vnd.cncf.model.manifest.v1+json"
	mediaTypeModelConfig    = "application/vnd.cncf.model.config.v1+json"
	annotationFilePath      = "org.cncf.model.filepath"
)

// open returns the repository of a reference, and the tag or digest in it.
func open(reference, user, password string) (*remote.Repository, string, error) {
	ref, err := registry.ParseReference(reference)
	if err != nil {
		return nil, "", err
	}
	repo, err := remote.NewRepository(ref.Registry + "/" + ref.Repository)
	if err != nil {
		return nil, "", err
	}
	repo.PlainHTTP = true
	repo.MaxMetadataBytes = 16 << 20
	repo.SkipReferrersGC = true
	if user != "" {
		repo.Client = &auth.Client{Credential: auth.StaticCredential(ref.Registry, auth.Credential{Username: user, Password: password})}
	}
	return repo, ref.Reference, nil
}

// fetchManifest returns a manifest with its descriptor.
func fetchManifest(ctx context.Context, repo *remote.Repository, reference string) (ocispec.Descriptor, []byte, error) {
	desc, rc, err := repo.FetchReference(ctx, reference)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	defer rc.Close()
	raw, err := io.ReadAll(rc)
	return desc, raw, err
}

// bundles calls fn for the bundles that are attached to a manifest, with the
// predicate type that their annotation names.
func bundles(ctx context.Context, repo *remote.Repository, subject ocispec.Descriptor, fn func(referrer ocispec.Descriptor, predicateType string, bundle []byte) error) error {
	return repo.Referrers(ctx, subject, "", func(list []ocispec.Descriptor) error {
		for _, d := range list {
			_, raw, err := fetchManifest(ctx, repo, d.Digest.String())
			if err != nil {
				return err
			}
			var m ocispec.Manifest
			if err := json.Unmarshal(raw, &m); err != nil {
				return err
			}
			if m.ArtifactType != mediaTypeBundle || len(m.Layers) != 1 {
				continue
			}
			rc, err := repo.Blobs().Fetch(ctx, m.Layers[0])
			if err != nil {
				return err
			}
			bundle, err := io.ReadAll(rc)
			rc.Close()
			if err != nil {
				return err
			}
			if err := fn(d, m.Annotations[annotationPredicateType], bundle); err != nil {
				return err
			}
		}
		return nil
	})
}

// attach makes a bundle a referrer of subject, as cosign v3 does.
func attach(ctx context.Context, repo *remote.Repository, subject ocispec.Descriptor, predicateType string, bundle []byte) error {
	config, err := oras.PushBytes(ctx, repo, ocispec.MediaTypeEmptyJSON, []byte("{}"))
	if err != nil {
		return err
	}
	layer, err := oras.PushBytes(ctx, repo, mediaTypeBundle, bundle)
	if err != nil {
		return err
	}
	_, err = pushManifest(ctx, repo, "", ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: mediaTypeBundle, Config: config, Layers: []ocispec.Descriptor{layer},
		Subject:     &ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
		Annotations: map[string]string{annotationPredicateType: predicateType, annotationBundleContent: "dsse-envelope"},
	})
	return err
}

func pushManifest(ctx context.Context, repo *remote.Repository, tag string, m ocispec.Manifest) (ocispec.Descriptor, error) {
	raw, err := json.Marshal(m)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return pushRaw(ctx, repo, tag, m.MediaType, raw)
}

func pushRaw(ctx context.Context, repo *remote.Repository, tag, mediaType string, raw []byte) (ocispec.Descriptor, error) {
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	if tag == "" {
		return desc, repo.Manifests().Push(ctx, desc, bytes.NewReader(raw))
	}
	return desc, repo.PushReference(ctx, desc, bytes.NewReader(raw), tag)
}

// copyOnly copies an artifact, and of the bundles attached to it those whose
// predicate type is listed.
func copyOnly(ctx context.Context, src *remote.Repository, srcRef string, dst *remote.Repository, dstRef string, predicateTypes []string) error {
	desc, err := oras.Copy(ctx, src, srcRef, dst, dstRef, oras.DefaultCopyOptions)
	if err != nil {
		return err
	}
	copied := 0
	err = bundles(ctx, src, desc, func(_ ocispec.Descriptor, predicateType string, bundle []byte) error {
		if !slices.Contains(predicateTypes, predicateType) {
			return nil
		}
		copied++
		return attach(ctx, dst, desc, predicateType, bundle)
	})
	if err == nil && copied < len(predicateTypes) {
		err = fmt.Errorf("%s has bundles of %d of the types %v", srcRef, copied, predicateTypes)
	}
	return err
}

// handmade is a model that a script describes in JSON, to push what modseal
// would never push.
type handmade struct {
	ArtifactType string            // default: a model
	Annotations  map[string]string // of the manifest
	Padding      int               // adds an annotation of that many bytes
	Layers       []struct {
		MediaType   string // default: a raw weight layer
		Path        string // the filepath annotation; "" leaves it out
		Content     string
		Size        *int64 // what the descriptor says, when it is to lie
		Annotations map[string]string
	}
}

func (h handmade) push(ctx context.Context, repo *remote.Repository, tag string) (ocispec.Descriptor, error) {
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: h.ArtifactType, Annotations: h.Annotations, Layers: []ocispec.Descriptor{},
	}
	if m.ArtifactType == "" {
		m.ArtifactType = artifactTypeModel
	}
	if h.Padding > 0 {
		if m.Annotations == nil {
			m.Annotations = map[string]string{}
		}
		m.Annotations["padding"] = strings.Repeat("x", h.Padding)
	}
	var diffIDs []string
	for _, l := range h.Layers {
		if l.MediaType == "" {
			l.MediaType = "application/vnd.cncf.model.weight.v1.raw"
		}
		d, err := oras.PushBytes(ctx, repo, l.MediaType, []byte(l.Content))
		if err != nil {
			return d, err
		}
		if l.Size != nil {
			d.Size = *l.Size
		}
		d.Annotations = l.Annotations
		if l.Path != "" {
			if d.Annotations == nil {
				d.Annotations = map[string]string{}
			}
			d.Annotations[annotationFilePath] = l.Path
		}
		diffIDs = append(diffIDs, d.Digest.String())
		m.Layers = append(m.Layers, d)
	}
	config, err := json.Marshal(map[string]any{
		"descriptor": map[string]any{"name": "handmade"},
		"config":     map[string]any{},
		"modelfs":    map[string]any{"type": "layers", "diffIds": diffIDs},
	})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if m.Config, err = oras.PushBytes(ctx, repo, mediaTypeModelConfig, config); err != nil {
		return m.Config, err
	}
	return pushManifest(ctx, repo, tag, m)
}

// layer returns the layer of a manifest that holds the file path.
func layer(raw []byte, path string) (ocispec.Descriptor, error) {
	var m ocispec.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return ocispec.Descriptor{}, err
	}
	for _, l := range m.Layers {
		if l.Annotations[annotationFilePath] == path {
			return l, nil
		}
	}
	return ocispec.Descriptor{}, errors.New("the manifest has no layer " + path)
}
