package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

// Untag takes a tag away. The manifest that had it stays, as it does in a registry.
// The error wraps errdef.ErrNotFound when nothing has the tag.
func (l *Layout) Untag(ctx context.Context, tag string) error {
	if !tagForm.MatchString(tag) {
		return fmt.Errorf("tag %q: %w", tag, errdef.ErrInvalidReference)
	}
	return l.updateIndex(ctx, func(ix *layoutIndex) error {
		var entries, untagged []ocispec.Descriptor
		for _, e := range ix.Manifests {
			if e.Annotations[ocispec.AnnotationRefName] == tag {
				untagged = append(untagged, withAnnotation(e, ocispec.AnnotationRefName, ""))
			} else {
				entries = append(entries, e)
			}
		}
		if untagged == nil {
			return fmt.Errorf("%s: tag %q: %w", l.path, tag, errdef.ErrNotFound)
		}
		ix.Manifests = entries
		for _, e := range untagged {
			ix.add(e)
		}
		return nil
	})
}

// Delete removes a manifest with its tags, and from the list of the referrers of its
// subject. What it refers to, and what refers to it, stays: [Layout.Collect] takes
// what nothing needs any more. The error wraps errdef.ErrNotFound when there is no
// such manifest.
func (l *Layout) Delete(ctx context.Context, d digest.Digest) error {
	desc, err := l.Resolve(ctx, d.String())
	if err != nil {
		return err
	}
	// One that is damaged can be deleted all the same; what is in a list about it,
	// readers of the list leave out.
	h, _ := l.reading.header(desc)
	err = l.updateIndex(ctx, func(ix *layoutIndex) error {
		ix.Manifests = slices.DeleteFunc(ix.Manifests, func(e ocispec.Descriptor) bool { return e.Digest == d })
		if h == nil || h.Subject == nil {
			return nil
		}
		return l.unlistReferrer(ix, h.Subject.Digest, d)
	})
	if err != nil {
		return err
	}
	// Only now: index.json names nothing that is not there.
	return l.removeBlob(d)
}

// unlistReferrer takes d out of the lists of the subject's referrers in ix.
func (l *Layout) unlistReferrer(ix *layoutIndex, subject, d digest.Digest) error {
	var entries []ocispec.Descriptor
	for _, e := range ix.Manifests {
		if !listsReferrersOf(e, subject) {
			entries = append(entries, e)
			continue
		}
		listed, err := l.reading.list(e)
		if err != nil {
			entries = append(entries, e) // no list that anybody can read
			continue
		}
		rest := slices.DeleteFunc(listed, func(r ocispec.Descriptor) bool { return r.Digest == d })
		if len(rest) == 0 {
			continue
		}
		list, err := l.storeReferrers(subject, rest)
		if err != nil {
			return err
		}
		list.Annotations = e.Annotations
		entries = append(entries, list)
	}
	ix.Manifests = entries
	return nil
}

// DeleteBlob removes a blob, whatever refers to it. The error wraps
// errdef.ErrNotFound when it is not there, or is a manifest that index.json lists.
func (l *Layout) DeleteBlob(ctx context.Context, d digest.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ix, err := l.readIndex()
	if err != nil {
		return fmt.Errorf("%s: %w", l.path, err)
	}
	if _, listed := ix.entry(d); listed {
		return fmt.Errorf("%s: %s is a manifest and no blob: %w", l.path, d, errdef.ErrNotFound)
	}
	return l.removeBlob(d)
}

func (l *Layout) removeBlob(d digest.Digest) error {
	name, err := blobPath(d)
	if err != nil {
		return err
	}
	if _, err = l.statRegular(name); err == nil {
		err = l.root.Remove(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = errdef.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("%s: %s: %w", l.path, d, err)
	}
	return nil
}
