package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// ParseParts reads FILE.parts.json strictly: what it returns is a list of parts
// whose names are files of one directory, whose sizes add up, and whose digest is
// the one that it says.
func ParseParts(raw []byte) (*Parts, error) {
	if len(raw) > limits.ArchivePartsBytes {
		return nil, fmt.Errorf("it has %d bytes, more than %d", len(raw), limits.ArchivePartsBytes)
	}
	var p Parts
	if err := decodeStrict(raw, &p); err != nil {
		return nil, err
	}
	switch {
	case p.MediaType != artifacttypes.MediaTypeArchiveParts:
		return nil, fmt.Errorf("media type %q is not %q", p.MediaType, artifacttypes.MediaTypeArchiveParts)
	case len(p.Parts) == 0:
		return nil, errors.New("it lists no parts")
	case len(p.Parts) > limits.ArchiveParts:
		return nil, fmt.Errorf("it lists %d parts, more than %d", len(p.Parts), limits.ArchiveParts)
	case p.Size < 0 || p.Size > maxArchiveBytes || p.PartSize <= 0 || p.PartSize > maxArchiveBytes:
		return nil, fmt.Errorf("its sizes, %d and %d bytes, are those of no archive", p.Size, p.PartSize)
	}
	base, ok := strings.CutSuffix(p.Parts[0].Name, PartName("", 0))
	if !ok || !isBaseName(base) {
		return nil, fmt.Errorf("part 0 is called %q, which is no file of this directory that ends with %s", p.Parts[0].Name, PartName("", 0))
	}
	left := p.Size
	for i, part := range p.Parts {
		if err := part.check(PartName(base, i), min(p.PartSize, left)); err != nil {
			return nil, fmt.Errorf("part %d: %w", i, err)
		}
		left -= part.Size
	}
	if left != 0 {
		return nil, fmt.Errorf("its parts have %d bytes together, and should have %d", p.Size-left, p.Size)
	}
	if set := p.ID(); set != p.Set {
		return nil, fmt.Errorf("it says that it is the set %q, and its parts are %s", p.Set, set)
	}
	return &p, nil
}

// maxArchiveBytes bounds the size of an archive, so that what is counted with it
// stays a number.
const maxArchiveBytes = limits.ArchiveParts * artifacttypes.MaxBlobBytes

func (p Part) check(name string, size int64) error {
	switch {
	case p.Name != name:
		return fmt.Errorf("it is called %q and not %q", p.Name, name)
	case p.Size != size || size == 0:
		return fmt.Errorf("it has %d bytes and should have %d", p.Size, size)
	}
	return artifacttypes.ValidateDigest(digest.NewDigestFromEncoded(digest.SHA256, p.SHA256))
}

// isBaseName reports whether name is that of a file in a directory, on every
// system.
func isBaseName(name string) bool {
	return name != "" && artifacttypes.ValidatePath(name) == nil && filepath.Base(name) == name && !strings.Contains(name, "/")
}

// decodeStrict reads JSON without fields that are not known and without anything
// behind it.
func decodeStrict(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows its end")
	}
	return nil
}
