package modseal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/materialize"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/verify"
)

// PullOptions say whom to trust and what to write.
type PullOptions struct {
	Trust TrustOptions
	// SkipVerificationUnsafe writes files that nobody vouched for. Digests are
	// still checked.
	SkipVerificationUnsafe bool

	Include     []string             // doublestar patterns of paths; empty means all
	Roles       []artifacttypes.Role // empty means all
	Check       bool                 // compare what is there by content, not by file status
	Overwrite   bool                 // replace files that no pull wrote
	NoResume    bool                 // throw away what an interrupted pull left
	Concurrency int
}

// PullResult says what [Client.Pull] did.
type PullResult struct {
	Reference    string              `json:"reference"`
	Digest       string              `json:"digest"`
	Verification verify.Report       `json:"verification"`
	Files        *materialize.Result `json:"result"`
	// Sources are the hosts that content came from in this pull, when one of
	// them is a mirror; empty when all came from the registry.
	Sources []remote.Source `json:"sources,omitempty"`
}

// Pull resolves target once, verifies what it names, and writes its files below
// dir. Nothing appears under a final name unless everything is good.
func (c *Client) Pull(ctx context.Context, target, dir string, o PullOptions) (*PullResult, error) {
	l, err := c.openTarget(ctx, target)
	if err != nil {
		return nil, err
	}
	before := c.registry.Sources()
	// Whom to trust is known before the registry is asked anything.
	trust, err := c.trustedUnlessSkipped(ctx, o, l.Scope())
	if err != nil {
		return nil, err
	}
	a, err := l.resolve(ctx)
	if err != nil {
		return nil, err
	}
	v, err := a.verify(ctx, trust)
	if err != nil {
		return nil, err
	}
	state, err := c.stateFile(dir)
	if err != nil {
		return nil, err
	}
	res, err := materialize.Materialize(ctx, v, l.blobs, dir, materialize.Options{
		StateFile: state, Check: o.Check, Overwrite: o.Overwrite, NoResume: o.NoResume,
		Include: o.Include, Roles: o.Roles, Concurrency: o.Concurrency, Progress: c.o.Progress,
	})
	if err != nil {
		return nil, err
	}
	if err := c.remember(ctx, v); err != nil {
		return nil, err
	}
	return &PullResult{
		Reference: l.String(), Digest: a.descriptor.Digest.String(),
		Verification: v.Report(), Files: res, Sources: mirrorsSince(c.registry.Sources(), before),
	}, nil
}

// trustedUnlessSkipped returns nil when nothing is to be verified, which the
// policies of the site do not allow.
func (c *Client) trustedUnlessSkipped(ctx context.Context, o PullOptions, scope string) (*trusted, error) {
	if !o.SkipVerificationUnsafe {
		return c.trusted(ctx, o.Trust, scope)
	}
	return nil, o.Trust.mayBeSkipped() // no rules is what was asked for
}

// mayBeSkipped refuses to verify nothing where a policy of the site holds.
func (o TrustOptions) mayBeSkipped() error {
	for _, file := range o.SitePolicyFiles {
		if there(file) {
			return &SitePolicyError{File: file}
		}
	}
	return nil
}

// SitePolicyError says that verification was to be skipped where a policy of the
// site holds.
type SitePolicyError struct{ File string }

func (e *SitePolicyError) Error() string {
	return fmt.Sprintf("verification is not to be skipped here: %s holds for everybody on this machine", e.File)
}

// mirrorsSince returns what came from where since before, or nothing when no
// mirror had a part in it. Other pulls of the same client at the same time are
// counted too.
func mirrorsSince(now, before []remote.Source) []remote.Source {
	var out []remote.Source
	for _, s := range now {
		for _, b := range before {
			if b.Host == s.Host && b.Mirror == s.Mirror {
				s.Bytes -= b.Bytes
			}
		}
		if s.Bytes > 0 {
			out = append(out, s)
		}
	}
	if !slices.ContainsFunc(out, func(s remote.Source) bool { return s.Mirror }) {
		return nil
	}
	return out
}

// resolvedPath resolves the links of the part of an absolute path that exists:
// the directory of a first pull is made later, below parents that may be links.
func resolvedPath(abs string) string {
	rest := ""
	for dir := abs; ; {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			return filepath.Join(real, rest)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return abs
		}
		rest = filepath.Join(filepath.Base(dir), rest)
		dir = parent
	}
}

// stateFile returns where the record of pulls into dir is kept. It lies outside
// of dir: the directory is to hold the model and nothing else, or it would not
// be what was signed.
func (c *Client) stateFile(dir string) (string, error) {
	if c.o.StateDir == "" {
		return "", nil
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(resolvedPath(abs)))
	return filepath.Join(c.o.StateDir, "pulls", hex.EncodeToString(sum[:16])+".json"), nil
}
