package modseal

import (
	"context"
	"fmt"
	"io"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/pkg/transfer"
)

// copySource is an artifact that goes to one or several destinations, which all get
// what was there when the first of them asked.
type copySource struct {
	*location

	descriptor ocispec.Descriptor

	mu    sync.Mutex
	graph *transfer.Graph
	users int // that have not copied it yet; 0 when nobody counts
}

// survey reads what there is of the artifact, once.
func (s *copySource) survey(ctx context.Context, referrers bool) (*transfer.Graph, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.graph == nil {
		g, err := transfer.Survey(ctx, s.repository, s.descriptor, transfer.SurveyOptions{Referrers: referrers})
		if err != nil {
			return nil, err
		}
		s.graph = g
	}
	return s.graph, nil
}

// done says that one of the destinations needs the survey no more.
func (s *copySource) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.users == 0 {
		s.graph = nil
	}
}

// movedSince says that the tag of the source names something else by now: what was
// copied is what it named when the copy began.
func (s *copySource) movedSince(ctx context.Context) []string {
	if s.suffix()[0] != ':' {
		return nil
	}
	now, err := s.Resolve(ctx, s.Reference)
	switch {
	case err != nil:
		return []string{fmt.Sprintf("%s cannot be looked up any more (%v); what was copied is what it named when the copy began, %s", s.Target, err, s.descriptor.Digest)}
	case now.Digest != s.descriptor.Digest:
		return []string{fmt.Sprintf("%s names %s by now; what was copied is what it named when the copy began, %s", s.Target, now.Digest, s.descriptor.Digest)}
	}
	return nil
}

// nothing is a repository that is not there and is not to be made.
type nothing struct{}

func (nothing) Resolve(context.Context, string) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, errdef.ErrNotFound
}

func (nothing) Fetch(context.Context, ocispec.Descriptor) (io.ReadCloser, error) {
	return nil, errdef.ErrNotFound
}
func (nothing) Exists(context.Context, ocispec.Descriptor) (bool, error) { return false, nil }
func (nothing) Push(context.Context, ocispec.Descriptor, io.Reader) error {
	return errdef.ErrUnsupported
}

func (nothing) Tag(context.Context, ocispec.Descriptor, string) error { return errdef.ErrUnsupported }

func (nothing) Tags(context.Context, string, func([]string) error) error { return nil }

func (nothing) Referrers(context.Context, ocispec.Descriptor, string, func([]ocispec.Descriptor) error) error {
	return nil
}
