package archive

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/store"
)

// own is the archive's own manifest: what it says of itself.
type own struct {
	descriptor ocispec.Descriptor
	contents   *Contents
	trust      *ocispec.Descriptor
	policy     *ocispec.Descriptor
}

// Manifest returns the archive's own manifest, and false for an archive of another
// tool, which has none.
func (a *Archive) Manifest() (ocispec.Descriptor, bool) {
	if a.own == nil {
		return ocispec.Descriptor{}, false
	}
	return a.own.descriptor, true
}

// Contents returns what the archive says of itself, and false for an archive of
// another tool. It fits index.json, and is a claim of whoever made the archive.
func (a *Archive) Contents() (*Contents, bool) {
	if a.own == nil {
		return nil, false
	}
	return a.own.contents, true
}

// Trust returns the trust material that the archive carries, and false when it
// carries none. That it came with the archive is no reason to believe it.
func (a *Archive) Trust() (raw []byte, ok bool, err error) {
	if a.own == nil || a.own.trust == nil {
		return nil, false, nil
	}
	raw, err = a.fetchSmall(*a.own.trust, limits.TrustFileBytes, "trust material")
	return raw, err == nil, err
}

// Policy returns the policy that the archive carries, and false when it carries
// none. That it came with the archive is no reason to follow it.
func (a *Archive) Policy() (raw []byte, ok bool, err error) {
	if a.own == nil || a.own.policy == nil {
		return nil, false, nil
	}
	raw, err = a.fetchSmall(*a.own.policy, limits.PolicyBytes, "policy")
	return raw, err == nil, err
}

// readOwn reads the archive's own manifest, if index.json has one.
func (a *Archive) readOwn(ctx context.Context) (*own, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var desc ocispec.Descriptor
	for _, e := range a.view.Entries() {
		if e.ArtifactType != artifacttypes.ArtifactTypeArchive {
			continue
		}
		if desc.Digest != "" && desc.Digest != e.Digest {
			return nil, fmt.Errorf("it names two manifests that say what the archive holds, %s and %s", desc.Digest, e.Digest)
		}
		desc = ocispec.Descriptor{MediaType: e.MediaType, Digest: e.Digest, Size: e.Size}
	}
	if desc.Digest == "" {
		return nil, nil //nolint:nilnil // other tools write none
	}
	o, err := a.parseOwn(desc)
	if err == nil {
		err = a.checkContents(o.contents)
	}
	if err != nil {
		return nil, fmt.Errorf("the archive's own manifest %s: %w", desc.Digest, err)
	}
	return o, nil
}

func (a *Archive) parseOwn(desc ocispec.Descriptor) (*own, error) {
	raw, err := a.fetchSmall(desc, artifacttypes.MaxManifestBytes, "its own manifest")
	if err != nil {
		return nil, err
	}
	m, err := artifacttypes.DecodeManifest(raw)
	if err != nil {
		return nil, err
	}
	switch {
	case desc.MediaType != ocispec.MediaTypeImageManifest:
		return nil, fmt.Errorf("its media type is %q", desc.MediaType)
	case m.ArtifactType != artifacttypes.ArtifactTypeArchive:
		return nil, fmt.Errorf("its artifact type is %q", m.ArtifactType)
	case m.Subject != nil:
		return nil, errors.New("it refers to another manifest")
	}
	o := &own{descriptor: desc}
	for i, layer := range m.Layers {
		if err := a.checkEntry(layer); err != nil {
			return nil, fmt.Errorf("layer %d: %w", i, err)
		}
		if err := o.take(a, layer); err != nil {
			return nil, fmt.Errorf("layer %d: %w", i, err)
		}
	}
	if o.contents == nil {
		return nil, errors.New("it says nothing of the contents")
	}
	return o, nil
}

