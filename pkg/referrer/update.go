package referrer

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

// Entry is a referrer as it is to be listed, and the bytes of its manifest.
type Entry struct {
	// Descriptor has the artifact type and the annotations of the manifest.
	Descriptor ocispec.Descriptor
	Raw        []byte
}

// Add makes the target list referrers of subject whose manifests it holds
// already, all of them with one change of the list. An entry whose manifest names
// another subject is a *NotListedError.
func Add(ctx context.Context, t Target, subject ocispec.Descriptor, entries ...Entry) error {
	checked := make([]Entry, 0, len(entries))
	for _, e := range entries {
		node, of, err := decode(e.Descriptor, e.Raw)
		if err != nil {
			return &ListingError{Referrer: e.Descriptor.Digest, Announced: e.Descriptor.MediaType, Err: err}
		}
		if of == nil || of.Digest != subject.Digest {
			return &NotListedError{Subject: subject.Digest, Referrer: e.Descriptor.Digest}
		}
		checked = append(checked, Entry{node.Descriptor, e.Raw})
	}
	if len(checked) == 0 {
		return nil
	}
	unlock, err := lockSubject(ctx, t, subject)
	if err != nil {
		return err
	}
	return update(ctx, t, subject, checked, unlock)
}

const (
	listedWithin = 30 * time.Second // zot was seen 14 s behind (zot#3839)
	updateTries  = 8
)

// update makes the target list entries. It is called with the subject locked and
// calls unlock.
//
// Without a referrers API, nothing keeps two writers from each other but what they
// do themselves (registries.md §5): within a machine a lock; between machines each
// looks, just before it writes, whether the list is still the one that it read,
// waits longer afterwards than others are likely to take for that, and reads the
// list back. What is missing then is added again.
func update(ctx context.Context, t Target, subject ocispec.Descriptor, entries []Entry, unlock func()) error {
	missing := entries
	for range updateTries {
		took, err := enlist(ctx, t, subject, missing)
		unlock()
		if err != nil || !isRegistry(t) {
			return err
		}
		// Whoever read the list before the entries got into it and writes it now,
		// client or registry, drops them. The wait is longer than most of them
		// take, and differs so that those who collided do not do so again.
		if err := sleep(ctx, 50*time.Millisecond+2*took, 200*time.Millisecond+2*took); err != nil {
			return err
		}
		if missing, err = unlisted(ctx, t, subject, entries); err != nil || len(missing) == 0 {
			return err
		}
		if err := sleep(ctx, 50*time.Millisecond, 500*time.Millisecond); err != nil {
			return err
		}
		if unlock, err = lockSubject(ctx, t, subject); err != nil {
			return err
		}
	}
	unlock()
	return &NotListedError{Subject: subject.Digest, Referrer: missing[0].Descriptor.Digest}
}

// unlisted returns the entries that the target does not list.
func unlisted(ctx context.Context, t Target, subject ocispec.Descriptor, entries []Entry) ([]Entry, error) {
	listed, err := Listed(ctx, t, subject)
	if err != nil {
		return nil, err
	}
	return lacking(listed, entries), nil
}

func lacking(listed []ocispec.Descriptor, entries []Entry) []Entry {
	has := make(map[digest.Digest]bool, len(listed))
	for _, d := range listed {
		has[d.Digest] = true
	}
	return slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool { return has[e.Descriptor.Digest] })
}

// enlist has the entries listed, by the target itself or under the fallback tag, and
// returns how long others had to change what was read before it was written.
func enlist(ctx context.Context, t Target, subject ocispec.Descriptor, entries []Entry) (took time.Duration, err error) {
	natively, err := nativelyLists(ctx, t, subject, entries)
	if err != nil || natively {
		return 0, err
	}
	return mergeFallback(ctx, t, subject, entries)
}

// nativelyLists waits until the target itself lists the entries. It returns false
// when the target keeps no lists, or says it does and lists nothing at all.
func nativelyLists(ctx context.Context, t Target, subject ocispec.Descriptor, entries []Entry) (bool, error) {
	deadline := time.Now().Add(listedWithin)
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		listed, err := native(ctx, t, subject)
		if errors.Is(err, errdef.ErrUnsupported) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		missing := lacking(listed, entries)
		if len(missing) == 0 {
			return true, nil
		}
		if time.Now().Add(wait).After(deadline) {
			if len(listed) == 0 {
				return false, nil
			}
			return false, &NotListedError{Subject: subject.Digest, Referrer: missing[0].Descriptor.Digest}
		}
		if err := sleep(ctx, wait, 2*wait); err != nil {
			return false, err
		}
		// A registry that lost an entry to a concurrent push takes it up when the
		// manifest is pushed again; one that is only late does not mind.
		for _, e := range missing {
			if err := t.Push(ctx, plain(e.Descriptor), bytes.NewReader(e.Raw)); err != nil {
				return false, err
			}
		}
	}
}

// plain is what identifies the content, without what is said about it.
func plain(d ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}

// sleep waits for a random time between the two.
func sleep(ctx context.Context, least, most time.Duration) error {
	timer := time.NewTimer(least + rand.N(most-least)) //nolint:gosec // jitter needs no secrecy
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
