package materialize

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// Member is one file of a tar layer.
type Member struct {
	Path   string
	Digest digest.Digest
}

// Members lists the files of a tar layer with their SHA-256. It reads the layer
// once, checks it against its digest, and writes nothing: it is for signing what
// is stored already.
func Members(ctx context.Context, src Source, l artifacttypes.Layer) ([]Member, error) {
	name := label(l)
	rc, err := src.Fetch(ctx, l.Descriptor)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer rc.Close()
	blob := integrity.NewReader(contextReader{ctx, rc}, l.Descriptor, name)
	members, err := listMembers(ctx, l, blob)
	if verdict := copyBytes(ctx, io.Discard, blob); verdict != nil {
		return nil, named(name, verdict)
	}
	if err != nil {
		return nil, named(name, err)
	}
	return members, nil
}

func listMembers(ctx context.Context, l artifacttypes.Layer, blob io.Reader) ([]Member, error) {
	stream, err := decompress(l, blob)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	paths := artifacttypes.NewPathSet()
	var out []Member
	for reader := tar.NewReader(stream); ; {
		h, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return out, onlyZeros(ctx, stream)
		}
		if err != nil {
			return nil, err
		}
		isFile, err := checkEntry(h)
		if err != nil {
			return nil, err
		}
		if !isFile {
			continue
		}
		if err := paths.Add(h.Name); err != nil {
			return nil, err
		}
		if len(out) == limits.Files {
			return nil, fmt.Errorf("%w: more than %d files", ErrUnsafeArchive, limits.Files)
		}
		sum := digest.SHA256.Hash()
		if err := copyBytes(ctx, sum, reader); err != nil {
			return nil, fmt.Errorf("member %q: %w", h.Name, err)
		}
		out = append(out, Member{Path: h.Name, Digest: digest.NewDigest(digest.SHA256, sum)})
	}
}
