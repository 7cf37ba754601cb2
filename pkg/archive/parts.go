package archive

import (
	"crypto/sha256"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
)

// Parts is FILE.parts.json: the files into which an archive is split, whose bytes
// one behind the other are the archive.
type Parts struct {
	MediaType string        `json:"mediaType"` // artifacttypes.MediaTypeArchiveParts
	Set       digest.Digest `json:"set"`       // see ID
	Size      int64         `json:"size"`      // of all parts together
	PartSize  int64         `json:"partSize"`  // of each part but the last, which may be smaller
	Parts     []Part        `json:"parts"`
}

// Part is one file of a split archive, in the directory of FILE.parts.json.
type Part struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // in hex, as sha256sum prints it
}

// ID returns the name of the set: the SHA-256 over a line with sum, size and name
// for each part.
func (p *Parts) ID() digest.Digest {
	h := sha256.New()
	for _, e := range p.Parts {
		fmt.Fprintf(h, "%s %d %s\n", e.SHA256, e.Size, e.Name)
	}
	return digest.NewDigest(digest.SHA256, h)
}

// Encode returns the bytes of the file.
func (p *Parts) Encode() ([]byte, error) {
	raw, err := artifacttypes.Marshal(p)
	return append(raw, '\n'), err
}

// PartName returns the name of part i, from 0, of an archive that is called base.
func PartName(base string, i int) string { return fmt.Sprintf("%s.%03d", base, i) }

// PartsName returns the name of the list of parts of an archive that is called base.
func PartsName(base string) string { return base + ".parts.json" }
