package modseal

import (
	"context"
	"errors"
	"fmt"

	"oras.land/oras-go/v2/errdef"
)

// ListEntry is one tag and the digest that it names now.
type ListEntry struct {
	Tag    string `json:"tag"`
	Digest string `json:"digest,omitempty"` // empty when the tag vanished meanwhile
}

// ListResult is what [Client.List] found.
type ListResult struct {
	Repository string      `json:"repository"`
	Tags       []ListEntry `json:"tags"`
}

// List lists the tags of the repository or layout that target names. Tags that
// hold referrers for registries without the referrers API are left out.
func (c *Client) List(ctx context.Context, target string) (*ListResult, error) {
	t, err := ParseTarget(target)
	if err != nil {
		return nil, err
	}
	t.Reference = ""
	l, err := c.open(t, false)
	if err != nil {
		return nil, err
	}
	res := &ListResult{Repository: t.String()}
	err = l.Tags(ctx, "", func(tags []string) error {
		for _, tag := range tags {
			if !isFallbackTag(tag) {
				res.Tags = append(res.Tags, ListEntry{Tag: tag})
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t, err)
	}
	for i := range res.Tags {
		desc, err := l.Resolve(ctx, res.Tags[i].Tag)
		if errors.Is(err, errdef.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%s: %w", t, res.Tags[i].Tag, err)
		}
		res.Tags[i].Digest = desc.Digest.String()
	}
	return res, nil
}

// isFallbackTag finds tags of the form sha256-<64 hex digits>, also with the
// suffixes of cosign's old layout: they hold referrers, not artifacts.
func isFallbackTag(tag string) bool {
	const prefix = "sha256-"
	if len(tag) < len(prefix)+64 || tag[:len(prefix)] != prefix {
		return false
	}
	for _, c := range tag[len(prefix) : len(prefix)+64] {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return false
		}
	}
	return true
}
