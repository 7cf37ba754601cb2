package modseal

import (
	"context"
	"errors"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

// UnnamedError says that a target names a place, and nothing in it. It is an
// [ErrUsage].
type UnnamedError struct {
	Place string // as a target
}

func (e *UnnamedError) Error() string { return e.Place + " has no tag or digest" }

// Is has the error count as wrong usage.
func (e *UnnamedError) Is(target error) bool { return target == ErrUsage }

// Next says what to do about it.
func (e *UnnamedError) Next() string {
	return "see what is there, and name it: modseal list " + e.Place
}

// AbsentError says that a layout or an archive has nothing of the name that a target
// gives, or a repository no tag that a glob matches. It wraps errdef.ErrNotFound.
type AbsentError struct {
	Place string // as a target
	Err   error
}

func (e *AbsentError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *AbsentError) Unwrap() error { return e.Err }

// Next says what to do about it.
func (e *AbsentError) Next() string { return "see what is there: modseal list " + e.Place }

// find resolves the target's reference.
func (l *location) find(ctx context.Context) (ocispec.Descriptor, error) {
	if err := l.checkNamed(); err != nil {
		return ocispec.Descriptor{}, err
	}
	desc, err := l.Resolve(ctx, l.Reference)
	if err == nil {
		return desc, nil
	}
	err = fmt.Errorf("%s: %w", l.Target, err)
	if l.Kind != KindRegistry && errors.Is(err, errdef.ErrNotFound) {
		err = &AbsentError{Place: l.place(), Err: err}
	}
	return ocispec.Descriptor{}, err
}

// checkNamed refuses a target that names nothing in its place.
func (l *location) checkNamed() error {
	if l.Reference == "" {
		return &UnnamedError{Place: l.place()}
	}
	return nil
}

// place is the target without what it names there.
func (l *location) place() string {
	t := l.Target
	t.Reference = ""
	return t.String()
}
