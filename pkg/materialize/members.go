package materialize

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// Member is one file in a tar layer.
type Member struct {
	Path   string
	Size   int64
	Offset int64 // of its first byte, from the start of the layer as it is unpacked
	Digest digest.Digest
}

// Members lists the files of the tar layers among layers, which are all layers
// of one model, with their SHA-256. Of the raw layers only the paths count: what
// is listed can live beside them. It reads each tar layer once, checks it
// against its digest, and writes nothing: it is for signing what is stored
// already.
func Members(ctx context.Context, src Source, layers []artifacttypes.Layer) ([]Member, error) {
	g := &gathering{paths: artifacttypes.NewPathSet()}
	for _, l := range layers {
		if l.Encoding != artifacttypes.EncodingRaw {
			continue
		}
		if err := g.addPath(l.Path); err != nil {
			return nil, err
		}
		if err := g.count(); err != nil {
			return nil, err
		}
	}
	for _, l := range layers {
		if l.Encoding == artifacttypes.EncodingRaw {
			continue
		}
		if err := g.layer(ctx, src, l); err != nil {
			return nil, err
		}
	}
	return g.members, nil
}

// gathering lists the members of a model. Its bounds are those of the model: a
// bound on each layer would be none, since a model has thousands.
type gathering struct {
	paths     *artifacttypes.PathSet
	pathBytes int
	entries   int // raw layers, and entries of tar layers that are no files too
	members   []Member
}

func (g *gathering) addPath(name string) error {
	if g.pathBytes += len(name); g.pathBytes > limits.PathBytes {
		return fmt.Errorf("%w: the paths of the model have more than %d bytes", ErrUnsafeArchive, limits.PathBytes)
	}
	return g.paths.Add(name)
}

func (g *gathering) count() error {
	if g.entries++; g.entries > limits.Files {
		return fmt.Errorf("%w: with it the model has more than %d files and entries of tar layers", ErrUnsafeArchive, limits.Files)
	}
	return nil
}

func (g *gathering) layer(ctx context.Context, src Source, l artifacttypes.Layer) error {
	name := label(l)
	rc, err := src.Fetch(ctx, l.Descriptor)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer rc.Close()
	blob := integrity.NewReader(ingest.ContextReader(ctx, rc), l.Descriptor, name)
	err = g.list(ctx, l, blob)
	if verdict := copyBytes(ctx, io.Discard, blob); verdict != nil {
		return named(name, verdict)
	}
	if err != nil {
		return named(name, err)
	}
	return nil
}

func (g *gathering) list(ctx context.Context, l artifacttypes.Layer, blob io.Reader) error {
	stream, err := decompress(l, blob)
	if err != nil {
		return err
	}
	defer stream.Close()
	at := &counting{r: stream}
	for reader := tar.NewReader(at); ; {
		h, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return onlyZeros(ctx, stream)
		}
		if err != nil {
			return damaged(err)
		}
		if err := g.count(); err != nil {
			return err
		}
		isFile, err := checkEntry(h)
		if err != nil {
			return err
		}
		if !isFile {
			continue
		}
		if err := g.addPath(h.Name); err != nil {
			return err
		}
		offset := at.n // the reader of tar reads no further than the header
		sum := digest.SHA256.Hash()
		if err := copyBytes(ctx, sum, archived{reader}); err != nil {
			return fmt.Errorf("member %q: %w", h.Name, err)
		}
		g.members = append(g.members, Member{Path: h.Name, Size: h.Size, Offset: offset, Digest: digest.NewDigest(digest.SHA256, sum)})
	}
}

// counting counts the bytes that were read.
type counting struct {
	r io.Reader
	n int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
