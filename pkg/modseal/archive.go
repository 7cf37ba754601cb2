package modseal

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/pkg/archive"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/transfer"
)

// openArchive opens an archive to be read, and nothing else: it is written as a
// whole.
func (c *Client) openArchive(ctx context.Context, t Target) (*location, error) {
	a, err := archive.Open(ctx, t.Path, archive.OpenOptions{})
	if err != nil {
		return nil, err
	}
	if a.Parts() != nil {
		// Whichever part it was opened by, policies know it by one name.
		t.Path = filepath.Join(filepath.Dir(t.Path), filepath.Base(strings.TrimSuffix(a.Path(), archive.PartsName(""))))
	}
	return &location{
		Target: t, repository: a, blobs: a, archive: a,
		ingester: func(transfer.UploadOptions) ingest.Ingester { return readOnly{} },
	}, nil
}

// readOnly is the Ingester of what is not written to.
type readOnly struct{}

func (readOnly) Ingest(context.Context, ingest.Blob) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, archive.ErrReadOnly
}

// ChoiceError says that an archive has several artifacts, or none, where one was
// to be chosen without a name.
type ChoiceError struct {
	Archive string   // as a target
	Targets []string // of the artifacts that there are
}

func (e *ChoiceError) Error() string {
	if len(e.Targets) == 0 {
		return e.Archive + " has no artifacts"
	}
	const most = 20
	var b strings.Builder
	fmt.Fprintf(&b, "%s has %d artifacts; name one:", e.Archive, len(e.Targets))
	for i, t := range e.Targets {
		if i == most {
			fmt.Fprintf(&b, "\n  and %d more", len(e.Targets)-i)
			break
		}
		b.WriteString("\n  " + t)
	}
	return b.String()
}

// Is has the error count as wrong usage, and as what does not exist in an archive
// without artifacts.
func (e *ChoiceError) Is(target error) bool {
	if len(e.Targets) == 0 {
		return target == errdef.ErrNotFound
	}
	return target == ErrUsage
}

// isCompanion reports whether all tags of an artifact are such that hold what
// cosign attached to others.
func isCompanion(a archive.Artifact) bool {
	return len(a.Tags) > 0 && !slices.ContainsFunc(a.Tags, func(tag string) bool {
		return !isFallbackTag(tag[strings.LastIndexByte(tag, ':')+1:])
	})
}

// chooseArtifact gives a target that names an archive and nothing in it the name
// of the one artifact that there is. Several are an error that lists them.
func (l *location) chooseArtifact(ctx context.Context) error {
	if l.archive == nil || l.Reference != "" {
		return nil
	}
	artifacts, err := l.archive.Artifacts(ctx)
	if err != nil {
		return err
	}
	artifacts = slices.DeleteFunc(artifacts, isCompanion)
	if len(artifacts) == 1 {
		l.Reference = artifacts[0].Label()
		return nil
	}
	e := &ChoiceError{Archive: l.String()}
	for _, a := range artifacts {
		t := l.Target
		t.Reference = a.Label()
		e.Targets = append(e.Targets, t.String())
	}
	return e
}
