package inventory

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// document is the inventory as JSON.
type document struct {
	MediaType string     `json:"mediaType"`
	Artifacts []Artifact `json:"artifacts"`
	Blobs     []Blob     `json:"blobs"`
}

// MarshalJSON implements json.Marshaler. The result has no times in it: the same
// site gives the same bytes.
func (inv *Inventory) MarshalJSON() ([]byte, error) {
	if inv.lines != nil {
		return nil, errors.New("an inventory that was read from text has no whole digests, and cannot be JSON")
	}
	return artifacttypes.Marshal(document{
		MediaType: artifacttypes.MediaTypeInventory,
		Artifacts: slices.Concat([]Artifact{}, inv.Artifacts), Blobs: slices.Concat([]Blob{}, inv.Blobs),
	})
}

// parseJSON reads the JSON form. Fields that it does not know are left out: an
// inventory is advice, and one of a newer modseal is advice too.
func parseJSON(data []byte) (*Inventory, error) {
	var doc document
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&doc); err != nil {
		return nil, wrong("no JSON of an inventory: %v", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, wrong("something follows the JSON")
	}
	if doc.MediaType != artifacttypes.MediaTypeInventory {
		return nil, wrong("its mediaType is %q, not %q", doc.MediaType, artifacttypes.MediaTypeInventory)
	}
	if n := len(doc.Artifacts) + len(doc.Blobs); n > limits.InventoryEntries {
		return nil, wrong("it lists %d artifacts and blobs, more than %d", n, limits.InventoryEntries)
	}
	for i, a := range doc.Artifacts {
		if err := checkEntry(a.Digest, a.Size); err != nil {
			return nil, wrong("artifact %d: %v", i, err)
		}
	}
	for i, b := range doc.Blobs {
		if err := checkEntry(b.Digest, b.Size); err != nil {
			return nil, wrong("blob %d: %v", i, err)
		}
	}
	return New(doc.Artifacts, doc.Blobs), nil
}

func checkEntry(d digest.Digest, size int64) error {
	if err := artifacttypes.ValidateDigest(d); err != nil {
		return err
	}
	if size < 0 || size > artifacttypes.MaxBlobBytes {
		return fmt.Errorf("%s: a size of %d bytes", d, size)
	}
	return nil
}
