package modseal

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/modseal/modseal/pkg/diff"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// DiffOptions say what [Client.Diff] compares besides. The zero value compares
// everything, and believes claims about who signed.
type DiffOptions struct {
	// Trust is by whom claims are verified, on each side under its own name; nil
	// means that nothing is verified, and that who signed is what bundles say of
	// themselves.
	Trust *TrustOptions
	// WithoutTensors leaves the headers of weight files unread.
	WithoutTensors bool

	mostTensors int // of tests; 0 means limits.DiffTensors
}

// DiffResult says in what two artifacts differ.
type DiffResult struct {
	A DiffSide `json:"a"`
	B DiffSide `json:"b"`
	// Equal means that there is no difference at all: the same digest, and the same
	// claims about it where they are compared.
	Equal bool `json:"equal"`
	// Other means that the manifests differ in something that is not told here, such
	// as the order of layers, or what a layer says about its file.
	Other   bool               `json:"other,omitempty"`
	Files   diff.FileChanges   `json:"files"`
	Tensors DiffTensors        `json:"tensors"`
	Fields  []diff.FieldChange `json:"fields"`
	Claims  diff.ClaimChanges  `json:"claims"`
	// ClaimsCompared is false when a side is a directory, which nothing refers to.
	ClaimsCompared bool `json:"claimsCompared"`
	// SignersVerified means that somebody was named to be trusted. Without that,
	// signers are what bundles say of themselves.
	SignersVerified bool        `json:"signersVerified"`
	Fetched         DiffFetched `json:"fetched"`
	Warnings        []string    `json:"warnings,omitempty"`
}

// DiffSide is one of the two.
type DiffSide struct {
	Reference string `json:"reference"`
	Digest    string `json:"digest"` // of the manifest; of a directory, that which pushing it would give
	Size      int64  `json:"size"`   // of all layers, in bytes
	Layers    int    `json:"layers"`
}

// DiffTensors is how tensors differ. Only headers were read, and of files that
// differ only; nothing vouches for a header until all of its file is read.
type DiffTensors struct {
	diff.TensorChanges
	Unread []DiffUnread `json:"unread,omitempty"`
}

// DiffUnread is a weight file that differs and whose tensors are not known.
type DiffUnread struct {
	Side string `json:"side"` // a or b
	Path string `json:"path"`
	Why  string `json:"why"`
}

// DiffFetched is what was read to tell, in bytes.
type DiffFetched struct {
	Metadata int64 `json:"metadata"` // manifests, configs, claims
	Configs  int64 `json:"configs"`  // small JSON files of the models
	Headers  int64 `json:"headers"`  // of weight files
}

// Total is all of it.
func (f DiffFetched) Total() int64 { return f.Metadata + f.Configs + f.Headers }

func (f *DiffFetched) add(o DiffFetched) {
	f.Metadata += o.Metadata
	f.Configs += o.Configs
	f.Headers += o.Headers
}

// Diff says in what the artifacts a and b differ: registry references, layouts,
// archives, or directories, which are compared as what pushing them would store.
//
// Each is resolved once, and compared by what manifests, configs, referrers and
// headers say. No byte of a tensor is fetched. It decides nothing: what differs may
// be right, and what is equal may be unsigned.
func (c *Client) Diff(ctx context.Context, a, b string, o DiffOptions) (*DiffResult, error) {
	most := cmp.Or(o.mostTensors, limits.DiffTensors)
	sides := [2]*diffSide{{name: "a", target: a, mostTensors: most}, {name: "b", target: b, mostTensors: most}}
	if err := both(ctx, sides, func(ctx context.Context, s *diffSide) error { return c.gather(ctx, s, o) }); err != nil {
		return nil, err
	}
	res := &DiffResult{A: sides[0].DiffSide, B: sides[1].DiffSide, SignersVerified: o.Trust != nil}
	res.Files = diff.Files(sides[0].files(), sides[1].files())
	sides[0].choose(res.Files, o)
	sides[1].choose(res.Files, o)
	pairHeaders(sides[0], sides[1])
	if err := both(ctx, sides, func(ctx context.Context, s *diffSide) error { return s.readFiles(ctx) }); err != nil {
		return nil, err
	}
	sides[0].forgetUnreadOf(sides[1])
	sides[1].forgetUnreadOf(sides[0])
	res.Tensors.TensorChanges = diff.Tensors(sides[0].tensors, sides[1].tensors)
	res.Fields = diff.Fields(sides[0].fields, sides[1].fields)
	same := res.A.Digest == res.B.Digest
	res.Claims = res.claims(sides, same)
	for _, s := range sides {
		res.Tensors.Unread = append(res.Tensors.Unread, s.unread...)
		res.Warnings = append(res.Warnings, s.warnings...)
		res.Fetched.add(s.fetched())
	}
	res.Other = !same && len(res.Files.Changes)+len(res.Fields) == 0
	res.Equal = same && len(res.Claims.Changes) == 0
	return res, nil
}

// claims compares claims, where both sides can have any.
func (r *DiffResult) claims(sides [2]*diffSide, same bool) diff.ClaimChanges {
	for _, s := range sides {
		if s.location == nil {
			r.Warnings = append(r.Warnings, s.Reference+" is a directory, which nothing refers to: claims are not compared")
			return diff.ClaimChanges{Changes: []diff.ClaimChange{}}
		}
	}
	r.ClaimsCompared = true
	return diff.Claims(sides[0].claims, sides[1].claims, same)
}

// both does the same to both sides at once. An error says of which target it is.
func both(ctx context.Context, sides [2]*diffSide, do func(context.Context, *diffSide) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range sides {
		group.Go(func() error {
			if err := do(ctx, s); err != nil {
				if strings.Contains(err.Error(), s.target) {
					return err
				}
				return fmt.Errorf("%s: %w", s.target, err)
			}
			return nil
		})
	}
	return group.Wait()
}
