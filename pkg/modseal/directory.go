package modseal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/source"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

// DirectoryOptions say how a directory is signed or verified without a
// registry.
type DirectoryOptions struct {
	FollowSymlinks bool
	IgnorePaths    []string     // signing: paths left out, with what is below them
	Trust          TrustOptions // verifying
	IgnoreUnsigned bool         // verifying: accept files that are not signed
}

// SignDirectoryResult says what [Client.SignDirectory] did.
type SignDirectoryResult struct {
	Directory string   `json:"directory"`
	Signature string   `json:"signature"` // path of the bundle
	Files     int      `json:"files"`
	Size      int64    `json:"size"`
	Root      string   `json:"root"` // hexadecimal OMS root digest
	Ignored   []string `json:"ignored,omitempty"`
}

// SignDirectory signs the files below dir (or the one file dir) and writes the
// OMS bundle to the file signature, which is never part of what is signed.
//
// Reference: OpenSSF Model Signing specification 1.0.
func (c *Client) SignDirectory(ctx context.Context, dir, signature string, o SignOptions, d DirectoryOptions) (*SignDirectoryResult, error) {
	if err := o.load(); err != nil {
		return nil, err
	}
	if !o.signer.CanOMS() {
		return nil, fmt.Errorf("%w: %s is an %s key; the OMS specification knows elliptic curve keys only (modseal keygen makes one)", ErrUsage, o.Key, o.signer.Public().Describe())
	}
	if err := mayReplace(signature); err != nil {
		return nil, err
	}
	ignore, err := ignorePaths(dir, signature, d.IgnorePaths)
	if err != nil {
		return nil, err
	}
	tree, err := walkPlain(ctx, dir, d.FollowSymlinks, func(p string) bool { return statement.Ignored(p, ignore) })
	if err != nil {
		return nil, err
	}
	resources, err := hashTree(ctx, tree, statement.MethodFiles, 0)
	if err != nil {
		return nil, err
	}
	oms, err := statement.NewOMS(filepath.Base(tree.Dir), resources, ignore)
	if err != nil {
		return nil, err
	}
	payload, err := oms.Payload()
	if err != nil {
		return nil, err
	}
	bundle, err := o.signer.Sign(ctx, payload, sign.FormOMS)
	if err != nil {
		return nil, err
	}
	if err := writeWhole(signature, append(bundle, '\n'), 0o644); err != nil {
		return nil, err
	}
	return &SignDirectoryResult{
		Directory: dir, Signature: signature, Files: len(tree.Files), Size: tree.Size(), Root: oms.Root, Ignored: tree.Excluded,
	}, nil
}

// VerifyDirectory decides whether the files below dir are those that the OMS
// bundle in the file signature signs. Every file is read.
func (c *Client) VerifyDirectory(ctx context.Context, dir, signature string, d DirectoryOptions) (*VerifyResult, error) {
	target := Target{Kind: KindDirectory, Path: dir}
	trusted, err := d.Trust.load(target.Scope())
	if err != nil {
		return nil, err
	}
	bundle, err := readSmall(signature, limits.BundleBytes)
	if err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	signed, err := verify.ParseDirectorySignature(signature, bundle)
	if err != nil {
		return nil, err
	}
	own := pathBelow(dir, signature)
	tree, err := walkPlain(ctx, dir, d.FollowSymlinks, func(p string) bool { return p == own || signed.Ignored(p) })
	if errors.Is(err, source.ErrEmpty) {
		// Nothing is there: the verifier says which signed files are missing.
		tree, err = &source.Tree{Dir: dir}, nil
	}
	if err != nil {
		return nil, err
	}
	// Nothing in the bundle is believed yet: a shard size of one byte must not
	// become a billion resources.
	if err := boundShards(tree, signed.ShardSize); err != nil {
		return nil, err
	}
	resources, err := hashTree(ctx, tree, signed.Method, signed.ShardSize)
	if err != nil {
		return nil, err
	}
	report, err := trusted.directory(ctx, dir, bundle, resources, tree.Single, d.IgnoreUnsigned)
	if err != nil {
		return nil, err
	}
	report.Warnings = append(report.Warnings, uncovered(tree, signed.Method)...)
	return &VerifyResult{Reference: target.String(), Verification: *report}, nil
}

// uncovered names the files that are there and that no signature of this method
// can cover: shards have no entry for an empty file (OMS 1.0 §5), and even an
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

// directory decides by the rules: their OMS signers, how many must have signed,
// and whether an unmet requirement refuses or warns.
func (t *trusted) directory(ctx context.Context, name string, bundle []byte, files []statement.Resource, single, ignoreUnsigned bool) (*verify.Report, error) {
	report, err := verify.Directory(ctx, name, bundle, files, single, t.omsKeys(), verify.DirectoryOptions{IgnoreUnsigned: ignoreUnsigned})
	if err == nil {
		report.Policy = t.rules.Name
		err = t.oneIsEnough(name)
	}
	var refusal *verify.Refusal
	if t.rules.Mode != policy.ModeWarn || !errors.As(err, &refusal) {
		return report, err
	}
	warned := &verify.Report{Subject: name, Decision: verify.Warned, Policy: t.rules.Name, Checks: refusal.Checks}
	for _, r := range refusal.Reasons {
		warned.Warnings = append(warned.Warnings, r.String())
	}
	return warned, nil
}

