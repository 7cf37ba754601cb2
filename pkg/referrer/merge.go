package referrer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// mergeTries bounds how often a list is read anew since it changed meanwhile.
const mergeTries = 16

// mergeFallback adds entries to the list under the fallback tag, and returns how
// long it took from the last look at the tag until it was written.
func mergeFallback(ctx context.Context, t Target, subject ocispec.Descriptor, entries []Entry) (time.Duration, error) {
	for range mergeTries {
		index, err := openFallback(ctx, t, subject)
		if err != nil {
			return 0, err
		}
		missing := lacking(index.descriptors(), entries)
		if len(missing) == 0 {
			return 0, nil
		}
		was := digest.Digest("")
		if index == nil {
			index = newFallbackIndex()
		} else {
			was = index.digest
		}
		if err := index.addAll(subject, missing); err != nil {
			return 0, err
		}
		took, err := replaceFallback(ctx, t, subject, index, was)
		if err == nil || ctx.Err() != nil {
			return took, err
		}
		if errors.Is(err, errMoved) {
			if err := sleep(ctx, time.Millisecond, 50*time.Millisecond); err != nil {
				return 0, err
			}
			continue
		}
		// Some registries refuse an index with entries that are gone. Those are no
		// loss.
		dropped, lookErr := index.keep(func(d ocispec.Descriptor) (bool, error) { return t.Exists(ctx, plain(d)) })
		if lookErr != nil || !dropped {
			return 0, err
		}
		if took, err = replaceFallback(ctx, t, subject, index, was); !errors.Is(err, errMoved) {
			return took, err
		}
	}
	return 0, &NotListedError{Subject: subject.Digest, Referrer: entries[0].Descriptor.Digest}
}

func (x *fallbackIndex) addAll(subject ocispec.Descriptor, entries []Entry) error {
	if len(x.entries)+len(entries) > limits.Referrers {
		return &TooManyError{Subject: subject.Digest, What: "referrers", Limit: limits.Referrers}
	}
	for _, e := range entries {
		if err := x.add(e.Descriptor); err != nil {
			return err
		}
	}
	return nil
}

// errMoved says that somebody else wrote the list since it was read.
var errMoved = errors.New("the list has changed meanwhile")

// tagger is a target that takes a manifest by its tag at once, so that less time
// goes by between a look at the tag and its change.
type tagger interface {
	PushTagged(ctx context.Context, expected ocispec.Descriptor, content io.Reader, tag string) error
}

// replaceFallback writes the list, unless the tag holds something else than was
// any more.
func replaceFallback(ctx context.Context, t Target, subject ocispec.Descriptor, index *fallbackIndex, was digest.Digest) (time.Duration, error) {
	raw, err := artifacttypes.Marshal(index)
	if err != nil {
		return 0, err
	}
	if len(raw) > artifacttypes.MaxManifestBytes {
		return 0, &TooManyError{Subject: subject.Digest, What: "bytes in the list of referrers", Limit: artifacttypes.MaxManifestBytes}
	}
	desc, tag := describe(ocispec.MediaTypeImageIndex, raw), FallbackTag(subject.Digest)
	at, quick := t.(tagger)
	if !quick {
		if err := t.Push(ctx, desc, bytes.NewReader(raw)); err != nil {
			return 0, err
		}
	}
	looked := time.Now()
	now, err := t.Resolve(ctx, tag)
	if err != nil && !errors.Is(err, errdef.ErrNotFound) {
		return 0, err
	}
	if now.Digest != was {
		return 0, errMoved
	}
	if quick {
		err = at.PushTagged(ctx, desc, bytes.NewReader(raw), tag)
	} else {
		err = t.Tag(ctx, desc, tag)
	}
	return time.Since(looked), err
}
