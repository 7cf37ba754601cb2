package compressed

import (
	"context"
	"errors"
	"io"
	"path"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/sniff"
)

// extensions that a file loses when it is decompressed, and what takes their place.
var extensions = map[string]string{
	".gz": "", ".z": "", ".bz2": "", ".xz": "", ".lzma": "", ".lz4": "", ".zst": "", ".zstd": "",
	".tgz": ".tar", ".tbz2": ".tar", ".txz": ".tar", ".tzst": ".tar",
}

// Scan hands what the stream holds to visit, and reports when it could not be read to
// the end that visit wanted to see.
func Scan(ctx context.Context, kind sniff.Kind, c hazard.Content, report hazard.Report, visit hazard.Visit) error {
	member := hazard.Content{Name: decompressedName(c.Name), Size: -1, Depth: c.Depth + 1, Open: func() (io.ReadCloser, error) {
		return open(kind, c)
	}}
	err := visit(ctx, member)
	switch {
	case errors.Is(err, ErrExpansion):
		report(hazard.Of("archive-expansion", "", err.Error()))
	case errors.Is(err, ErrWindow):
		report(hazard.Of("archive-memory", "", err.Error()))
	case errors.Is(err, ErrCorrupt):
		report(hazard.Of("archive-malformed", "", err.Error()))
	default:
		return err
	}
	return nil
}

func decompressedName(name string) string {
	base := path.Base(name)
	ext := path.Ext(base)
	replacement, ok := extensions[strings.ToLower(ext)]
	if !ok || ext == base {
		return base
	}
	return strings.TrimSuffix(base, ext) + replacement
}

// open begins to decompress c.
func open(kind sniff.Kind, c hazard.Content) (io.ReadCloser, error) {
	packed, err := c.Open()
	if err != nil {
		return nil, err
	}
	r, err := NewReader(kind, packed)
	if err != nil {
		return nil, errors.Join(err, packed.Close())
	}
	return &opened{Reader: r, closers: []io.Closer{r, packed}}, nil
}

// opened closes all that was opened for a reader.
type opened struct {
	io.Reader
	closers []io.Closer
}

func (o *opened) Close() error {
	var errs []error
	for _, c := range o.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
