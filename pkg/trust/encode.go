package trust

import (
	"bytes"
	"cmp"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// MediaType is that of a file that carries trust material between sites; see
// docs/trust-material.md.
const MediaType = "application/vnd.modseal.trust.v1+json"

type carrier struct {
	MediaType string       `json:"mediaType"`
	Items     carriedItems `json:"items"`
}

type carriedItems []carried

// UnmarshalJSON implements json.Unmarshaler. It counts while it reads: a list of
// empty objects would take a hundred times its size.
func (c *carriedItems) UnmarshalJSON(data []byte) error { return unmarshalList(data, (*[]carried)(c)) }

func unmarshalList[T any](data []byte, into *[]T) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return errors.Join(errors.New("a list of items is meant"), err)
	}
	for dec.More() {
		if len(*into) == limits.TrustItems {
			return fmt.Errorf("more than %d items", limits.TrustItems)
		}
		var v T
		if err := dec.Decode(&v); err != nil {
			return err
		}
		*into = append(*into, v)
	}
	return nil
}

type carried struct {
	Kind    Kind          `json:"kind"`
	Name    string        `json:"name"`
	Source  string        `json:"source,omitempty"`
	Fetched time.Time     `json:"fetched,omitzero"`
	TUF     *carriedTUF   `json:"tuf,omitempty"`
	Digest  digest.Digest `json:"digest"`
	Data    []byte        `json:"data"`
}

type carriedTUF struct {
	URL  string `json:"url"`
	Root []byte `json:"root,omitempty"`
}

// Encode returns the file that carries items, the same bytes for the same items
// in any order. Items that are invalid or there twice are refused.
func Encode(items []Item) ([]byte, error) {
	if err := checkItems(items); err != nil {
		return nil, err
	}
	return encode(items)
}

func encode(items []Item) ([]byte, error) {
	c := carrier{MediaType: MediaType, Items: carriedItems{}}
	for _, it := range sorted(items) {
		e := carried{Kind: it.Kind, Name: it.Name, Source: it.Source, Fetched: it.Fetched.UTC().Truncate(time.Second), Digest: it.Digest(), Data: it.Data}
		if it.TUF != nil {
			e.TUF = &carriedTUF{URL: it.TUF.URL, Root: it.TUF.Initial}
		}
		c.Items = append(c.Items, e)
	}
	data, err := marshal(c)
	if err == nil && len(data) > limits.TrustFileBytes {
		err = fmt.Errorf("%w: the file would have %d bytes, more than %d; name fewer items", ErrInvalidItem, len(data), limits.TrustFileBytes)
	}
	return data, err
}

// Decode reads a file that carries trust material. It refuses, with an error that
// wraps [ErrInvalidItem] or the one of the material, everything that [Encode]
// would not have written but for white space: so there is one reading of it.
func Decode(name string, data []byte) ([]Item, error) {
	items, err := decode(data)
	if err == nil {
		err = checkItems(items)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return items, nil
}

func decode(data []byte) ([]Item, error) {
	if len(data) > limits.TrustFileBytes {
		return nil, fmt.Errorf("%w: %d bytes, more than %d", ErrInvalidItem, len(data), limits.TrustFileBytes)
	}
	var c carrier
	if err := unmarshal(data, &c); err != nil {
		return nil, err
	}
	if c.MediaType != MediaType {
		return nil, fmt.Errorf("%w: media type %.80q is not %q", ErrInvalidItem, c.MediaType, MediaType)
	}
	items := make([]Item, 0, len(c.Items))
	for _, e := range c.Items {
		it := Item{Kind: e.Kind, Name: e.Name, Source: e.Source, Fetched: e.Fetched, Data: e.Data}
		if e.TUF != nil {
			it.TUF = &Source{Name: e.Name, URL: e.TUF.URL, Initial: e.TUF.Root}
		}
		if got := it.Digest(); got != e.Digest {
			return nil, fmt.Errorf("%w: %s: digest %.80q, and its data have %s", ErrInvalidItem, it.label(), e.Digest, got)
		}
		items = append(items, it)
	}
	return items, sameForm(data, items)
}

// sameForm refuses a document that says its content in another way than encode:
// repeated keys, other letter case, another order. Two readers could disagree
// about it.
func sameForm(data []byte, items []Item) error {
	canonical, err := encode(items)
	if err != nil {
		return err
	}
	if !bytes.Equal(compact(data), compact(canonical)) {
		return fmt.Errorf("%w: it is not in the form that modseal trust export writes: keys that are repeated, out of order or unknown, "+
			"items out of order, or times and data in another form", ErrInvalidItem)
	}
	return nil
}

func compact(data []byte) []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, data); err != nil {
		return nil // never equal to what marshal wrote
	}
	return b.Bytes()
}

func checkItems(items []Item) error {
	for i, it := range items {
		if err := it.Check(); err != nil {
			return err
		}
		if slices.ContainsFunc(items[:i], it.sameName) {
			return fmt.Errorf("%w: %s is there twice", ErrInvalidItem, it.label())
		}
	}
	return nil
}

func (it Item) sameName(o Item) bool { return it.Kind == o.Kind && it.Name == o.Name }

func sorted(items []Item) []Item {
	kinds := Kinds()
	return slices.SortedFunc(slices.Values(items), func(a, b Item) int {
		return cmp.Or(cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind)), strings.Compare(a.Name, b.Name))
	})
}

// IsEncoded reports whether data claim to be what [Encode] writes. They are still
// to be decoded.
func IsEncoded(data []byte) bool { return mediaTypeOf(data) == MediaType }

// KindOf tells bare material by its media type or its first PEM block, and reports
// false for what is none, such as what [Encode] writes. Whether it is valid is
// still to be seen.
func KindOf(data []byte) (Kind, bool) {
	if block, _ := pem.Decode(data); block != nil {
		if block.Type == "CERTIFICATE" {
			return KindCertificate, true
		}
		return KindKey, true
	}
	t := mediaTypeOf(data)
	switch {
	case strings.HasPrefix(t, "application/vnd.dev.sigstore.trustedroot"):
		return KindRoot, true
	case strings.HasPrefix(t, "application/vnd.dev.sigstore.signingconfig"):
		return KindSigningConfig, true
	}
	return "", false
}

func mediaTypeOf(data []byte) string {
	var head struct {
		MediaType string `json:"mediaType"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return ""
	}
	return head.MediaType
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return b.Bytes(), err
}

func unmarshal(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidItem, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the JSON object", ErrInvalidItem)
	}
	return nil
}
