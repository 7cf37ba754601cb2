package pack

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	modelspec "github.com/modelpack/model-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/digestcache"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/modelfile"
	"github.com/modseal/modseal/pkg/source"
)

// ErrManifestTooLarge means that a registry would refuse the manifest.
var ErrManifestTooLarge = errors.New("manifest too large")

// Options change what [Pack] writes. The zero value groups small files only in
// models of more than [DefaultGroupAbove] files and writes no time.
type Options struct {
	// Created is written as the creation time of config and manifest, and as
	// the mtime of every file; nil writes none, and the Unix epoch as mtime.
	Created *time.Time
	// Overrides are what the user says of the model, above what its files say.
	Overrides Overrides
	// GroupAbove is the number of files from which small ones are grouped into
	// one tar per role; 0 means [DefaultGroupAbove], negative never.
	GroupAbove int
	// GroupBelow is the size in bytes below which a file counts as small;
	// 0 means [DefaultGroupBelow].
	GroupBelow int64
	// Concurrency is how many layers are ingested at once; 0 means
	// [DefaultConcurrency], more than [MaxConcurrency] that.
	Concurrency int
	// Digests are remembered from one call to the next, so that files which were
	// not touched since need not be read; nil remembers nothing.
	Digests *digestcache.Cache
	// Planned is told before the first layer is ingested how many there are, and
	// how many bytes they have together; nil is told nothing.
	Planned func(layers int, bytes int64)
}

// Defaults of [Options].
const (
	// DefaultGroupAbove keeps one layer a file for every model people publish
	// today, and keeps the manifest (about 600 bytes a layer) far below 4 MiB.
	DefaultGroupAbove = 1000
	DefaultGroupBelow = 1 << 20
	// DefaultConcurrency hides the latency of a registry without asking more
	// than browsers do of a host.
	DefaultConcurrency = 4
	// MaxConcurrency is more than helps any registry that was measured.
	MaxConcurrency = 8
)

// Artifact is a packed model. Its layers are where the Ingester put them; its
// config and manifest are here, for the caller to store.
type Artifact struct {
	Descriptor ocispec.Descriptor // of the manifest
	Manifest   []byte
	Config     []byte
	ConfigDesc ocispec.Descriptor
	Files      []File // every file, ascending by path
	// Facts is what the files say of the model, below what the user says.
	Facts *modelfile.Facts
	// Unread is how many bytes of layers were not read, since their digests were
	// remembered and they were where they go.
	Unread   int64
	Warnings []string
}

// File is one packed file and the digest of its content, which is also the
// digest of its layer unless the file lies in a grouping tar.
type File struct {
	Path   string
	Digest digest.Digest
	Size   int64
}

// Pack stores the files of tree through into and describes them.
func Pack(ctx context.Context, tree *source.Tree, into ingest.Ingester, o Options) (*Artifact, error) {
	facts, err := inspect(ctx, tree)
	if err != nil {
		return nil, err
	}
	model, err := describe(facts, o)
	if err != nil {
		return nil, err
	}
	plan := group(tree.Files, o)
	if err := plan.ingest(ctx, into, o); err != nil {
		return nil, err
	}
	layers, err := plan.descriptors(o.mtime())
	if err != nil {
		return nil, err
	}
	config, err := encodeConfig(model, layers)
	if err != nil {
		return nil, err
	}
	a := &Artifact{Config: config, Files: plan.files(), Facts: facts, Unread: plan.unread(), Warnings: facts.Notes()}
	if model.Config.Format == "" {
		a.Warnings = append(a.Warnings, "no weight file of a known format was found")
	}
	a.ConfigDesc = ocispec.Descriptor{
		MediaType: artifacttypes.MediaTypeModelConfig,
		Digest:    digest.FromBytes(config),
		Size:      int64(len(config)),
	}
	return a, a.seal(layers, annotations(model, facts, o))
}

