package modseal

import (
	"context"
	"fmt"
	"strings"

	"github.com/modseal/modseal/pkg/store"
)

// GCResult is what [Client.GC] removed, or would remove.
type GCResult struct {
	Layout string `json:"layout"`
	DryRun bool   `json:"dryRun,omitempty"`
	store.CollectResult
}

// GC removes from the layout that target names the blobs that nothing refers to:
// see [store.Layout.Collect]. The result says also after an error what was removed.
func (c *Client) GC(ctx context.Context, target string, o store.CollectOptions) (*GCResult, error) {
	t, err := ParseTarget(target)
	if err != nil && !strings.HasPrefix(target, "oci:") {
		return nil, fmt.Errorf("%w: %s: an OCI layout (oci:PATH) is needed", ErrUsage, target)
	}
	if err != nil {
		return nil, err
	}
	if t.Kind != KindLayout || t.Reference != "" {
		return nil, fmt.Errorf("%w: %s: an OCI layout without a tag or digest (oci:PATH) is needed", ErrUsage, t)
	}
	layout, err := store.Open(t.Path)
	if err != nil {
		return nil, err
	}
	defer layout.Close()
	res := &GCResult{Layout: t.String(), DryRun: o.DryRun}
	res.CollectResult, err = layout.Collect(ctx, o)
	return res, err
}
