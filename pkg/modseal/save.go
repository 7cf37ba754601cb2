package modseal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/archive"
	"github.com/modseal/modseal/pkg/verify"
)

// SaveOptions say whom to trust, and what goes into the archive. The zero value
// decides nothing.
type SaveOptions struct {
	Trust TrustOptions
	// SkipVerificationUnsafe saves what nobody vouched for. Digests are still
	// checked.
	SkipVerificationUnsafe bool

	// Since names what the other side has: archives that it loaded, inventories that
	// it sent, references and layouts that it mirrors. Layers that are there are
	// left out, and the archive can be loaded only where they are.
	Since []string
	// Include and Exclude are the roles of files that go in; empty means all. The
	// archive can be loaded only where the others are, or as a layout that lacks
	// them.
	Include, Exclude []artifacttypes.Role

	// WithTrust puts trust material into the archive: what has one of TrustNames in
	// the trust store, or without names all by which was decided.
	WithTrust  bool
	TrustNames []string
	// WithPolicy puts the policy into the archive by which was decided.
	WithPolicy bool

	PartSize    int64 // bytes of each part; 0 means one file
	DryRun      bool  // say what would be written, and write nothing
	Overwrite   bool  // replace a file that is there
	Concurrency int
	Tool        archive.Tool // that the archive names as its maker
}

// SaveResult says what [Client.Save] did, or would do.
type SaveResult struct {
	File      string          `json:"file"` // of a split archive the list of its parts
	DryRun    bool            `json:"dryRun"`
	Digest    digest.Digest   `json:"digest"` // of the archive's own manifest, and so of all that is in it
	Size      int64           `json:"size"`   // bytes of the archive, all parts together
	Parts     []archive.Part  `json:"parts,omitempty"`
	Artifacts []SavedArtifact `json:"artifacts"`
	Blobs     int             `json:"blobs"` // in the archive
	Bytes     int64           `json:"bytes"` // of these
	// Omitted are the layers that are not in the archive, once for each model that
	// has them.
	Omitted      []archive.Omitted `json:"omitted,omitempty"`
	OmittedBytes int64             `json:"omittedBytes,omitempty"` // each layer once
	Bases        []archive.Base    `json:"bases,omitempty"`
	// Trust and Policy are the digests of what the archive carries besides, which
	// the other side compares (modseal trust import --sha256).
	Trust  digest.Digest `json:"trust,omitempty"`
	Policy digest.Digest `json:"policy,omitempty"`

	Fetched  int64    `json:"fetched"` // bytes of blobs that were brought
	Kept     int64    `json:"kept"`    // bytes that an interrupted save had brought
	Reused   int64    `json:"reused"`  // bytes that an archive had that was there under the name
	Existed  bool     `json:"existed"` // the archive was there, and was proven by reading it
	Warnings []string `json:"warnings,omitempty"`
}

// SavedArtifact is an artifact that the archive was made to carry.
type SavedArtifact struct {
	Name      string        `json:"name"`
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"` // bytes of all it names, in the archive or not
	Referrers int           `json:"referrers"`
	// Verification is how each model of it was decided on; an index has several.
	Verification []verify.Report `json:"verification"`
}

// Save writes artifacts with everything that is attached to them into an archive:
// tags, globs of tags and lists of them (@FILE), of registries, layouts and other
// archives. Every tag is resolved once, and every model must be accepted before a
// layer is fetched or anything is written. See [archive.Write] for how a save that
// was interrupted is gone on with.
func (c *Client) Save(ctx context.Context, refs []string, file string, o SaveOptions) (*SaveResult, error) {
	if err := o.check(file); err != nil {
		return nil, err
	}
	s := &saving{Client: c, o: o, trust: map[string]*trusted{}, result: &SaveResult{File: file, DryRun: o.DryRun}}
	if err := s.gather(ctx, refs); err != nil {
		return nil, err
	}
	if err := s.accept(ctx); err != nil {
		return nil, err
	}
	plan, err := s.plan(ctx)
	if err != nil {
		return nil, err
	}
	s.result.Digest, s.result.Size = plan.Digest(), plan.Size()
	s.result.Blobs, s.result.Bytes = plan.Blobs()
	if o.DryRun {
		return s.result, nil
	}
	if err := s.write(ctx, plan, file); err != nil {
		return nil, err
	}
	return s.result, s.rememberAll(ctx)
}

func (o SaveOptions) check(file string) error {
	switch {
	case file == "":
		return fmt.Errorf("%w: no file is named to write the archive to", ErrUsage)
	case len(o.TrustNames) > 0 && !o.WithTrust:
		return fmt.Errorf("%w: trust material is named and none is to be in the archive", ErrUsage)
	case isDirectory(file):
		return fmt.Errorf("%w: %s is a directory; name the file in it to write", ErrUsage, file)
	case o.PartSize != 0 && o.PartSize < archive.MinPartSize:
		return fmt.Errorf("%w: parts of %d bytes are too small: at least %d are needed", ErrUsage, o.PartSize, archive.MinPartSize)
	case o.SkipVerificationUnsafe && o.WithPolicy:
		return fmt.Errorf("%w: the policy by which was decided is to be in the archive, and nothing is to be verified", ErrUsage)
	case o.SkipVerificationUnsafe && o.WithTrust && len(o.TrustNames) == 0:
		return fmt.Errorf("%w: what was trusted is to be in the archive, and nothing is to be verified; name what is meant", ErrUsage)
	}
	for _, r := range slices.Concat(o.Include, o.Exclude) {
		if !r.Valid() {
			return fmt.Errorf("%w: %q is no role of files", ErrUsage, r)
		}
	}
	return nil
}

func isDirectory(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// saving is one call of Save.
type saving struct {
	*Client

	o            SaveOptions
	trust        map[string]*trusted // by scope
	consignments []*consignment
	fetched      atomic.Int64
	result       *SaveResult
}

func (s *saving) warn(format string, a ...any) {
	s.result.Warnings = append(s.result.Warnings, fmt.Sprintf(format, a...))
}

func (s *saving) write(ctx context.Context, plan *archive.Plan, file string) error {
	written, err := archive.Write(ctx, plan, file, archive.WriteOptions{
		PartSize: s.o.PartSize, Concurrency: s.o.Concurrency, Overwrite: s.o.Overwrite, Progress: s.Client.o.Progress,
	})
	if err != nil {
		return err
	}
	s.result.File, s.result.Parts, s.result.Existed = written.File, written.Parts, written.Existed
	s.result.Fetched, s.result.Kept, s.result.Reused = s.fetched.Load(), written.Resumed, written.Reused
	if written.Changed || written.StartedOver {
		s.warn("an interrupted save had begun another archive at %s: a tag has moved since, or something else was asked for; what both have was kept", file)
	}
	return nil
}

// rememberAll notes what was accepted, as verify does.
func (s *saving) rememberAll(ctx context.Context) error {
	var errs []error
	for _, c := range s.consignments {
		for _, v := range c.permit.models {
			errs = append(errs, s.remember(ctx, v))
		}
	}
	return errors.Join(errs...)
}
