package modseal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/progress"
	"github.com/modseal/modseal/pkg/transfer"
)

// perform writes what was accepted. Tags come when all else is there: who sees one
// of them sees a whole load.
func (l *loading) perform(ctx context.Context) error {
	l.written = map[string]*location{}
	for _, s := range l.shipments {
		if err := l.openForWriting(ctx, s); err != nil {
			return err
		}
		for _, one := range s.all() {
			if err := l.deliver(ctx, s.permit, s, one); err != nil {
				return err
			}
		}
	}
	for _, s := range l.shipments {
		for _, one := range s.all() {
			if err := l.tag(ctx, one); err != nil {
				return err
			}
		}
	}
	for _, s := range l.shipments {
		for _, v := range s.permit.models {
			if err := l.remember(ctx, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// openForWriting opens the destination of a shipment as one that is written to, and
// makes a layout that is not there. Each is opened once.
func (l *loading) openForWriting(ctx context.Context, s *shipment) error {
	if s.to.Kind == KindLayout {
		at, ok := l.written[s.to.Scope()]
		if !ok {
			var err error
			if at, err = l.open(ctx, s.to, true); err != nil {
				return err
			}
			l.written[s.to.Scope()] = at
		}
		s.at = at
	}
	for _, c := range s.companions {
		c.at = s.at
	}
	return nil
}

// errNotPermitted is a mistake in this program: something was to be written that
// nobody decided on.
var errNotPermitted = errors.New("it was not verified")

// deliver brings an artifact to its destination, but for its tag, by what p
// permits: of is the artifact that was decided on, and one that itself or a
// companion of it.
func (l *loading) deliver(ctx context.Context, p permit, of, one *shipment) error {
	if !p.covers(of.graph) || one != of && !slices.Contains(of.companions, one) {
		return fmt.Errorf("load %s: %w", one.name, errNotPermitted)
	}
	moved, err := transfer.Send(ctx, one.at.repository, one.graph, l.copyOptions(of))
	_ = l.digests.Flush(context.WithoutCancel(ctx)) // a cache that cannot be written remembers nothing
	if err != nil {
		return l.blamed(fmt.Errorf("load %s to %s: %w", one.name, one.to, err))
	}
	l.take(of, moved)
	return nil
}

func (l *loading) copyOptions(s *shipment) transfer.CopyOptions {
	return transfer.CopyOptions{
		Referrers: true, Concurrency: l.o.Concurrency, Progress: l.Client.o.Progress,
		Upload:   transfer.UploadOptions{Mode: l.o.Upload, StateDir: l.Client.o.StateDir, Profiles: l.profiles, Digests: l.digests},
		LeaveOut: s.leftOut,
	}
}

// leftOut reports whether a blob is nowhere, and is not to be looked for.
func (s *shipment) leftOut(d digest.Digest) bool {
	return slices.ContainsFunc(s.loaded.LeftOut, func(m MissingBlob) bool { return m.Digest == d })
}

// take counts what was moved, or would be.
func (l *loading) take(s *shipment, moved *transfer.CopyResult) {
	counted := CopyResult{}
	counted.count(moved.Items)
	s.loaded.Blobs += counted.Blobs
	s.loaded.Bytes += counted.Bytes
	s.loaded.Existed += counted.Existed
	s.loaded.Mounted += counted.Mounted
	s.loaded.Referrers += counted.Referrers
	s.loaded.Items = append(s.loaded.Items, moved.Items...)
	l.traffic.Fetched += moved.Fetched
	l.traffic.Sent += moved.Sent
	l.traffic.Kept += moved.Kept
	l.warnings = append(l.warnings, moved.Warnings...)
}

// tag sets the tag of a destination, unless somebody moved it meanwhile.
func (l *loading) tag(ctx context.Context, s *shipment) error {
	if !s.tagged() {
		return nil
	}
	at := *s.at
	at.Target = s.to
	change, err := setTag(ctx, &at, s.desc, CopyOptions{Overwrite: l.o.Overwrite})
	if err == nil {
		s.loaded.Tag = change
	}
	return tagTaken(err)
}

// rehearse does what perform does without writing: it asks the destinations what
// they have, and reads every byte that would be sent.
func (l *loading) rehearse(ctx context.Context) error {
	proven := map[digest.Digest]bool{}
	for _, s := range l.shipments {
		for _, one := range s.all() {
			if one.at != nil {
				would, err := transfer.Plan(ctx, one.at.repository, one.graph, l.copyOptions(s))
				if err != nil {
					return err
				}
				l.take(s, would)
			} else {
				l.take(s, wouldCopyAll(one.graph, s.leftOut))
			}
			if err := l.prove(ctx, one, proven); err != nil {
				return err
			}
		}
	}
	return nil
}

// wouldCopyAll is the plan for a destination that is not there yet.
func wouldCopyAll(g *transfer.Graph, leftOut func(digest.Digest) bool) *transfer.CopyResult {
	r := &transfer.CopyResult{Root: g.Root().Digest}
	add := func(kind transfer.Kind, d ocispec.Descriptor, subject digest.Digest) {
		outcome := transfer.Copied
		if kind == transfer.KindBlob && leftOut(d.Digest) {
			outcome = transfer.LeftOut
		}
		r.Items = append(r.Items, transfer.CopyItem{
			Kind: kind, Digest: d.Digest, MediaType: d.MediaType, Size: d.Size, Outcome: outcome, Subject: subject,
		})
	}
	for _, b := range g.Blobs() {
		add(transfer.KindBlob, b, "")
	}
	for _, n := range g.Nodes() {
		add(n.Kind, n.Descriptor, n.Subject.Digest)
	}
	return r
}

// provers is how many blobs are hashed at once.
const provers = 4

// prove reads every blob of an artifact that the archives hold, each once, and
// compares it with its digest.
func (l *loading) prove(ctx context.Context, s *shipment, proven map[digest.Digest]bool) error {
	report := progress.OrNone(l.Client.o.Progress)
	var todo []ocispec.Descriptor
	var total int64
	for _, blob := range s.graph.Blobs() {
		there, err := s.cargo.Exists(ctx, blob)
		if err != nil {
			return err
		}
		if there && !proven[blob.Digest] {
			proven[blob.Digest] = true
			todo, total = append(todo, blob), total+blob.Size
		}
	}
	report.Plan(len(todo), total)
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(provers)
	for _, blob := range todo {
		group.Go(func() error { return l.proveOne(groupCtx, s, blob, report) })
	}
	return group.Wait()
}

func (l *loading) proveOne(ctx context.Context, s *shipment, blob ocispec.Descriptor, report progress.Reporter) error {
	name := pathOf(blob)
	if name == "" {
		name = blob.Digest.String()
	}
	report.Start(name, blob.Size)
	rc, err := s.cargo.Fetch(ctx, blob)
	if err != nil {
		return err
	}
	defer rc.Close()
	r := integrity.NewReader(ingest.ContextReader(ctx, rc), blob, name)
	buf := make([]byte, 256<<10)
	for {
		n, err := r.Read(buf)
		report.Advance(name, int64(n))
		if errors.Is(err, io.EOF) {
			report.Finish(name, false)
			return nil
		}
		if err != nil {
			return l.blamed(err)
		}
	}
}
