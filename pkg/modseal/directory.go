package modseal

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/modseal/modseal/pkg/digestcache"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/source"
	"github.com/modseal/modseal/pkg/statement"
)

// DirectoryOptions say how a directory (or one file) is signed, digested or
// verified without a registry. The zero value takes whole files by SHA-256, reads
// every one of them and refuses symbolic links.
type DirectoryOptions struct {
	// FollowSymlinks takes what links that stay inside the directory point to, as
	// if it were there itself.
	FollowSymlinks bool
	// AllowSymlinks does the same, and a signature says that it was done.
	// Verifiers of OMS then follow links too (OMS v1.0 §6.1.1).
	AllowSymlinks bool
	// IgnorePaths are paths relative to the model that are left out, with what is
	// below them. For a verification they are files that may be there without being
	// signed, where the policies allow it.
	IgnorePaths []string
	// GitPaths takes what git keeps at the top of the directory for part of the
	// model.
	GitPaths bool
	// UseCache believes the digests that are remembered of files that were not
	// touched since they were read. It is a statement about this machine: who can
	// write to the state directory, or to the disk below the file system, decides
	// what a verification with it accepts.
	UseCache bool

	HashType    string // signing: of files and shards; empty means sha256
	ShardSize   int64  // signing: in bytes; 0 means whole files
	ShardSuffix bool   // signing: see statement.OMS

	Trust          TrustOptions // verifying
	IgnoreUnsigned bool         // verifying: accept files that are not signed
	// Strict refuses what the specification of today does not have, see
	// statement.Relaxation.
	Strict bool
	// LegacyPredicate accepts the signatures of model_signing 0.2 when the rules
	// are keys or certificates of the command line; policies say it themselves.
	LegacyPredicate bool
}

// SignDirectoryResult says what [Client.SignDirectory] did.
type SignDirectoryResult struct {
	Directory string `json:"directory"`
	Signature string `json:"signature"` // path of the bundle
	DirectoryDigest
}

// DirectoryDigest is what a model on disk is, as an OMS statement has it.
type DirectoryDigest struct {
	Root      string   `json:"root"` // hexadecimal OMS root digest, SHA-256
	Method    string   `json:"method"`
	HashType  string   `json:"hashType"`
	ShardSize int64    `json:"shardSize,omitempty"` // in bytes
	Files     int      `json:"files"`
	Size      int64    `json:"size"`             // of all files, in bytes
	Unread    int64    `json:"unread,omitempty"` // bytes that were not read, since the cache knew their digests
	Ignored   []string `json:"ignored,omitempty"`
	Warnings  []string `json:"warnings,omitempty"`
}

// DigestResult says what [Client.DigestDirectory] computed.
type DigestResult struct {
	Path string `json:"path"`
	DirectoryDigest
	Resources []DigestedResource `json:"resources,omitempty"` // in the order of the statement
}

// DigestedResource is a file, or with shards a range of one.
type DigestedResource struct {
	Name      string `json:"name"`
	Algorithm string `json:"algorithm"`
	Digest    string `json:"digest"` // hexadecimal
}

// SignDirectory signs the files below dir (or the one file dir) and writes the
// OMS bundle to the file signature, which is never part of what is signed; empty
// means [DefaultSignature].
//
// Reference: OpenSSF Model Signing specification 1.0.
func (c *Client) SignDirectory(ctx context.Context, dir, signature string, o SignOptions, d DirectoryOptions) (*SignDirectoryResult, error) {
	if signature == "" {
		var err error
		if signature, err = DefaultSignature(dir); err != nil {
			return nil, err
		}
	}
	if err := mayReplace(signature); err != nil {
		return nil, err
	}
	signer, err := c.signer(ctx, &o)
	if err != nil {
		return nil, err
	}
	if !signer.CanOMS() {
		return nil, fmt.Errorf("%w: no OMS signature: %s", ErrUsage, whyNoOMS(signer))
	}
	oms, result, err := c.directoryOMS(ctx, dir, signature, d)
	if err != nil {
		return nil, err
	}
	payload, err := oms.Payload()
	if err != nil {
		return nil, err
	}
	bundle, err := signer.Sign(ctx, payload, sign.FormOMS)
	if err != nil {
		return nil, err
	}
	if err := writeWhole(signature, append(bundle, '\n'), 0o644); err != nil {
		return nil, err
	}
	return &SignDirectoryResult{Directory: dir, Signature: signature, DirectoryDigest: *result}, nil
}

