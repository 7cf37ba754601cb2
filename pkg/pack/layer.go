package pack

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/digestcache"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/source"
)

// layer is a layer to be: one file, or several in a tar.
type layer struct {
	path       string // of the file; of a tar its name
	role       artifacttypes.Role
	encoding   artifacttypes.Encoding
	members    []*source.File
	digests    []digest.Digest // of the members, known after ingest
	descriptor ocispec.Descriptor
	unread     bool // its bytes were not needed
}

type plan []*layer

// smallLayer is below what keeps a connection busy for longer than it takes to
// ask for it.
const smallLayer = 8 << 20

// ingest stores every layer, several at once; the order of the result is that
// of the plan. Small layers do not wait for large ones: one of the workers looks
// for them first.
func (p plan) ingest(ctx context.Context, into ingest.Ingester, o Options) error {
	n := o.Concurrency
	if n <= 0 {
		n = DefaultConcurrency
	}
	n = min(n, MaxConcurrency)
	if o.Planned != nil {
		var total int64
		for _, l := range p {
			total += l.size(o)
		}
		o.Planned(len(p), total)
	}
	small, large := make(chan *layer, len(p)), make(chan *layer, len(p))
	for _, l := range p {
		if l.size(o) < smallLayer {
			small <- l
		} else {
			large <- l
		}
	}
	close(small)
	close(large)
	g, ingesting := errgroup.WithContext(ctx)
	for i := range n {
		first, second := large, small
		if i == n-1 && n > 1 {
			first, second = small, large
		}
		g.Go(func() error {
			for _, queue := range []chan *layer{first, second} {
				for l := range queue {
					if ingesting.Err() != nil {
						return context.Cause(ingesting) // one has failed: start no other
					}
					if err := l.ingest(ingesting, into, o); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// size is how many bytes the layer has.
func (l *layer) size(o Options) int64 {
	if l.encoding == artifacttypes.EncodingTar {
		return newTarball(l.members, o.mtime()).size
	}
	return l.members[0].Size
}

func (l *layer) ingest(ctx context.Context, into ingest.Ingester, o Options) error {
	blob := ingest.Blob{Name: l.path, MediaType: artifacttypes.LayerType(l.role, l.encoding)}
	remembered := l.remembered(o.Digests)
	var digests func() ([]digest.Digest, error)
	if l.encoding == artifacttypes.EncodingTar {
		t := newTarball(l.members, o.mtime())
		blob.Size, blob.Open = t.size, t.open
		blob.Identity = tarIdentity(remembered.identities, l.members, o.mtime())
		digests = t.digests
	} else {
		f := l.members[0]
		blob.Size = f.Size
		blob.Open = func() (io.ReadCloser, error) { return f.Open() }
		if len(remembered.identities) == 1 {
			blob.Identity = remembered.identities[0]
		}
	}
	if remembered.complete() {
		blob.Known = o.Digests.Digest(blob.Identity)
	}
	var opened atomic.Bool
	open := blob.Open
	blob.Open = func() (io.ReadCloser, error) {
		opened.Store(true)
		return open()
	}
	desc, err := into.Ingest(ctx, blob)
	if err != nil {
		return err
	}
	l.descriptor, l.unread = desc, !opened.Load() && blob.Size > 0
	switch {
	case digests == nil:
		l.digests = []digest.Digest{desc.Digest}
	case !opened.Load():
		l.digests = remembered.digests
	default:
		if l.digests, err = digests(); err != nil {
			return err
		}
	}
	for _, f := range l.members {
		if err := f.Unchanged(); err != nil {
			return err
		}
	}
	l.remember(o.Digests, remembered.identities, blob.Identity)
	return nil
}

// memory is what is remembered of the members of a layer.
type memory struct {
	identities []string // nil when one of them cannot be trusted
	digests    []digest.Digest
}

func (m *memory) complete() bool { return m.identities != nil && len(m.digests) == len(m.identities) }

// remembered asks the cache for the members. A file that was touched only just
// now may be touched again without showing it: nothing is believed of it, and
// nothing remembered (fileid.ID.Settled). So it comes before the file is read.
func (l *layer) remembered(cache *digestcache.Cache) memory {
	var m memory
	for _, f := range l.members {
		id, trusted := f.Identity()
		if !trusted || !id.Settled() {
			return memory{}
		}
		m.identities = append(m.identities, id.String())
		if l.encoding == artifacttypes.EncodingTar {
			if d := cache.Digest(id.String()); d != "" {
				m.digests = append(m.digests, d)
			}
		} else {
			m.digests = append(m.digests, "") // that of the layer
		}
	}
	return m
}

// remember keeps the digests for the next time. Members that were not read say
// nothing new, and do no harm.
func (l *layer) remember(cache *digestcache.Cache, identities []string, whole string) {
	if identities == nil {
		return
	}
	cache.Remember(whole, l.descriptor.Digest)
	if l.encoding == artifacttypes.EncodingTar {
		for i, identity := range identities {
			cache.Remember(identity, l.digests[i])
		}
	}
}

// tarIdentity tells a tar of files from all others: by what its headers say, and
// the identities of the files.
func tarIdentity(identities []string, members []*source.File, mtime time.Time) string {
	if identities == nil {
		return ""
	}
	h := digest.SHA256.Digester()
	var n [8]byte
	put := func(s string) {
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Hash().Write(n[:])
		_, _ = io.WriteString(h.Hash(), s)
	}
	put(mtime.UTC().Format(time.RFC3339Nano))
	for i, f := range members {
		put(f.Path)
		put(identities[i])
		put(fmt.Sprint(f.Executable))
	}
	return "tar-" + h.Digest().Encoded()
}

func (p plan) unread() int64 {
	var n int64
	for _, l := range p {
		if l.unread {
			n += l.descriptor.Size
		}
	}
	return n
}
