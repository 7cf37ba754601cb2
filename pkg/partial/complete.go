package partial

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/progress"
)

// Way says how the bytes of a [File] come.
type Way struct {
	// Bring writes what is missing, and tells moved of bytes as they come.
	Bring func(ctx context.Context, moved func(int64)) error
	// Rejected is called when the bytes turned out not to be the blob. It reports
	// whether they may be when all of them are brought again; nil means no.
	Rejected func() bool
	// Finish ends the file as [File.Finish] does.
	Finish func(ctx context.Context) error
	// Name is that of the blob for Progress; nil means that nobody is told.
	Name     string
	Progress progress.Reporter
}

// Complete brings f to its end. Bytes that are not the blob are brought again as
// often as there is another way; what an earlier process left may have been
// tampered with, which shows only then. With an error f is still open; see
// [File.Finish].
func (f *File) Complete(ctx context.Context, w Way) error {
	report := progress.OrNone(w.Progress)
	for {
		var came atomic.Int64
		taken := f.Taken()
		if taken > 0 {
			report.Reuse(w.Name, taken)
		}
		err := w.Bring(ctx, func(n int64) {
			came.Add(n)
			report.Advance(w.Name, n)
		})
		if err != nil {
			return err
		}
		err = w.Finish(ctx)
		var bad *integrity.Error
		if !errors.As(err, &bad) {
			return err
		}
		again := w.Rejected != nil && w.Rejected()
		if !again && taken == 0 {
			return err
		}
		report.Advance(w.Name, -taken-came.Load())
		if resetErr := f.Reset(); resetErr != nil {
			return errors.Join(err, resetErr)
		}
	}
}

// GiveUp ends a file that did not come to its end because of err: what came is
// kept, unless it was not the blob. It returns err.
func (f *File) GiveUp(err error) error {
	var bad *integrity.Error
	if errors.As(err, &bad) {
		return errors.Join(err, f.Discard())
	}
	// That something cannot be kept is not what went wrong.
	_ = f.Suspend()
	return err
}
