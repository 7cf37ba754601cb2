package modseal

import (
	"context"
	"errors"
	"fmt"

	"github.com/modseal/modseal/pkg/verify"
)

// reread makes sure that neither tag was moved since this began.
func (p *promoting) reread(ctx context.Context) (StepOutcome, string, error) {
	if p.from.tagged() {
		now, err := p.from.Resolve(ctx, p.from.Reference)
		was := p.model.descriptor.Digest
		switch {
		case isNotFound(err):
			return "", "", &MovedError{Reference: p.from.String(), Was: was.String()}
		case err != nil:
			return "", "", fmt.Errorf("%s: %w", p.from.Target, err)
		case now.Digest != was:
			return "", "", &MovedError{Reference: p.from.String(), Was: was.String(), Is: now.Digest.String()}
		}
	}
	if !p.to.tagged() {
		return StepDone, "the source is as it was", nil
	}
	if _, err := planTag(ctx, p.dst, p.model.descriptor, p.tagOptions()); err != nil {
		return "", "", err
	}
	return StepDone, "both tags are as they were", nil
}

// setTag sets the tag of the destination to what was verified there.
func (p *promoting) setTag(ctx context.Context) (StepOutcome, string, error) {
	if !p.to.tagged() {
		return StepNothing, "no tag is asked for", nil
	}
	change, err := tagVerified(ctx, p.delivered, p.dst, p.tagOptions())
	if err != nil {
		return "", "", err
	}
	if change.State == TagSame {
		return StepNothing, p.to.String() + " holds it already", nil
	}
	return StepDone, p.to.String() + " is set", nil
}

// tagVerified names what was verified at the destination.
func tagVerified(ctx context.Context, v verify.Verified, to *location, o CopyOptions) (TagChange, error) {
	if !v.Valid() {
		return TagChange{}, errors.New("what was not verified gets no tag")
	}
	return setTag(ctx, to, v.Descriptor(), o)
}

// tagOptions let the tag be moved from what it held when the promotion was
// planned, and from nothing else.
func (p *promoting) tagOptions() CopyOptions {
	if p.tag.Previous == "" {
		return CopyOptions{}
	}
	return CopyOptions{Overwrite: true, Expect: p.tag.Previous}
}
