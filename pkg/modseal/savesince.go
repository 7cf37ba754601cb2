package modseal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/archive"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/inventory"
)

// Kinds of what an archive may rely on.
const (
	baseArchive   = "archive"
	baseInventory = "inventory"
	baseReference = "reference"
)

// farSide is what the other side has, as it says or as is said of it.
type farSide struct {
	bases []archive.Base
	ask   []func(ocispec.Descriptor) (from string, ok bool)
}

// has reports whether the other side has a blob, and where it may be had.
func (k *farSide) has(desc ocispec.Descriptor) (from string, ok bool) {
	for _, ask := range k.ask {
		if from, ok := ask(desc); ok {
			return from, true
		}
	}
	return "", false
}

// farSide reads what the other side has.
func (c *Client) farSide(ctx context.Context, since []string) (*farSide, error) {
	k := &farSide{}
	for _, s := range since {
		if err := c.addBase(ctx, k, s); err != nil {
			return nil, fmt.Errorf("%w (since %s)", err, s)
		}
	}
	return k, nil
}

func (c *Client) addBase(ctx context.Context, k *farSide, s string) error {
	if strings.HasPrefix(s, archivePrefix) || strings.HasPrefix(s, "oci:") {
		return c.addPlace(ctx, k, s)
	}
	info, err := os.Stat(s)
	switch {
	case errors.Is(err, fs.ErrNotExist) && there(archive.PartsName(s)):
		return c.addPlace(ctx, k, archivePrefix+s)
	case errors.Is(err, fs.ErrNotExist) && strings.Contains(s, "/") && !hasAnyPrefix(s, ".", "/", `\`, "~"):
		return c.addPlace(ctx, k, s)
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%w: it is a directory; an archive, an inventory, a reference or a layout (oci:PATH) is meant", ErrUsage)
	}
	return c.addFile(ctx, k, s, info)
}

// addFile adds an inventory or an archive. What is no file that can be read twice
// is an inventory.
func (c *Client) addFile(ctx context.Context, k *farSide, file string, info fs.FileInfo) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, sniffed))
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() && !inventory.Looks(data) || mediaTypeOf(file) == artifacttypes.MediaTypeArchiveParts {
		err := c.addPlace(ctx, k, archivePrefix+file)
		var unreadable *archive.Error
		if errors.As(err, &unreadable) && !inventory.Looks(data) {
			err = fmt.Errorf("%w; and it does not begin like an inventory", err)
		}
		return err
	}
	rest, err := io.ReadAll(io.LimitReader(f, limits.InventoryBytes+1))
	if err != nil {
		return err
	}
	return k.addInventory(file, append(data, rest...))
}

// sniffed is how much of a file says what it is.
const sniffed = 512

// mediaTypeOf returns what a small JSON file says that it is, or "".
func mediaTypeOf(file string) string {
	if !strings.HasSuffix(file, ".json") {
		return ""
	}
	data, err := readSmall(file, limits.ArchivePartsBytes)
	if err != nil {
		return ""
	}
	var head struct {
		MediaType string `json:"mediaType"`
	}
	if json.Unmarshal(data, &head) != nil {
		return ""
	}
	return head.MediaType
}

func (k *farSide) addInventory(file string, data []byte) error {
	inv, err := inventory.Parse(data)
	if err != nil {
		return err
	}
	name, set := filepath.Base(file), inv.Set()
	k.bases = append(k.bases, archive.Base{Kind: baseInventory, Name: name, Digest: digest.FromBytes(data)})
	k.ask = append(k.ask, func(d ocispec.Descriptor) (string, bool) { return "", set.Has(d) })
	return nil
}

// addPlace adds what is in an archive, a layout or a registry.
func (c *Client) addPlace(ctx context.Context, k *farSide, s string) error {
	h, err := c.holdings(ctx, []string{s})
	if err != nil {
		return err
	}
	if len(h.artifacts)+len(h.blobs) == 0 {
		return fmt.Errorf("it has no tags, or is not there: %w", errdef.ErrNotFound)
	}
	kind := baseReference
	if strings.HasPrefix(s, archivePrefix) {
		kind = baseArchive
	}
	sum, err := h.digest()
	if err != nil {
		return err
	}
	k.bases = append(k.bases, archive.Base{Kind: kind, Name: placeName(s), Digest: sum})
	k.ask = append(k.ask, func(d ocispec.Descriptor) (string, bool) {
		b, ok := h.blobs[d.Digest]
		return b.from, ok && b.size == d.Size
	})
	return nil
}

// digest is that of the one artifact, or of the list of all that is there.
func (h *holdings) digest() (digest.Digest, error) {
	if len(h.artifacts) == 1 {
		return h.artifacts[0].Digest, nil
	}
	raw, err := h.inventory().MarshalJSON()
	return digest.FromBytes(raw), err
}

// placeName is the name of a place without the directories that it lies in, which
// are nobody's business where the archive goes.
func placeName(s string) string {
	for _, prefix := range []string{archivePrefix, "oci:"} {
		if path, ok := strings.CutPrefix(s, prefix); ok {
			return prefix + filepath.Base(path)
		}
	}
	return s
}
