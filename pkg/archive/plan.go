package archive

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/partial"
)

// Input is what goes into an archive, in any order; what is there twice counts
// once.
type Input struct {
	Artifacts []InputArtifact
	Manifests []InputManifest // of all artifacts, their children and referrers
	Blobs     []InputBlob
	// Contents has Tool, Omitted and Bases; Artifacts is made from the above. A blob
	// that is there is not omitted.
	Contents Contents
	Trust    []byte // material that the archive carries; nil for none
	Policy   []byte // a policy that the archive carries; nil for none
}

// InputArtifact is an artifact that an archive is made to carry.
type InputArtifact struct {
	Descriptor ocispec.Descriptor
	Repository string // host/repository
	Tag        string // empty when it was asked for by digest
}

func (a InputArtifact) name() string {
	if a.Tag == "" {
		return a.Repository + "@" + a.Descriptor.Digest.String()
	}
	return a.Repository + ":" + a.Tag
}

// InputManifest is a manifest with its bytes.
type InputManifest struct {
	Descriptor ocispec.Descriptor
	Raw        []byte
}

// InputBlob is a blob and the way to its bytes.
type InputBlob struct {
	Descriptor ocispec.Descriptor
	Name       string // for people
	// Bring writes what to lacks, and tells moved of bytes as they come. Nobody
	// need check them.
	Bring func(ctx context.Context, to *partial.File, moved func(int64)) error
	// Rejected is called when what came was not the blob, and reports whether there
	// is another way to bring it; nil means no.
	Rejected func() bool

	raw []byte // when they are in memory
}

// FileBlob is a blob that is a file, as in a layout.
func FileBlob(desc ocispec.Descriptor, name string, open func() (*os.File, error)) InputBlob {
	return InputBlob{Descriptor: desc, Name: name, Bring: func(ctx context.Context, to *partial.File, moved func(int64)) error {
		src, err := open()
		if err != nil {
			return err
		}
		defer src.Close()
		return to.CopyFrom(ctx, src, moved)
	}}
}

// ReaderBlob is a blob of which any part can be read, as in another archive.
func ReaderBlob(desc ocispec.Descriptor, name string, src io.ReaderAt) InputBlob {
	return InputBlob{Descriptor: desc, Name: name, Bring: func(ctx context.Context, to *partial.File, moved func(int64)) error {
		return to.TakeAt(ctx, src, moved)
	}}
}

// BytesBlob is a blob in memory.
func BytesBlob(desc ocispec.Descriptor, name string, raw []byte) InputBlob {
	return InputBlob{Descriptor: desc, Name: name, raw: raw}
}

// Plan is an archive before it is written: where each of its bytes will lie. The
// same input gives the same plan.
type Plan struct {
	digest    digest.Digest // of the archive's own manifest; empty for a copy
	tape      tape
	manifests int
}

// Digest returns the digest of the archive's own manifest.
func (p *Plan) Digest() digest.Digest { return p.digest }

// Size returns the size of the archive in bytes.
func (p *Plan) Size() int64 { return p.tape.size }

// Blobs returns how many blobs are to be brought, and of how many bytes.
func (p *Plan) Blobs() (n int, size int64) {
	for _, b := range p.tape.blobs {
		size += b.Descriptor.Size
	}
	return len(p.tape.blobs), size
}

// Manifests returns how many manifests there are, the archive's own and lists of
// referrers among them.
func (p *Plan) Manifests() int { return p.manifests }

// IncompleteError says that a manifest names something that is not to be in the
// archive, and is not omitted either.
type IncompleteError struct {
	Manifest digest.Digest
	Names    ocispec.Descriptor
}

func (e *IncompleteError) Error() string {
	return fmt.Sprintf("manifest %s names %s (%s), which is not there", e.Manifest, e.Names.Digest, e.Names.MediaType)
}

// NewPlan lays out an archive. It fails with a *IncompleteError when a manifest
// names what is not there, and with a *integrity.Error when a manifest has other
// bytes than its descriptor says.
func NewPlan(in Input) (*Plan, error) {
	b := &builder{in: in, blobs: map[digest.Digest]InputBlob{}, manifests: map[digest.Digest]*node{}}
	for _, step := range []func() error{b.takeManifests, b.takeBlobs, b.checkNames, b.checkGraph, b.addLists, b.addOwn} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return b.layOut()
}

// builder makes a plan.
type builder struct {
	in        Input
	blobs     map[digest.Digest]InputBlob
	manifests map[digest.Digest]*node
	lists     []ocispec.Descriptor // fallback-tag indexes, as index.json has them
	own       ocispec.Descriptor   // the archive's own manifest, likewise
}

func (b *builder) takeManifests() error {
	for _, m := range b.in.Manifests {
		if err := b.addManifest(m.Descriptor, m.Raw); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) addManifest(desc ocispec.Descriptor, raw []byte) error {
	if _, known := b.manifests[desc.Digest]; known {
		return nil
	}
	if _, err := integrity.ReadAll(bytes.NewReader(raw), desc, limits.ReferrerListBytes, "manifest"); err != nil {
		return err
	}
	n, err := parseNode(desc, raw)
	if err != nil {
		return fmt.Errorf("manifest %s: %w", desc.Digest, err)
	}
	b.manifests[desc.Digest] = n
	return nil
}

func (b *builder) takeBlobs() error {
	for _, blob := range b.in.Blobs {
		if err := b.addBlob(blob); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) addBlob(blob InputBlob) error {
	d := blob.Descriptor
	if err := artifacttypes.ValidateDescriptor(d); err != nil {
		return fmt.Errorf("blob %s: %w", blob.Name, err)
	}
	if m, is := b.manifests[d.Digest]; is {
		return b.sameSize(d, m.desc.Size)
	}
	if other, known := b.blobs[d.Digest]; known {
		return b.sameSize(d, other.Descriptor.Size)
	}
	if blob.Bring == nil {
		if _, err := integrity.ReadAll(bytes.NewReader(blob.raw), d, d.Size, blob.Name); err != nil {
			return err
		}
	}
	if len(b.blobs)+len(b.manifests) >= limits.ArchiveEntries {
		return fmt.Errorf("an archive holds at most %d blobs and manifests", limits.ArchiveEntries)
	}
	b.blobs[d.Digest] = blob
	return nil
}

func (b *builder) sameSize(d ocispec.Descriptor, size int64) error {
	if d.Size != size {
		return &integrity.Error{What: "blob", Want: d.Digest, WantSize: size, GotSize: d.Size}
	}
	return nil
}

// checkNames refuses artifacts that are not there, and one name for two of them.
func (b *builder) checkNames() error {
	names := map[string]digest.Digest{}
	for _, a := range b.in.Artifacts {
		if _, there := b.manifests[a.Descriptor.Digest]; !there {
			return fmt.Errorf("%s: its manifest %s is not there", a.name(), a.Descriptor.Digest)
		}
		if other, taken := names[a.name()]; taken && other != a.Descriptor.Digest {
			return fmt.Errorf("%s is %s and %s at once", a.name(), other, a.Descriptor.Digest)
		}
		names[a.name()] = a.Descriptor.Digest
	}
	return nil
}
