package modseal

import (
	"context"
	"errors"
	"fmt"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/trust"
)

// TrustUpdate says what is to be fetched from TUF.
type TrustUpdate struct {
	Names []string // empty: all that came from TUF before, or else that of the public-good instance
	// URL and RootFile are a TUF repository and its first root metadata, for one
	// name that the store does not have yet.
	URL      string
	RootFile string
}

// TrustUpdateResult is what an update brought.
type TrustUpdateResult struct {
	Store string              `json:"store"`
	Items []TrustUpdateChange `json:"items"`
}

// TrustUpdateChange is an item that was fetched.
type TrustUpdateChange struct {
	trust.Summary
	Changed bool `json:"changed"` // its bytes are not those of before, or there was none
}

// TrustUpdate fetches trusted roots and signing configurations from TUF and keeps
// them. Each repository stands for itself: what fails does not undo what was
// fetched before, and is returned with it.
func (c *Client) TrustUpdate(ctx context.Context, u TrustUpdate) (*TrustUpdateResult, error) {
	sources, err := c.trustSources(u)
	if err != nil {
		return nil, err
	}
	res := &TrustUpdateResult{Store: c.o.TrustDir, Items: []TrustUpdateChange{}}
	var failed []error
	for _, src := range sources {
		items, err := c.trustStore().Update(ctx, src, c.fetchOptions())
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", src.Name, err))
			continue
		}
		for _, it := range items {
			s, err := it.Describe(c.services.time())
			if err != nil {
				return res, err
			}
			res.Items = append(res.Items, TrustUpdateChange{Summary: s, Changed: it.Changed})
		}
	}
	return res, errors.Join(failed...)
}

func (c *Client) trustSources(u TrustUpdate) ([]trust.Source, error) {
	if (u.URL == "") != (u.RootFile == "") || u.URL != "" && len(u.Names) != 1 {
		return nil, fmt.Errorf("%w: a new TUF repository needs its URL, its first root metadata and one name for what comes from it", ErrUsage)
	}
	if u.URL != "" {
		initial, err := readSmall(u.RootFile, limits.TUFFileBytes)
		if err != nil {
			return nil, err
		}
		src := trust.Source{Name: u.Names[0], URL: u.URL, Initial: initial}
		if err := src.Check(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUsage, err)
		}
		return []trust.Source{src}, nil
	}
	known, err := c.trustStore().Sources()
	if err != nil {
		return nil, err
	}
	if len(u.Names) == 0 {
		if len(known) == 0 {
			known = []trust.Source{trust.PublicGood()}
		}
		return known, nil
	}
	var out []trust.Source
	for _, name := range u.Names {
		src, err := c.trustSource(name, known)
		if err != nil {
			return nil, err
		}
		out = append(out, src)
	}
	return out, nil
}

func (c *Client) trustSource(name string, known []trust.Source) (trust.Source, error) {
	for _, src := range known {
		if src.Name == name {
			return src, nil
		}
	}
	if name == trust.PublicGoodName {
		return trust.PublicGood(), nil
	}
	if _, err := c.trustStore().Named(name); err != nil {
		return trust.Source{}, err
	}
	return trust.Source{}, fmt.Errorf("%w: %s: %w", ErrUsage, name, trust.ErrNotRefreshable)
}
