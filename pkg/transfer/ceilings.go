package transfer

import (
	"fmt"
	"net"
	"path"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/remote"
)

// ceiling is what a registry takes at most, in bytes; 0 means that nothing is
// known.
type ceiling struct{ manifest, blob int64 }

// ceilings says what is known of registries by their names (registries.md §6). The
// sources are what their operators publish, not tests.
var ceilings = []struct {
	pattern string // of path.Match, without a port
	ceiling
	source string
}{
	{"ghcr.io", ceiling{blob: 10_000_000_000}, "10 GB per layer (GitHub, working with the container registry)"},
	{"*.dkr.ecr.*", ceiling{blob: 52_000 << 20}, "52,000 MiB per layer (Amazon ECR service quotas)"},
	{"public.ecr.aws", ceiling{blob: 10_000 << 20}, "10,000 MiB per layer (Amazon ECR Public service quotas)"},
	{"*.azurecr.io", ceiling{manifest: portableManifest, blob: 200 << 30}, "200 GiB per layer, 4 MiB per manifest (Azure Container Registry service tiers)"},
	{"quay.io", ceiling{blob: 20 << 30}, "20 GB per layer (Quay, MAXIMUM_LAYER_SIZE)"},
}

// portableManifest is what the distribution specification asks all registries to
// take; distribution and zot take no more.
const portableManifest = 4 << 20

// LimitError says that the registry takes nothing so large.
type LimitError struct {
	Registry string
	What     string // "manifest" or "layer"
	Name     string // path of the file, or the digest
	Digest   digest.Digest
	Size     int64 // bytes
	Limit    int64 // bytes
	Source   string
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s takes no %s of more than %d bytes, and %s has %d: %s", e.Registry, e.What, e.Limit, e.Name, e.Size, e.Source)
}

// Preflight fails with a *LimitError when dst is a registry that is known to take
// nothing as large as something of the graph. It asks nobody.
func Preflight(dst Target, g *Graph) error {
	repo, ok := dst.(*remote.Repository)
	if !ok {
		return nil
	}
	host := repo.Reference().Host()
	most, source := ceilingOf(host)
	for _, n := range g.nodes {
		if err := most.over(host, "manifest", most.manifest, n.Descriptor, source); err != nil {
			return err
		}
	}
	for _, b := range g.Blobs() {
		if err := most.over(host, "layer", most.blob, b, source); err != nil {
			return err
		}
	}
	return nil
}

func ceilingOf(host string) (ceiling, string) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	for _, row := range ceilings {
		if ok, err := path.Match(row.pattern, host); err == nil && ok {
			return row.ceiling, row.source
		}
	}
	return ceiling{}, ""
}

func (ceiling) over(host, what string, limit int64, desc ocispec.Descriptor, source string) error {
	if limit == 0 || desc.Size <= limit {
		return nil
	}
	return &LimitError{Registry: host, What: what, Name: nameOf(desc), Digest: desc.Digest, Size: desc.Size, Limit: limit, Source: source}
}

// mayBeTooLarge says of a manifest that many registries do not take it, where it is
// not known what dst takes; nil otherwise.
func mayBeTooLarge(dst Target, g *Graph) error {
	repo, ok := dst.(*remote.Repository)
	if !ok {
		return nil
	}
	if most, _ := ceilingOf(repo.Reference().Host()); most.manifest != 0 {
		return nil
	}
	for _, n := range g.nodes {
		if n.Descriptor.Size > portableManifest {
			return fmt.Errorf("manifest %s has %d bytes; many registries take 4 MiB (%d) at most", n.Descriptor.Digest, n.Descriptor.Size, portableManifest)
		}
	}
	return nil
}
