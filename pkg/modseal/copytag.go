package modseal

import (
	"context"
	"errors"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

// TagState says what a copy does to a tag, or would do.
type TagState string

// The states of a tag.
const (
	TagCreate TagState = "create" // it is not there
	TagSame   TagState = "same"   // it holds the artifact
	TagMove   TagState = "move"   // it holds something else, and may be moved
	TagDrift  TagState = "drift"  // it holds something else, and is not moved
)

// TagChange is what becomes of a tag.
type TagChange struct {
	State TagState `json:"state"`
	// Previous is the digest that the tag held, empty when it was not there.
	Previous string `json:"previous,omitempty"`
}

// planTag reads the tag of to and says what setTag would do with it. With TagDrift
// it returns a *DriftError.
func planTag(ctx context.Context, to *location, desc ocispec.Descriptor, o CopyOptions) (TagChange, error) {
	have, err := to.Resolve(ctx, to.Reference)
	want := desc.Digest.String()
	drift := &DriftError{Reference: to.Target.String(), Want: want, Expected: o.Expect}
	switch {
	case errors.Is(err, errdef.ErrNotFound) && o.Expect == "":
		return TagChange{State: TagCreate}, nil
	case errors.Is(err, errdef.ErrNotFound):
		return TagChange{State: TagDrift}, drift
	case err != nil:
		return TagChange{}, fmt.Errorf("%s: %w", to.Target, err)
	}
	drift.Have = have.Digest.String()
	change := TagChange{Previous: drift.Have}
	switch {
	case drift.Have == want:
		change.State = TagSame
	case o.Expect == drift.Have, o.Expect == "" && o.Overwrite:
		change.State = TagMove
	default:
		change.State = TagDrift
		return change, drift
	}
	return change, nil
}

// setTag gives the artifact, which the destination holds, the tag of to. It reads
// the tag just before, so that what came meanwhile is not lost: registries have no
// way to change a tag only if it is what it was. A tag that holds the artifact
// already is not written.
func setTag(ctx context.Context, to *location, desc ocispec.Descriptor, o CopyOptions) (TagChange, error) {
	change, err := planTag(ctx, to, desc, o)
	if err != nil || change.State == TagSame {
		return change, err
	}
	if err := to.Tag(ctx, desc, to.Reference); err != nil {
		return change, fmt.Errorf("%s: tag: %w", to.Target, err)
	}
	return change, nil
}