// oneIsEnough refuses rules that one signature file cannot meet.
func (t *trusted) oneIsEnough(name string) error {
	for _, req := range t.rules.Requirements {
		if req.Signature == nil || req.Signature.Threshold <= 1 {
			continue
		}
		return &verify.Refusal{Subject: name, Policy: t.rules.Name, Reasons: []verify.Reason{{
			Requirement: fmt.Sprintf("signatures by %d signers", req.Signature.Threshold),
			LookedFor:   fmt.Sprintf("%d signatures of the directory", req.Signature.Threshold),
			Found:       "one signature file, which holds one signature",
			Next:        "give directories a scope of their own in the policy, with prefix dir: and threshold 1",
		}}}
	}
	return nil
}

// omsKeys returns the keys whose OMS statements count by the rules.
func (t *trusted) omsKeys() []trust.Key {
	var keys []trust.Key
	for _, s := range t.rules.OMS().Signers {
		keys = append(keys, t.trust.Keys[s.Name])
	}
	return keys
}

// walkPlain lists every file but those that ignore names, whatever they are.
func walkPlain(ctx context.Context, dir string, follow bool, ignore func(string) bool) (*source.Tree, error) {
	return source.Walk(ctx, dir, source.Options{FollowSymlinks: follow, NoRoles: true, Ignore: ignore})
}

// ignorePaths returns what the signer leaves out, sorted: the defaults of OMS,
// the signature itself when it lies inside, and what the user names.
func ignorePaths(dir, signature string, user []string) ([]string, error) {
	paths := statement.DefaultIgnorePaths()
	if p := pathBelow(dir, signature); p != "" {
		paths = append(paths, p)
	}
	for _, p := range user {
		clean := filepath.ToSlash(filepath.Clean(p))
		if !filepath.IsLocal(clean) || clean == "." || strings.ContainsAny(clean, "*?[") {
			return nil, fmt.Errorf("%w: --ignore-path %q: a path below the directory is needed, without wildcards", ErrUsage, p)
		}
		paths = append(paths, clean)
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}

// pathBelow returns the slash path of file below dir, or "" when it is not
// there.
func pathBelow(dir, file string) string {
	rel, err := filepath.Rel(resolved(dir), filepath.Join(resolved(filepath.Dir(file)), filepath.Base(file)))
	if err != nil || !filepath.IsLocal(rel) || rel == "." {
		return ""
	}
	return filepath.ToSlash(rel)
}

func resolved(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return resolvedPath(abs)
}

// hashTree computes what an OMS statement says of the files: one resource a
// file, or one a shard.
func hashTree(ctx context.Context, tree *source.Tree, method string, shardSize int64) ([]statement.Resource, error) {
	each := make([][]statement.Resource, len(tree.Files))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range tree.Files {
		f := &tree.Files[i]
		g.Go(func() error {
			var err error
			if method == statement.MethodShards {
				each[i], err = hashShards(ctx, f, shardSize)
			} else {
				each[i], err = hashFile(ctx, f)
			}
			if err != nil {
				return err
			}
			return f.Unchanged()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(each...), nil
}

func hashFile(ctx context.Context, f *source.File) ([]statement.Resource, error) {
	desc, err := ingest.Digests{}.Ingest(ctx, ingest.Blob{
		Name: f.Path, Size: f.Size, Open: func() (io.ReadCloser, error) { return f.Open() },
	})
	if err != nil {
		return nil, err
	}
	return []statement.Resource{resource(f.Path, desc.Digest.Encoded())}, nil
}

func boundShards(tree *source.Tree, size int64) error {
	if size <= 0 {
		return nil
	}
	var n int64
	for i := range tree.Files {
		if n += tree.Files[i].Size/size + 1; n > limits.Files {
			return fmt.Errorf("%s: shards of %d bytes make more than %d of them", tree.Dir, size, limits.Files)
		}
	}
	return nil
}

func hashShards(ctx context.Context, f *source.File, size int64) ([]statement.Resource, error) {
	file, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var out []statement.Resource
	for _, s := range statement.Shards(f.Path, f.Size, size) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		h := sha256.New()
		if _, err := io.Copy(h, io.NewSectionReader(file, s.Start, s.End-s.Start)); err != nil {
			return nil, err
		}
		out = append(out, resource(s.Name, hex.EncodeToString(h.Sum(nil))))
	}
	return out, nil
}

// mayReplace refuses to write a signature over anything but a signature: a
// mistyped name must not cost a key or a file of the model.
func mayReplace(name string) error {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: %s is no file to write a signature to", ErrUsage, name)
	}
	var bundle struct {
		MediaType string `json:"mediaType"`
	}
	text, err := readSmall(name, limits.BundleBytes)
	if err != nil || json.Unmarshal(text, &bundle) != nil || !strings.HasPrefix(bundle.MediaType, artifacttypes.MediaTypeBundlePrefix) {
		return fmt.Errorf("%w: %s exists and is no signature; name another file", ErrUsage, name)
	}
	return nil
}

// writeWhole writes a file that is there whole or as it was before.
func writeWhole(name string, content []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
