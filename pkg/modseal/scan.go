package modseal

import (
	"context"
	"fmt"
	"math"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/pack"
	"github.com/modseal/modseal/pkg/scan"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/statement"
)

// ScanOptions say how a model is scanned. The zero value works.
type ScanOptions struct {
	// Allow names Python globals that may stand in pickles besides those that always
	// may, exactly: argparse.Namespace.
	Allow       []string
	Concurrency int    // files at once; 0 means scan.DefaultConcurrency
	Version     string // of the program, for the report
	// Sign, when not nil, signs the result and attaches it to the artifact. Every
	// layer is fetched then, and what was scanned is compared with it.
	Sign *SignOptions
}

// ScanResult is what [Client.Scan] found.
type ScanResult struct {
	Reference string `json:"reference"`
	Digest    string `json:"digest,omitempty"` // empty of a directory
	*scan.Report
	// Proven says that the bytes that were examined are those of the artifact. Without
	// it they are what the registry said they are: a digest is that of a whole file, of
	// which a scan reads parts.
	Proven bool `json:"proven"`
	// Fetched is how many bytes were read from a registry.
	Fetched     int64      `json:"fetched"`
	Attestation *Signature `json:"attestation,omitempty"`
	Warnings    []string   `json:"warnings,omitempty"`
}

// Scan examines the model that target names, a directory or an artifact, for what can
// harm whoever loads it. Of large files it reads headers and pickles alone. Nothing is
// executed.
//
// What is found is no error: see [scan.Report]. With a signer the result is attached
// to the artifact, whatever it is.
func (c *Client) Scan(ctx context.Context, target string, o ScanOptions) (*ScanResult, error) {
	if err := scan.CheckAllowed(o.Allow); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	t, err := ParseTarget(target)
	if err != nil {
		return nil, err
	}
	v, a, err := c.viewTarget(ctx, target)
	if err != nil {
		return nil, err
	}
	if a == nil && o.Sign != nil {
		return nil, fmt.Errorf("%w: %s is a directory, and an attestation is attached to an artifact: push it with --scan, or scan what was pushed", ErrUsage, target)
	}
	v.meter.budget = math.MaxInt64 // pickles have no other size than their own
	res := &ScanResult{}
	files := v.files()
	var proof *scanProof
	switch {
	case a == nil:
		res.Reference = t.String()
		res.Warnings = ownAllowances(v.dirName())
	default:
		res.Reference, res.Digest = a.location.String(), a.descriptor.Digest.String()
		if o.Sign != nil {
			proof = newScanProof(v)
			files = proof.files(files)
		}
	}
	if res.Report, err = scan.Scan(ctx, files, o.scan(v)); err != nil {
		return nil, fmt.Errorf("%s: %w", res.Reference, err)
	}
	if proof != nil {
		err = c.attestScan(ctx, a, v, proof, o.Sign, res)
	}
	if v.remote() {
		res.Fetched = v.fetched()
	}
	return res, err
}

func (o *ScanOptions) scan(v *modelView) scan.Options {
	out := scan.Options{Allow: o.Allow, Concurrency: o.Concurrency, Version: o.Version}
	for _, u := range v.unreadable() {
		out.Unread = append(out.Unread, scan.Unread{Path: u.Path, Size: u.Size, Why: u.Why})
	}
	return out
}

// ownAllowances warns of what a model allows itself: its maker is not who scans it.
func ownAllowances(dir string) []string {
	o, err := readOverrides(dir)
	if err != nil || len(o.AllowGlobals) == 0 {
		return nil // what is wrong with it is for push to say
	}
	return []string{fmt.Sprintf("%s allows %d globals; that counts in a push by whoever wrote it, and not here: give --allow-global for each that you allow",
		filepath.Join(dir, pack.OverridesFile), len(o.AllowGlobals))}
}

// attestScan compares what was scanned with the artifact, and attaches the result.
func (c *Client) attestScan(ctx context.Context, a *artifact, v *modelView, proof *scanProof, o *SignOptions, res *ScanResult) error {
	signer, err := c.signer(ctx, o)
	if err != nil {
		return err
	}
	if err := proof.check(ctx); err != nil {
		return fmt.Errorf("%s: %w", res.Reference, err)
	}
	res.Proven = true
	if err := v.hashMembers(ctx); err != nil {
		return fmt.Errorf("%s: %w", res.Reference, err)
	}
	digests := map[string]string{}
	for _, e := range v.entries() {
		digests[e.Path] = hexSHA256(e.Digest)
	}
	for _, u := range v.unreadable() {
		digests[u.Path] = hexSHA256(digest.Digest(u.Digest))
	}
	predicate, err := res.Predicate(digests)
	if err != nil {
		return fmt.Errorf("%s: %w", res.Reference, err)
	}
	payload, err := statement.Attestation(a.descriptor.Digest, artifacttypes.PredicateScan, predicate)
	if err != nil {
		return fmt.Errorf("%s: %w", res.Reference, err)
	}
	attached, err := a.attest(ctx, claim{artifacttypes.PredicateScan, payload, sign.FormCosign}, signer)
	if err != nil {
		return err
	}
	res.Attestation = &attached
	return nil
}

// hexSHA256 is the hexadecimal of a SHA-256 digest, and empty of any other.
func hexSHA256(d digest.Digest) string {
	if d.Validate() != nil || d.Algorithm() != digest.SHA256 {
		return ""
	}
	return d.Encoded()
}