// seal writes the manifest.
func (a *Artifact) seal(layers []ocispec.Descriptor, annotations map[string]string) error {
	manifest, err := artifacttypes.Marshal(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: artifacttypes.ArtifactTypeModel,
		Config:       a.ConfigDesc,
		Layers:       layers,
		Annotations:  annotations,
	})
	if err != nil {
		return err
	}
	if len(manifest) > artifacttypes.MaxManifestBytesWritten {
		return fmt.Errorf("%w: %d bytes for %d layers, registries take %d; put small files into fewer, larger ones",
			ErrManifestTooLarge, len(manifest), len(layers), artifacttypes.MaxManifestBytesWritten)
	}
	// What is written must be readable: a model that its own reader refuses
	// would only be found out by whoever pulls it.
	if _, err := artifacttypes.ParseManifest(manifest); err != nil {
		return err
	}
	a.Manifest = manifest
	a.Descriptor = ocispec.Descriptor{
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: artifacttypes.ArtifactTypeModel,
		Digest:       digest.FromBytes(manifest),
		Size:         int64(len(manifest)),
	}
	return nil
}

func (o Options) mtime() time.Time {
	if o.Created != nil {
		return *o.Created
	}
	return time.Unix(0, 0)
}

func (p plan) descriptors(mtime time.Time) ([]ocispec.Descriptor, error) {
	out := make([]ocispec.Descriptor, len(p))
	for i, l := range p {
		d := ocispec.Descriptor{MediaType: l.descriptor.MediaType, Digest: l.descriptor.Digest, Size: l.descriptor.Size}
		d.Annotations = map[string]string{
			artifacttypes.AnnotationFilePath: l.path,
			// CRI-O looks at the title first, oras at nothing else.
			ocispec.AnnotationTitle:          l.path,
			artifacttypes.AnnotationUntested: "true",
		}
		executable := false
		if l.encoding == artifacttypes.EncodingRaw {
			executable = l.members[0].Executable
			if l.members[0].Proven {
				d.Annotations[artifacttypes.AnnotationUntested] = "false"
			}
		}
		meta, err := artifacttypes.NewFileMetadata(l.path, d.Size, executable, mtime).Encode()
		if err != nil {
			return nil, err
		}
		d.Annotations[artifacttypes.AnnotationFileMetadata] = meta
		out[i] = d
	}
	return out, nil
}

func (p plan) files() []File {
	var out []File
	for _, l := range p {
		for i, f := range l.members {
			out = append(out, File{Path: f.Path, Digest: l.digests[i], Size: f.Size})
		}
	}
	sortBy(out, func(f File) string { return f.Path })
	return out
}

// Store puts config and manifest of a into dst. The caller tags, when all that
// belongs to the artifact is there.
func (a *Artifact) Store(ctx context.Context, dst interface {
	Push(ctx context.Context, expected ocispec.Descriptor, content io.Reader) error
},
) error {
	if err := dst.Push(ctx, a.ConfigDesc, bytes.NewReader(a.Config)); err != nil {
		return err
	}
	return dst.Push(ctx, a.Descriptor, bytes.NewReader(a.Manifest))
}

// annotations returns the manifest's annotations: what the config says, in the
// predefined keys of OCI for those who read no config, then what the user says.
func annotations(model *modelspec.Model, facts *facts, o Options) map[string]string {
	m := map[string]string{}
	set := func(key, value string) {
		if value != "" {
			m[key] = value
		}
	}
	d := model.Descriptor
	set(ocispec.AnnotationTitle, cmp.Or(d.Title, d.Name))
	set(ocispec.AnnotationVersion, d.Version)
	set(ocispec.AnnotationVendor, d.Vendor)
	set(ocispec.AnnotationDescription, d.Description)
	set(ocispec.AnnotationAuthors, strings.Join(d.Authors, ", "))
	set(ocispec.AnnotationLicenses, strings.Join(d.Licenses, " AND "))
	set(ocispec.AnnotationDocumentation, d.DocURL)
	set(ocispec.AnnotationSource, d.SourceURL)
	set(ocispec.AnnotationRevision, d.Revision)
	set(artifacttypes.AnnotationBaseModel, strings.Join(facts.BaseModels, ", "))
	set(artifacttypes.AnnotationBaseModelRelation, facts.BaseModelRelation)
	if o.Created != nil {
		set(ocispec.AnnotationCreated, o.Created.UTC().Format(time.RFC3339))
	}
	for k, v := range o.Overrides.Annotations {
		if v == "" {
			delete(m, k)
			continue
		}
		m[k] = v
	}
	if len(m) == 0 {
		return nil
	}
	return m
}
