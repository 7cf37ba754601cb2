package modseal

import (
	"context"

	"github.com/modseal/modseal/pkg/inventory"
)

// Inventory lists what is at the targets, for a far side that is not to send it
// again: repositories, tags and globs of tags, layouts and archives; without a tag
// everything that is there.
func (c *Client) Inventory(ctx context.Context, targets []string) (*inventory.Inventory, error) {
	h, err := c.holdings(ctx, targets)
	if err != nil {
		return nil, err
	}
	return h.inventory(), nil
}
