package archive

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/store"
)

// Artifact is one of those that an archive was made to carry. Its names are claims
// of whoever made the archive: no policy is chosen by them.
type Artifact struct {
	Descriptor ocispec.Descriptor
	// Tags are what index.json calls it (org.opencontainers.image.ref.name): tags, or
	// full names where there are several repositories.
	Tags []string
	// Names are full names (io.containerd.image.name), and in archives of modseal
	// also those with a digest.
	Names []string
	// Labels are those of the tags and names by which Archive.Resolve finds it, tags
	// first: without those that another artifact has too.
	Labels []string
}

// Label returns what to call it in an archive: its first label, or its digest.
func (a Artifact) Label() string {
	if len(a.Labels) > 0 {
		return a.Labels[0]
	}
	return a.Descriptor.Digest.String()
}

// Artifacts returns what the archive carries, ordered by name and digest: what
// index.json names, and what it lists without a name and nothing explains, since it
// refers to nothing and no index has it.
func (a *Archive) Artifacts(ctx context.Context) ([]Artifact, error) {
	found := map[digest.Digest]*Artifact{}
	for _, e := range a.view.Entries() {
		if isNamed(e) && !store.IsReferrersList(e) {
			take(found, e)
		}
	}
	if a.own != nil {
		a.takeContents(found)
	} else if err := a.takeUnnamed(ctx, found); err != nil {
		return nil, err
	}
	list := make([]Artifact, 0, len(found))
	tags, names := a.owners(ocispec.AnnotationRefName), a.owners(artifacttypes.AnnotationImageName)
	for _, artifact := range found {
		a.label(artifact, tags, names)
		list = append(list, *artifact)
	}
	slices.SortFunc(list, func(x, y Artifact) int {
		return cmp.Or(cmp.Compare(x.Label(), y.Label()), cmp.Compare(x.Descriptor.Digest, y.Descriptor.Digest))
	})
	return list, nil
}

// label sorts the names of an artifact and takes those that are its alone.
func (a *Archive) label(artifact *Artifact, tags, names owners) {
	sorted := func(list []string) []string {
		slices.Sort(list)
		return slices.Compact(list)
	}
	artifact.Tags, artifact.Names = sorted(artifact.Tags), sorted(artifact.Names)
	d, taken := artifact.Descriptor.Digest, map[string]bool{}
	for _, tag := range artifact.Tags {
		if tags[tag] == d {
			taken[tag] = true
			artifact.Labels = append(artifact.Labels, tag)
		}
	}
	for _, name := range artifact.Names {
		if owner, isTag := tags[name]; names[name] == d && (!isTag || owner == d) && !taken[name] {
			artifact.Labels = append(artifact.Labels, name)
		}
	}
}

// owners are the digests that names of index.json stand for, and no digest for
// names that stand for several.
type owners map[string]digest.Digest

func (a *Archive) owners(key string) owners {
	o := owners{}
	for _, e := range a.view.Entries() {
		name := e.Annotations[key]
		if name == "" {
			continue
		}
		if d, known := o[name]; known && d != e.Digest {
			o[name] = ""
			continue
		}
		o[name] = e.Digest
	}
	return o
}

func take(found map[digest.Digest]*Artifact, e ocispec.Descriptor) *Artifact {
	artifact := found[e.Digest]
	if artifact == nil {
		artifact = &Artifact{Descriptor: ocispec.Descriptor{MediaType: e.MediaType, Digest: e.Digest, Size: e.Size}}
		found[e.Digest] = artifact
	}
	if tag := e.Annotations[ocispec.AnnotationRefName]; tag != "" {
		artifact.Tags = append(artifact.Tags, tag)
	}
	if name := e.Annotations[artifacttypes.AnnotationImageName]; name != "" {
		artifact.Names = append(artifact.Names, name)
	}
	return artifact
}

