package modseal

import (
	"context"
	"net"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/archive/registry"
)

// unnamedRepository is the repository of artifacts for which an archive has no
// name with one.
const unnamedRepository = "archive"

// ArchiveRegistry is a registry over an archive, which nobody can write to.
type ArchiveRegistry struct {
	held  *archives
	names registry.Names
}

// OpenArchiveRegistry opens an archive, or the set that a part is of, to be
// served. Each artifact is in the repository that it was saved from, without the
// host, or in "archive" when the archive has no such name for it. Nothing is
// verified: who pulls does that.
func OpenArchiveRegistry(ctx context.Context, file string) (*ArchiveRegistry, error) {
	held, err := openArchives(ctx, []string{file})
	if err != nil {
		return nil, err
	}
	parcels, err := held.parcels(ctx)
	if err != nil {
		_ = held.close()
		return nil, err
	}
	r := &ArchiveRegistry{held: held, names: registry.Names{}}
	for _, p := range parcels {
		if p.repository == "" {
			p.repository = unnamedRepository
		}
		if r.names[p.repository] == nil {
			r.names[p.repository] = map[string]ocispec.Descriptor{}
		}
		if p.tag != "" {
			r.names[p.repository][p.tag] = p.desc
		}
	}
	return r, nil
}

// Repositories returns the names of the repositories, sorted.
func (r *ArchiveRegistry) Repositories() []string {
	var out []string
	for name := range r.names {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Serve answers on listener until ctx is done, without authentication: bind it to
// loopback, or put something in front of it.
func (r *ArchiveRegistry) Serve(ctx context.Context, listener net.Listener) error {
	return answer(ctx, registry.New(r.held.all[0], r.names), listener)
}

// Close closes the archive.
func (r *ArchiveRegistry) Close() error { return r.held.close() }
