package modseal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/modseal/modseal/pkg/digestcache"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/source"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/verify"
)

// VerifyDirectory decides whether the files below dir are those that the OMS
// bundles in the files signatures sign; without any, the one that is called as
// [DefaultSignature] has it, or model.sig inside. Every file is read once a
// signature by somebody whom the rules name was found good.
func (c *Client) VerifyDirectory(ctx context.Context, dir string, signatures []string, d DirectoryOptions) (*VerifyResult, error) {
	target := Target{Kind: KindDirectory, Path: dir}
	trusted, err := c.trusted(ctx, d.Trust, target.Scope())
	if err != nil {
		return nil, err
	}
	if len(signatures) == 0 {
		found, err := findSignature(dir)
		if err != nil {
			return nil, err
		}
		signatures = []string{found}
	}
	m, err := c.modelOnDisk(dir, signatures, d)
	if err != nil {
		return nil, err
	}
	bundles, err := m.readSignatures(signatures)
	if err != nil {
		return nil, err
	}
	subject := verify.DirectorySubject{Name: dir, Single: m.single, Resources: m.resources}
	report, err := verify.Directory(ctx, subject, bundles, m.compare, trusted.rulings...)
	err = errors.Join(err, m.cache().Flush(context.WithoutCancel(ctx)))
	if err != nil {
		return nil, err
	}
	if m.unread > 0 {
		m.warnings = append(m.warnings, fmt.Sprintf("%d bytes were not read, since its digests are remembered (--use-cache)", m.unread))
	}
	report.Warnings = append(report.Warnings, m.warnings...)
	return &VerifyResult{Reference: target.String(), Verification: *report}, nil
}

// modelOnDisk reads a model as signatures of it want it, each file once for each
// of their forms.
type modelOnDisk struct {
	client  *Client
	dir     string
	single  bool // it is one file
	options DirectoryOptions
	compare verify.DirectoryOptions
	own     map[string]bool // paths in the model of the signatures
	hashed  map[omsForm]map[string][]statement.Resource

	warnings []string
	unread   int64
}

func (c *Client) modelOnDisk(dir string, signatures []string, d DirectoryOptions) (*modelOnDisk, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	ignored, err := d.ignored()
	if err != nil {
		return nil, err
	}
	m := &modelOnDisk{
		client: c, dir: dir, single: !info.IsDir(), options: d,
		compare: verify.DirectoryOptions{
			IgnoreUnsigned: d.IgnoreUnsigned, Strict: d.Strict, GitPaths: d.GitPaths, LegacyPredicate: d.LegacyPredicate,
			Ignored: statement.NewSubtrees(ignored...),
		},
		own: map[string]bool{}, hashed: map[omsForm]map[string][]statement.Resource{},
	}
	for _, s := range signatures {
		if p := PathBelow(dir, s); p != "" {
			m.own[p] = true
		}
	}
	return m, nil
}

// readSignatures reads the bundles and believes nothing in them.
func (m *modelOnDisk) readSignatures(names []string) ([]*verify.DirectorySignature, error) {
	if len(names) > limits.Signatures {
		return nil, fmt.Errorf("%w: %d signatures, more than %d", ErrUsage, len(names), limits.Signatures)
	}
	var out []*verify.DirectorySignature
	for _, name := range names {
		bundle, err := readSmall(name, limits.BundleBytes)
		if err != nil {
			return nil, fmt.Errorf("signature: %w", err)
		}
		s, err := verify.ParseDirectorySignature(name, PathBelow(m.dir, name), bundle)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// resources implements the reading side of [verify.DirectorySubject]. It is only
// asked for signatures of trusted signers; still the walk and the number of
// shards are bounded.
func (m *modelOnDisk) resources(ctx context.Context, s *verify.DirectorySignature) ([]statement.Resource, error) {
	h, err := m.client.hasher(omsForm{s.HashType, s.ShardSize}, m.options)
	if err != nil {
		return nil, err
	}
	ignored := s.Ignored(m.compare)
	follow := m.options.FollowSymlinks || m.options.AllowSymlinks || s.FollowLinks
	tree, err := walkPlain(ctx, m.dir, follow, func(p string) bool { return m.own[p] || ignored.Hold(p) })
	if errors.Is(err, source.ErrEmpty) {
		// Nothing is there: the verifier says which signed files are missing.
		tree, err = &source.Tree{Dir: m.dir}, nil
	}
	if err != nil {
		return nil, err
	}
	done := m.hashed[h.omsForm]
	if done == nil {
		done = map[string][]statement.Resource{}
		m.hashed[h.omsForm] = done
	}
	missing := *tree
	missing.Files = slices.DeleteFunc(slices.Clone(tree.Files), func(f source.File) bool { return done[f.Path] != nil })
	each, err := h.tree(ctx, &missing)
	if err != nil {
		return nil, err
	}
	for i := range missing.Files {
		done[missing.Files[i].Path] = each[i]
	}
	m.unread += h.unread.Load()
	m.warnings = append(m.warnings, uncovered(&missing, h.method())...)
	var out []statement.Resource
	for i := range tree.Files {
		out = append(out, done[tree.Files[i].Path]...)
	}
	return out, nil
}

func (m *modelOnDisk) cache() *digestcache.Cache {
	if m.options.UseCache {
		return m.client.digests
	}
	return nil
}