// takeContents takes what the archive says that it carries. It fits index.json.
func (a *Archive) takeContents(found map[digest.Digest]*Artifact) {
	for _, c := range a.own.contents.Artifacts {
		artifact := take(found, ocispec.Descriptor{MediaType: c.MediaType, Digest: c.Digest, Size: c.Size})
		if c.Name != "" {
			artifact.Names = append(artifact.Names, c.Name)
		}
	}
}

// takeUnnamed takes what an archive of another tool lists without a name.
func (a *Archive) takeUnnamed(ctx context.Context, found map[digest.Digest]*Artifact) error {
	explained := map[digest.Digest]bool{}
	var unnamed []ocispec.Descriptor
	for _, e := range a.view.Entries() {
		if !store.IsManifest(e.MediaType) || store.IsReferrersList(e) {
			continue
		}
		links, err := a.view.Links(ctx, e)
		if err != nil {
			return err
		}
		for _, child := range links.Children {
			explained[child.Digest] = true
		}
		if links.Subject == nil && !isNamed(e) {
			unnamed = append(unnamed, e)
		}
	}
	for _, e := range unnamed {
		if !explained[e.Digest] {
			take(found, e)
		}
	}
	return nil
}

func isNamed(e ocispec.Descriptor) bool {
	return e.Annotations[ocispec.AnnotationRefName] != "" || e.Annotations[artifacttypes.AnnotationImageName] != ""
}

// Absent is a blob that a manifest of the archive names and that is not in it.
type Absent struct {
	Descriptor ocispec.Descriptor
	Manifest   digest.Digest // the first that names it
	// Omitted is what the archive says of it, a claim; nil when it says nothing.
	Omitted *Omitted
}

// Missing returns the blobs that manifests of the archive name and that are not in
// it, in the order in which index.json leads to them. Children of an index that are
// not there, as of other platforms, are no blobs and not listed.
func (a *Archive) Missing(ctx context.Context) ([]Absent, error) {
	w := &walk{archive: a, seen: map[digest.Digest]bool{}, blobs: map[digest.Digest]bool{}, omitted: map[digest.Digest]*Omitted{}}
	if a.own != nil {
		for i := range a.own.contents.Omitted {
			o := &a.own.contents.Omitted[i]
			w.omitted[o.Digest] = o
		}
	}
	for _, e := range a.view.Entries() {
		if store.IsManifest(e.MediaType) && !store.IsReferrersList(e) {
			if err := w.manifest(ctx, e, 0); err != nil {
				return nil, err
			}
		}
	}
	return w.missing, nil
}

// walk goes through all manifests of an archive, each once.
type walk struct {
	archive     *Archive
	seen, blobs map[digest.Digest]bool
	omitted     map[digest.Digest]*Omitted
	missing     []Absent
}

func (w *walk) manifest(ctx context.Context, desc ocispec.Descriptor, depth int) error {
	if w.seen[desc.Digest] {
		return nil
	}
	w.seen[desc.Digest] = true
	if depth > limits.ReferrerDepth {
		return fmt.Errorf("manifest %s: more than %d levels of indexes", desc.Digest, limits.ReferrerDepth)
	}
	links, err := w.archive.view.Links(ctx, desc)
	if err != nil {
		return err
	}
	for _, b := range links.Blobs {
		w.blob(desc.Digest, b)
	}
	for _, child := range links.Children {
		if _, there := w.archive.blobs.get(child.Digest); !there || !store.IsManifest(child.MediaType) {
			continue
		}
		if err := w.manifest(ctx, child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) blob(manifest digest.Digest, b ocispec.Descriptor) {
	if w.blobs[b.Digest] {
		return
	}
	w.blobs[b.Digest] = true
	if at, there := w.archive.blobs.get(b.Digest); !there || at.size != b.Size {
		w.missing = append(w.missing, Absent{Descriptor: b, Manifest: manifest, Omitted: w.omitted[b.Digest]})
	}
}
