package modseal

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/pkg/archive"
)

// ListEntry is one tag and the digest that it names now.
type ListEntry struct {
	// Tag is empty for what an archive holds without a name.
	Tag    string `json:"tag"`
	Digest string `json:"digest,omitempty"` // empty when the tag vanished meanwhile
	// Names are the full names that an archive gives it, which nobody vouches for.
	Names []string `json:"names,omitempty"`
}

// ListResult is what [Client.List] found.
type ListResult struct {
	Repository string      `json:"repository"`
	Tags       []ListEntry `json:"tags"`
}

// List lists the tags of the repository or layout that target names, or the
// artifacts of an archive. Tags that hold referrers for registries without the
// referrers API are left out.
func (c *Client) List(ctx context.Context, target string) (*ListResult, error) {
	t, err := ParseTarget(target)
	if err != nil {
		return nil, err
	}
	t.Reference = ""
	l, err := c.open(ctx, t, false)
	if err != nil {
		return nil, err
	}
	if l.archive != nil {
		return listArchive(ctx, t, l.archive)
	}
	res := &ListResult{Repository: t.String(), Tags: []ListEntry{}}
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

// listArchive lists what an archive was made to carry, by the names that can be
// given behind its path.
func listArchive(ctx context.Context, t Target, a *archive.Archive) (*ListResult, error) {
	artifacts, err := a.Artifacts(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t, err)
	}
	res := &ListResult{Repository: t.String(), Tags: []ListEntry{}}
	for _, artifact := range slices.DeleteFunc(artifacts, isCompanion) {
		entry := ListEntry{Digest: artifact.Descriptor.Digest.String(), Names: artifact.Names}
		if len(artifact.Labels) > 0 {
			entry.Tag = artifact.Labels[0]
		}
		res.Tags = append(res.Tags, entry)
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
