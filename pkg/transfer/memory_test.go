package transfer_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/remote"
)

// memory is a target that is no registry: content in a map.
type memory struct {
	mu      sync.Mutex
	content map[digest.Digest][]byte
	types   map[digest.Digest]string
	tags    map[string]ocispec.Descriptor
	native  bool // finds referrers by itself
}

func newMemory(native bool) *memory {
	return &memory{content: map[digest.Digest][]byte{}, types: map[digest.Digest]string{}, tags: map[string]ocispec.Descriptor{}, native: native}
}

func (m *memory) Resolve(_ context.Context, ref string) (ocispec.Descriptor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if d, ok := m.tags[ref]; ok {
		return d, nil
	}
	if raw, ok := m.content[digest.Digest(ref)]; ok {
		return describe(m.types[digest.Digest(ref)], raw), nil
	}
	return ocispec.Descriptor{}, fmt.Errorf("%s: %w", ref, errdef.ErrNotFound)
}

func (m *memory) Fetch(_ context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	raw, ok := m.content[d.Digest]
	if !ok {
		return nil, fmt.Errorf("%s: %w", d.Digest, errdef.ErrNotFound)
	}
	return io.NopCloser(bytes.NewReader(raw)), nil
}

func (m *memory) Exists(_ context.Context, d ocispec.Descriptor) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.content[d.Digest]
	return ok, nil
}

func (m *memory) Push(_ context.Context, d ocispec.Descriptor, r io.Reader) error {
	raw, err := integrity.ReadAll(r, d, 1<<30, "blob")
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.content[d.Digest], m.types[d.Digest] = raw, d.MediaType
	return nil
}

func (m *memory) Tag(_ context.Context, d ocispec.Descriptor, ref string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tags[ref] = d
	return nil
}

func (m *memory) Referrers(_ context.Context, subject ocispec.Descriptor, _ string, fn func([]ocispec.Descriptor) error) error {
	if !m.native {
		return errdef.ErrUnsupported
	}
	m.mu.Lock()
	var found []ocispec.Descriptor
	for d, raw := range m.content {
		if remote.IsManifest(m.types[d]) && bytes.Contains(raw, []byte(`"subject":{"mediaType":"`+subject.MediaType+`","digest":"`+subject.Digest.String())) {
			found = append(found, describe(m.types[d], raw))
		}
	}
	m.mu.Unlock()
	return fn(found)
}
