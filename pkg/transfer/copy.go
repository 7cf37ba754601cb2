package transfer

import (
	"context"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/progress"
	"github.com/modseal/modseal/pkg/referrer"
)

// Source is what is copied from: a registry or a layout. A *remote.Repository
// is read through a [Fetcher].
type Source = referrer.Source

// Target is what is copied to: a registry or a layout. A *remote.Repository is
// written through an [Uploader].
type Target = referrer.Target

// CopyOptions change what and how [Copy] copies. The zero value copies the
// artifact alone.
type CopyOptions struct {
	// Referrers copies also what is attached to the artifact, to its children
	// when it is an index, and to what is attached.
	Referrers bool
	// LeaveOut names blobs that are neither looked for nor sent, for destinations that
	// take a manifest without them; nil means none.
	LeaveOut func(digest.Digest) bool
	// From are further repositories of the destination's registry that may have the
	// blobs, to mount them from; those that UploadOptions.Digests knows come after
	// them.
	From []string
	// Concurrency is how many blobs are moved at once: 4 when zero, 8 at most.
	Concurrency int
	// Upload says how blobs get into a registry; its Progress is not used.
	Upload UploadOptions
	// SpoolDir is a directory for large blobs on their way from one registry to
	// another, so that either side can go on where it was cut. Without one they
	// are sent as they come.
	SpoolDir string
	// DirectFrom is how fast a registry gives its blobs, in bytes a second, for them to
	// be sent on as they come and not through the spool: 17 MB/s for each when zero, never when
	// negative. A destination that is known not to keep what it has of a broken upload
	// gets them from the spool.
	DirectFrom int64
	// Berth is the place of the destination at a [Depot], when several destinations
	// get the same at the same time; it takes the place of SpoolDir.
	Berth *Berth
	// Label tells the destination from others in what Progress is told.
	Label string
	// Progress is told what moves; nil means nobody.
	Progress progress.Reporter
}

// label returns what is put behind the names of blobs.
func (o CopyOptions) label() string {
	if o.Label == "" {
		return ""
	}
	return " to " + o.Label
}

// survey returns what is looked at for the copy.
func (o CopyOptions) survey() SurveyOptions { return SurveyOptions{Referrers: o.Referrers} }

const (
	defaultConcurrency = 4
	maxConcurrency     = 8
)

// Outcome says how a blob or a manifest came to its destination.
type Outcome string

// The outcomes.
const (
	Existed Outcome = "existed" // it was there
	Mounted Outcome = "mounted" // the registry had it in another repository
	Copied  Outcome = "copied"
	// Listed is a referrer that was there, but not in the list of its subject.
	Listed Outcome = "listed"
	// LeftOut is a blob that CopyOptions.LeaveOut named.
	LeftOut Outcome = "left out"
)

// Kind says what was copied.
type Kind string

// The kinds.
const (
	KindBlob     Kind = "blob"
	KindManifest Kind = "manifest"
	KindReferrer Kind = "referrer"
)

// CopyItem is one blob or manifest of a copy.
type CopyItem struct {
	Kind      Kind          `json:"kind"`
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"`
	Outcome   Outcome       `json:"outcome"`
	// Subject is what a referrer is attached to.
	Subject digest.Digest `json:"subject,omitempty"`
}

// CopyTraffic says what a copy moved, in bytes of blobs.
type CopyTraffic struct {
	Fetched int64 `json:"fetched"` // came from the source
	Sent    int64 `json:"sent"`    // went to a registry
	// Kept is what need not be fetched, or sent, since an earlier copy that was
	// interrupted did.
	Kept int64 `json:"kept"`
}

// CopyResult says what a copy did, in the order in which it was begun.
type CopyResult struct {
	Root  digest.Digest `json:"root"`
	Items []CopyItem    `json:"items"`
	CopyTraffic
	// Warnings say what was not done as it should be, and did no harm.
	Warnings []string `json:"warnings,omitempty"`
}

// Copy copies the artifact root and all it names from src to dst, and with
// CopyOptions.Referrers all that is attached to it: [Survey], then [Send].
func Copy(ctx context.Context, src Source, dst Target, root ocispec.Descriptor, o CopyOptions) (*CopyResult, error) {
	g, err := Survey(ctx, src, root, o.survey())
	if err != nil {
		return nil, err
	}
	return Send(ctx, dst, g, o)
}

// plain is what identifies the content, without what is said about it.
func plain(d ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}
