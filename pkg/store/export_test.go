package store

import (
	"context"
	"os"
	"path/filepath"
)

// CollectBeside collects as Collect does, and calls meanwhile after it was decided
// what goes and before anything does: what a tool does that knows no lock.
func (l *Layout) CollectBeside(ctx context.Context, o CollectOptions, meanwhile func()) (CollectResult, error) {
	var res CollectResult
	garbage, raw, err := l.plan(ctx, o, &res)
	if err != nil {
		return res, err
	}
	meanwhile()
	if err := l.unlist(res.Untagged, raw); err != nil {
		return res, err
	}
	return res, l.sweep(ctx, garbage, &res)
}

// Replace writes a file of the layout anew, as other tools do.
func (l *Layout) Replace(name string, content []byte) error {
	name = filepath.Join(l.path, name)
	if err := os.WriteFile(name+".new", content, 0o644); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}
