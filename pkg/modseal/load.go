package modseal

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/transfer"
	"github.com/modseal/modseal/pkg/verify"
)

// LoadOptions change what [Client.Load] does. The zero value loads everything,
// and fails, since nobody is trusted.
type LoadOptions struct {
	// Trust is that of the site: what the archives bring is never used.
	Trust TrustOptions
	// SkipVerificationUnsafe loads models that nobody vouched for. Digests are still
	// checked.
	SkipVerificationUnsafe bool
	// Artifacts chooses by the full name of an artifact, what follows its host, its
	// tag or its digest; doublestar patterns. None means all.
	Artifacts []string
	// Bases are registries, layouts and archives in which blobs may be that the
	// archives leave out, besides the destination.
	Bases []string
	// DryRun checks everything, every byte of the archives that would be loaded
	// included, and writes nothing.
	DryRun bool
	// Overwrite moves tags that hold something else.
	Overwrite bool
	// Sparse loads into a layout also what lacks blobs.
	Sparse bool
	// Concurrency is how many blobs are moved at once; 0 means that of
	// transfer.CopyOptions.
	Concurrency int
	// Upload is how blobs are sent; empty means transfer.ModeAuto.
	Upload transfer.Mode
}

// LoadResult says what [Client.Load] did, or would do.
type LoadResult struct {
	Files     []string         `json:"files"`
	DryRun    bool             `json:"dryRun"`
	Artifacts []LoadedArtifact `json:"artifacts"`
	// Brought is what the archives say about trust. Nothing of it was used.
	Brought []BroughtTrust `json:"brought,omitempty"`
	transfer.CopyTraffic
	Warnings []string `json:"warnings,omitempty"`
}

// LoadedArtifact is one artifact and what became of it.
type LoadedArtifact struct {
	Name        string `json:"name,omitempty"` // in the archive, which is a claim
	File        string `json:"file"`           // the archive
	Destination string `json:"destination"`
	Digest      string `json:"digest"`
	MediaType   string `json:"mediaType"`
	// Verification says why each model in it is accepted: one, but for an index.
	Verification []verify.Report `json:"verification"`
	// Tag is what becomes of the tag of the destination; none is set for an artifact
	// that has no tag.
	Tag       TagChange `json:"tag"`
	Blobs     int       `json:"blobs"`     // that were moved, or would be
	Bytes     int64     `json:"bytes"`     // of these
	Existed   int       `json:"existed"`   // blobs that were there
	Mounted   int       `json:"mounted"`   // blobs that the registry had elsewhere
	Referrers int       `json:"referrers"` // signatures, attestations and others
	// LeftOut are blobs that neither the archives nor the destination have.
	LeftOut []MissingBlob       `json:"leftOut,omitempty"`
	Items   []transfer.CopyItem `json:"items"`
}

// BroughtTrust is trust material, or a policy, that lies in an archive. It says
// what whoever made the archive would like to be believed.
type BroughtTrust struct {
	File   string        `json:"file"`
	Kind   string        `json:"kind"` // BroughtMaterial or BroughtPolicy
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
}

// The kinds of BroughtTrust.
const (
	BroughtMaterial = "trust material"
	BroughtPolicy   = "policy"
)

// Load brings the artifacts of archives to dst with everything that is attached
// to them. dst is a repository or a layout for the artifacts of one repository,
// with or without a tag; a host with perhaps a prefix, or oci:PATH, and a slash at
// the end gives each repository its own below it.
//
// Each step is done for all artifacts before the next one is for any: the archives
// and their parts, what a difference relies on, signatures and policy under the
// name of the destination, its tags, the room on its disk. Only then blobs come,
// each compared with its digest, then manifests and what is attached to them. Tags
// are set when all of that is there. Nothing is written before everything is
// accepted, and what was written before a failure need not be written again.
//
// Errors: those of archive.Open; [*MissingError], [*NotLoadableError],
// *verify.Refusal, *verify.Undecided and the others of [Client.Verify];
// [*DriftError]; materialize.DiskFullError.
func (c *Client) Load(ctx context.Context, files []string, dst string, o LoadOptions) (_ *LoadResult, err error) {
	to, err := parseDestination(dst)
	if err != nil {
		return nil, err
	}
	if err := c.mayLoad(o, to); err != nil {
		return nil, err
	}
	held, err := openArchives(ctx, files)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, held.close()) }()
	if err := held.checkParts(ctx, c.o.Progress); err != nil {
		return nil, err
	}
	l := &loading{Client: c, o: o, held: held, to: to}
	if err := l.check(ctx); err != nil {
		return nil, err
	}
	if o.DryRun {
		err = l.rehearse(ctx)
	} else {
		err = l.perform(ctx)
	}
	if err != nil {
		return nil, err
	}
	return l.result(), nil
}

// loading is one call of Load.
type loading struct {
	*Client
	o         LoadOptions
	held      *archives
	to        destination
	bases     []*location
	shipments []*shipment
	written   map[string]*location // layouts, by their scope
	traffic   transfer.CopyTraffic
	warnings  []string
}

// check does everything that must be known before a byte is written.
func (l *loading) check(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		l.choose, l.openBases, l.survey, l.findBase, l.accept, l.lookAtTags, l.checkRoom,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// mayLoad refuses what cannot be asked for, before an archive is looked at.
func (c *Client) mayLoad(o LoadOptions, to destination) error {
	if o.Sparse && !to.isLayout() {
		return usagef("a registry takes no artifact that lacks blobs: sparse is for a layout (oci:PATH)")
	}
	if o.SkipVerificationUnsafe {
		return o.Trust.mayBeSkipped()
	}
	return nil
}

func (l *loading) result() *LoadResult {
	r := &LoadResult{
		Files: l.held.paths(), DryRun: l.o.DryRun, Brought: l.held.brought,
		CopyTraffic: l.traffic, Warnings: l.warnings,
	}
	for _, s := range l.shipments {
		r.Artifacts = append(r.Artifacts, s.loaded)
	}
	return r
}