// DigestDirectory computes what [Client.SignDirectory] would sign.
func (c *Client) DigestDirectory(ctx context.Context, dir string, d DirectoryOptions) (*DigestResult, error) {
	oms, result, err := c.directoryOMS(ctx, dir, "", d)
	if err != nil {
		return nil, err
	}
	res := &DigestResult{Path: dir, DirectoryDigest: *result}
	for _, r := range oms.Resources {
		res.Resources = append(res.Resources, DigestedResource{Name: r.Name, Algorithm: r.Algorithm, Digest: r.Digest})
	}
	return res, nil
}

// directoryOMS reads the model and makes its statement.
func (c *Client) directoryOMS(ctx context.Context, dir, signature string, d DirectoryOptions) (*statement.OMS, *DirectoryDigest, error) {
	h, err := c.hasher(omsForm{d.HashType, d.ShardSize}, d)
	if err != nil {
		return nil, nil, err
	}
	ignore, err := ignorePaths(dir, signature, d)
	if err != nil {
		return nil, nil, err
	}
	tree, err := walkPlain(ctx, dir, d.FollowSymlinks || d.AllowSymlinks, statement.NewSubtrees(ignore...).Hold)
	if err != nil {
		return nil, nil, err
	}
	if err := h.bound(tree); err != nil {
		return nil, nil, fmt.Errorf("%w: %w; name a larger --shard-size", ErrUsage, err)
	}
	each, err := h.tree(ctx, tree)
	err = errors.Join(err, h.cache.Flush(context.WithoutCancel(ctx)))
	if err != nil {
		return nil, nil, err
	}
	oms, err := statement.NewOMSOf(filepath.Base(tree.Dir), slices.Concat(each...), statement.OMSOptions{
		HashType: h.hashType, ShardSize: h.shardSize, IgnorePaths: ignore,
		GitPaths: d.GitPaths, AllowSymlinks: d.AllowSymlinks, ShardSuffix: d.ShardSuffix,
	})
	if err != nil {
		return nil, nil, err
	}
	return oms, &DirectoryDigest{
		Root: oms.Root, Method: oms.Method, HashType: oms.HashType, ShardSize: oms.ShardSize,
		Files: len(tree.Files), Size: tree.Size(), Unread: h.unread.Load(), Ignored: tree.Excluded,
		Warnings: uncovered(tree, oms.Method),
	}, nil
}

func (c *Client) hasher(form omsForm, d DirectoryOptions) (*treeHasher, error) {
	if form.hashType == "" {
		form.hashType = statement.HashSHA256
	}
	if !slices.Contains(statement.HashTypes(), form.hashType) {
		return nil, fmt.Errorf("%w: hash type %q is none of %v", ErrUsage, form.hashType, statement.HashTypes())
	}
	if form.shardSize < 0 {
		return nil, fmt.Errorf("%w: a shard size of %d bytes", ErrUsage, form.shardSize)
	}
	var cache *digestcache.Cache
	if d.UseCache {
		cache = c.digests
	}
	return &treeHasher{omsForm: form, cache: cache}, nil
}

// uncovered names the files that are there and that no signature of this method
// can cover: shards have no entry for an empty file (OMS 1.0 §6.3.2), and even an
// empty file can change what a program does.
func uncovered(tree *source.Tree, method string) []string {
	if method != statement.MethodShards {
		return nil
	}
	var out []string
	for i := range tree.Files {
		if f := &tree.Files[i]; f.Size == 0 {
			out = append(out, fmt.Sprintf("%q is empty, and so not covered by a signature of shards", f.Path))
		}
	}
	return out
}
