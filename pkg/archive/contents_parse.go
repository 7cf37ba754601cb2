package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// ParseContents reads what an archive says of itself, strictly: digests and sizes
// are well formed, reasons and roles are known ones. All of it remains a claim of
// whoever made the archive.
func ParseContents(raw []byte) (*Contents, error) {
	if len(raw) > limits.ArchiveContentsBytes {
		return nil, fmt.Errorf("it has %d bytes, more than %d", len(raw), limits.ArchiveContentsBytes)
	}
	c, err := decodeContents(raw)
	if err != nil {
		return nil, err
	}
	if c.MediaType != artifacttypes.MediaTypeArchiveContents {
		return nil, fmt.Errorf("media type %q is not %q", c.MediaType, artifacttypes.MediaTypeArchiveContents)
	}
	for i, a := range c.Artifacts {
		if err := a.check(); err != nil {
			return nil, fmt.Errorf("artifact %d: %w", i, err)
		}
	}
	for i, o := range c.Omitted {
		if err := o.check(); err != nil {
			return nil, fmt.Errorf("omitted blob %d: %w", i, err)
		}
	}
	for i, b := range c.Bases {
		if err := artifacttypes.ValidateDigest(b.Digest); err != nil {
			return nil, fmt.Errorf("base %d: %w", i, err)
		}
	}
	return c, nil
}

// decodeContents decodes the lists element by element: an empty one has three
// bytes in JSON and a hundred in memory.
func decodeContents(raw []byte) (*Contents, error) {
	var shell struct {
		Contents

		Artifacts json.RawMessage `json:"artifacts"`
		Omitted   json.RawMessage `json:"omitted"`
		Bases     json.RawMessage `json:"bases"`
	}
	if err := decodeStrict(raw, &shell); err != nil {
		return nil, err
	}
	c := shell.Contents
	var err error
	if c.Artifacts, err = decodeList[ContentsArtifact](shell.Artifacts, limits.LayoutManifests); err != nil {
		return nil, fmt.Errorf("artifacts: %w", err)
	}
	if c.Omitted, err = decodeList[Omitted](shell.Omitted, limits.ArchiveEntries); err != nil {
		return nil, fmt.Errorf("omitted: %w", err)
	}
	if c.Bases, err = decodeList[Base](shell.Bases, limits.LayoutManifests); err != nil {
		return nil, fmt.Errorf("bases: %w", err)
	}
	return &c, nil
}

// decodeList decodes an array of at most so many elements.
func decodeList[T any](raw json.RawMessage, most int) ([]T, error) {
	if raw == nil {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return nil, errors.Join(err, errors.New("it is no array"))
	}
	var list []T
	for d.More() {
		if len(list) == most {
			return nil, fmt.Errorf("it has more than %d elements", most)
		}
		var element T
		if err := d.Decode(&element); err != nil {
			return nil, fmt.Errorf("element %d: %w", len(list), err)
		}
		list = append(list, element)
	}
	return list, nil
}

func (a ContentsArtifact) check() error {
	if err := artifacttypes.ValidateDescriptor(ocispec.Descriptor{Digest: a.Digest, Size: a.Size}); err != nil {
		return err
	}
	for _, r := range a.Referrers {
		if err := artifacttypes.ValidateDigest(r); err != nil {
			return fmt.Errorf("referrer: %w", err)
		}
	}
	return nil
}

func (o Omitted) check() error {
	if err := artifacttypes.ValidateDescriptor(ocispec.Descriptor{Digest: o.Digest, Size: o.Size}); err != nil {
		return err
	}
	if err := artifacttypes.ValidateDigest(o.Artifact); err != nil {
		return fmt.Errorf("artifact: %w", err)
	}
	if o.Path != "" {
		if err := artifacttypes.ValidatePath(o.Path); err != nil {
			return err
		}
	}
	switch {
	case o.Reason != OmittedBase && o.Reason != OmittedRole:
		return fmt.Errorf("reason %q is neither %q nor %q", o.Reason, OmittedBase, OmittedRole)
	case o.Role != "" && !o.Role.Valid():
		return fmt.Errorf("role %q is none", o.Role)
	}
	return nil
}
