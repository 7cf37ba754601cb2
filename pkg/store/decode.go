package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// decodeIndex reads an index without taking memory for more entries than an index
// may have: a descriptor takes a hundred times the memory of the three bytes that
// make an empty one in JSON.
func decodeIndex(raw []byte, into *ocispec.Index) error {
	if !json.Valid(raw) { // what a decoder of tokens does not look for, such as text after the end
		return json.Unmarshal(raw, new(struct{}))
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.Join(err, errors.New("it is no JSON object"))
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		if err := decodeMember(d, key, into); err != nil {
			return fmt.Errorf("%v: %w", key, err)
		}
	}
	return nil
}

// decodeMember reads a member of an index. Its name is compared as
// json.Unmarshal does, without case: what reads the same bytes that way must see
// the same index.
func decodeMember(d *json.Decoder, key json.Token, into *ocispec.Index) error {
	name, _ := key.(string)
	for known, value := range map[string]any{
		"schemaVersion": &into.SchemaVersion,
		"mediaType":     &into.MediaType,
		"artifactType":  &into.ArtifactType,
		"subject":       &into.Subject,
		"annotations":   &into.Annotations,
	} {
		if strings.EqualFold(name, known) {
			return d.Decode(value)
		}
	}
	if strings.EqualFold(name, "manifests") {
		return decodeEntries(d, &into.Manifests)
	}
	return skipValue(d)
}

func decodeEntries(d *json.Decoder, into *[]ocispec.Descriptor) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	if *into != nil {
		return errors.New("it is there twice") // readers differ in which of them they take
	}
	if t == nil {
		return nil
	}
	if t != json.Delim('[') {
		return errors.New("it is no JSON array")
	}
	*into = []ocispec.Descriptor{}
	for d.More() {
		if len(*into) == limits.LayoutManifests {
			return fmt.Errorf("more than %d entries", limits.LayoutManifests)
		}
		var entry ocispec.Descriptor
		if err := d.Decode(&entry); err != nil {
			return fmt.Errorf("entry %d: %w", len(*into), err)
		}
		*into = append(*into, entry)
	}
	_, err = d.Token()
	return err
}

// skipValue passes over a value of any kind without holding it.
func skipValue(d *json.Decoder) error {
	for depth := 0; ; {
		t, err := d.Token()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return io.ErrUnexpectedEOF
			}
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}