// take takes a layer. Of which kind it knows nothing, it leaves alone.
func (o *own) take(a *Archive, layer ocispec.Descriptor) error {
	twice := errors.New("there are two of this kind")
	switch layer.MediaType {
	case artifacttypes.MediaTypeArchiveContents:
		if o.contents != nil {
			return twice
		}
		raw, err := a.fetchSmall(layer, limits.ArchiveContentsBytes, "its contents")
		if err != nil {
			return err
		}
		o.contents, err = ParseContents(raw)
		return err
	case artifacttypes.MediaTypeTrust:
		if o.trust != nil {
			return twice
		}
		o.trust = &layer
	case artifacttypes.MediaTypePolicy:
		if o.policy != nil {
			return twice
		}
		o.policy = &layer
	}
	return nil
}

// checkContents refuses an archive that says something else of itself than its
// index: who reads the one and who reads the other must see the same artifacts.
func (a *Archive) checkContents(c *Contents) error {
	type name struct {
		digest digest.Digest
		name   string
	}
	listed, in := map[name]bool{}, a.listing()
	for _, artifact := range c.Artifacts {
		listed[name{artifact.Digest, artifact.Name}] = true
		listed[name{artifact.Digest, ""}] = true
		if err := checkArtifact(artifact, in); err != nil {
			return fmt.Errorf("%q: %w", artifact.Name, err)
		}
	}
	for _, e := range a.view.Entries() {
		if !isNamed(e) || store.IsReferrersList(e) {
			continue
		}
		if !listed[name{e.Digest, e.Annotations[artifacttypes.AnnotationImageName]}] {
			return fmt.Errorf("index.json has %q, %s, and it does not", e.Annotations[ocispec.AnnotationRefName], e.Digest)
		}
		// A full name may stand in the place of a tag; checkNames looked at tags.
		tag, full := e.Annotations[ocispec.AnnotationRefName], e.Annotations[artifacttypes.AnnotationImageName]
		if tag != "" && tag != full && (full == "" || strings.ContainsAny(tag, "/:@")) {
			return fmt.Errorf("index.json has %q, %s, and it knows that as %q", tag, e.Digest, full)
		}
	}
	return nil
}

// listedAs is what index.json says of a digest, in one or several entries.
type listedAs struct {
	mediaType string
	size      int64
	names     map[string]bool
	called    string // one of the names
	conflict  bool   // the entries do not agree
}

// listing collects once what index.json says: an artifact may have as many names
// as there are entries.
func (a *Archive) listing() map[digest.Digest]*listedAs {
	list := make(map[digest.Digest]*listedAs, len(a.entries))
	for _, e := range a.view.Entries() {
		l := list[e.Digest]
		if l == nil {
			l = &listedAs{mediaType: e.MediaType, size: e.Size}
			list[e.Digest] = l
		}
		l.conflict = l.conflict || e.MediaType != l.mediaType || e.Size != l.size
		if n := e.Annotations[artifacttypes.AnnotationImageName]; n != "" {
			if l.names == nil {
				l.names = map[string]bool{}
			}
			l.names[n], l.called = true, n
		}
	}
	return list
}

func checkArtifact(artifact ContentsArtifact, listed map[digest.Digest]*listedAs) error {
	l := listed[artifact.Digest]
	switch {
	case l == nil:
		return fmt.Errorf("index.json does not have %s", artifact.Digest)
	case l.conflict:
		return errors.New("entries of index.json contradict each other about it")
	case l.mediaType != artifact.MediaType || l.size != artifact.Size:
		return fmt.Errorf("it is %q with %d bytes, and %q with %d in index.json", artifact.MediaType, artifact.Size, l.mediaType, l.size)
	}
	byDigest := strings.HasSuffix(artifact.Name, "@"+artifact.Digest.String())
	if l.called != "" && !l.names[artifact.Name] && !byDigest {
		return fmt.Errorf("index.json calls it %q", l.called)
	}
	for _, r := range artifact.Referrers {
		if listed[r] == nil {
			return fmt.Errorf("index.json does not have its referrer %s", r)
		}
	}
	return nil
}
