package modseal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/modseal/modseal/pkg/archive"
)

// CheckOptions say what of an archive is read. The zero value reads everything.
type CheckOptions struct {
	// PartsOnly reads the parts of sets and not the blobs in them once more.
	PartsOnly   bool
	Concurrency int // as many as there are processors when it is 0
}

// CheckResult says what [Client.Check] found.
type CheckResult struct {
	Good     bool              `json:"good"`
	Archives []*archive.Report `json:"archives"`
}

// Class is how the result counts where it is not good: archives that nobody should
// have made are refused, and all else is about bytes.
func (r *CheckResult) Class() Class {
	switch {
	case r.Good:
		return ClassNone
	case slices.ContainsFunc(r.Archives, func(a *archive.Report) bool { return ClassOf(a.Err) == ClassRefused }):
		return ClassRefused
	}
	return ClassIntegrity
}

// Check reads every byte of archives and compares it with sums and digests. A set
// of parts is named by any of them, and read once however often it is named. What
// is wrong is in the result and no error. It decides nothing about who made the
// archive: that is what [Client.Verify] is for.
func (c *Client) Check(ctx context.Context, files []string, o CheckOptions) (*CheckResult, error) {
	paths, err := locateAll(files)
	if err != nil {
		return nil, err
	}
	res := &CheckResult{Good: true}
	for _, path := range paths {
		report, err := archive.Check(ctx, path, archive.CheckOptions{
			PartsOnly: o.PartsOnly, Concurrency: o.Concurrency, Progress: c.o.Progress,
		})
		if err != nil {
			return nil, err
		}
		res.Good = res.Good && report.Good()
		res.Archives = append(res.Archives, report)
	}
	return res, nil
}

// locateAll returns the archives that files are or belong to, each once.
func locateAll(files []string) ([]string, error) {
	var paths []string
	for _, file := range files {
		// As everywhere else an archive is named; here there can be nothing else.
		file = strings.TrimPrefix(file, archivePrefix)
		if strings.HasPrefix(file, "oci:") {
			return nil, fmt.Errorf("%w: %s is a layout; an archive, its FILE.parts.json or one of its parts is meant", ErrUsage, file)
		}
		path, err := archive.Locate(file)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(path); err != nil {
			var where *fs.PathError
			if errors.As(err, &where) {
				err = where.Err // the name is said already, as it was given
			}
			return nil, fmt.Errorf("archive %s: %w", file, err)
		}
		if !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	return paths, nil
}
