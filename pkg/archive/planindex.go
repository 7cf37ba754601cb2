package archive

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// addLists adds a list of the referrers of each subject, for readers that look for
// it under the fallback tag of registries without referrers API.
func (b *builder) addLists() error {
	of := b.subjects()
	for _, subject := range slices.Sorted(maps.Keys(of)) {
		var entries []ocispec.Descriptor
		for _, n := range of[subject] {
			entries = append(entries, n.entry())
		}
		raw, err := encodeIndex(entries, limits.ReferrerListBytes, "list of referrers of "+subject.String())
		if err != nil {
			return err
		}
		desc := describe(ocispec.MediaTypeImageIndex, raw)
		if err := b.addManifest(desc, raw); err != nil {
			return err
		}
		desc.Annotations = map[string]string{ocispec.AnnotationRefName: fallbackTag(subject)}
		b.lists = append(b.lists, desc)
	}
	return nil
}

// fallbackTag cuts the hex as the distribution specification does, so that the tag
// of a sha512 digest is a valid one
// (https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema).
func fallbackTag(d digest.Digest) string {
	return d.Algorithm().String() + "-" + d.Encoded()[:64]
}

func describe(mediaType string, raw []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
}

func encodeIndex(entries []ocispec.Descriptor, most int64, what string) ([]byte, error) {
	raw, err := artifacttypes.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: entries,
	})
	if err == nil && int64(len(raw)) > most {
		err = &integrity.TooLargeError{What: what, Size: int64(len(raw)), Limit: most}
	}
	return raw, err
}

// index returns index.json: the artifacts by name, what is attached without one,
// the lists, and the archive's own manifest.
func (b *builder) index() ([]byte, error) {
	entries, err := b.namedEntries()
	if err != nil {
		return nil, err
	}
	named := map[digest.Digest]bool{}
	for _, e := range entries {
		named[e.Digest] = true
	}
	for _, n := range b.sorted() {
		if n.Subject != nil && !named[n.desc.Digest] {
			entries = append(entries, n.entry())
		}
	}
	entries = append(entries, b.lists...)
	entries = append(entries, b.own)
	slices.SortFunc(entries, func(x, y ocispec.Descriptor) int {
		return cmp.Or(
			cmp.Compare(x.Annotations[ocispec.AnnotationRefName], y.Annotations[ocispec.AnnotationRefName]),
			cmp.Compare(x.Digest, y.Digest),
			cmp.Compare(x.Annotations[artifacttypes.AnnotationImageName], y.Annotations[artifacttypes.AnnotationImageName]),
		)
	})
	if len(entries) > limits.LayoutManifests {
		return nil, fmt.Errorf("an archive lists at most %d manifests, and this has %d", limits.LayoutManifests, len(entries))
	}
	raw, err := encodeIndex(entries, limits.LayoutIndexBytes, ocispec.ImageIndexFile)
	return append(raw, '\n'), err
}

// namedEntries returns an entry for each name of an artifact. Tags of one
// repository stand alone; those of several would mean different things.
func (b *builder) namedEntries() ([]ocispec.Descriptor, error) {
	repositories := map[string]bool{}
	for _, a := range b.in.Artifacts {
		repositories[a.Repository] = true
	}
	taken := map[string]bool{}
	for _, l := range b.lists {
		taken[l.Annotations[ocispec.AnnotationRefName]] = true
	}
	var entries []ocispec.Descriptor
	seen := map[string]bool{}
	for _, a := range b.in.Artifacts {
		if seen[a.name()] {
			continue
		}
		seen[a.name()] = true
		annotations := map[string]string{artifacttypes.AnnotationImageName: a.name()}
		if a.Tag != "" {
			ref := a.Tag
			if len(repositories) > 1 {
				ref = a.name()
			}
			if taken[ref] {
				return nil, fmt.Errorf("%s has the tag of a list of referrers", a.name())
			}
			annotations[ocispec.AnnotationRefName] = ref
		}
		e := b.manifests[a.Descriptor.Digest].desc
		e.ArtifactType, e.Annotations = b.manifests[a.Descriptor.Digest].ArtifactType, annotations
		entries = append(entries, e)
	}
	return entries, nil
}

// addOwn adds the manifest of the archive itself, with what it says of its
// contents.
func (b *builder) addOwn() error {
	contents := b.in.Contents
	contents.Artifacts = nil
	of := b.subjects()
	seen := map[string]bool{}
	for _, a := range b.in.Artifacts {
		if seen[a.name()] {
			continue
		}
		seen[a.name()] = true
		d := b.manifests[a.Descriptor.Digest].desc
		contents.Artifacts = append(contents.Artifacts, ContentsArtifact{
			Name: a.name(), Digest: d.Digest, MediaType: d.MediaType, Size: d.Size, Referrers: b.attached(d.Digest, of),
		})
	}
	raw, err := contents.Encode()
	if err != nil {
		return err
	}
	if len(raw) > limits.ArchiveContentsBytes {
		return &integrity.TooLargeError{What: "contents of the archive", Size: int64(len(raw)), Limit: limits.ArchiveContentsBytes}
	}
	return b.addOwnManifest(raw)
}

func (b *builder) addOwnManifest(contents []byte) error {
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: artifacttypes.ArtifactTypeArchive,
	}
	for _, part := range []struct {
		mediaType, file string
		raw             []byte
	}{
		{ocispec.MediaTypeEmptyJSON, "", ocispec.DescriptorEmptyJSON.Data},
		{artifacttypes.MediaTypeArchiveContents, "contents.json", contents},
		{artifacttypes.MediaTypeTrust, "trust.json", b.in.Trust},
		{artifacttypes.MediaTypePolicy, "policy.yaml", b.in.Policy},
	} {
		if part.raw == nil {
			continue
		}
		d := describe(part.mediaType, part.raw)
		if err := b.addBlob(BytesBlob(d, part.file, part.raw)); err != nil {
			return err
		}
		if part.file == "" {
			m.Config = d
			continue
		}
		d.Annotations = map[string]string{ocispec.AnnotationTitle: part.file}
		m.Layers = append(m.Layers, d)
	}
	raw, err := artifacttypes.Marshal(m)
	if err != nil {
		return err
	}
	b.own = describe(m.MediaType, raw)
	err = b.addManifest(b.own, raw)
	b.own.ArtifactType = m.ArtifactType
	return err
}
