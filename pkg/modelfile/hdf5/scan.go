package hdf5

import (
	"context"
	"errors"
	"io"
	"path"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/replay"
)

// Scan hands each text that is an attribute to visit, by the path of its object and its
// own name, without the leading slash: model_config is the one that Keras builds layers
// from. Data sets of bytes that lie in one piece are handed on too: programs keep
// pickles in them. What is compressed or in chunks is not looked into, since no program
// that loads models takes it for more than numbers.
func Scan(ctx context.Context, c hazard.Content, report hazard.Report, visit hazard.Visit) error {
	r, size, err := replay.At(c)
	if err != nil {
		return err
	}
	defer r.Close()
	show := func(name string, at, size int64, hint hazard.Hint) error {
		member := hazard.OfFile(strings.TrimPrefix(name, "/"), io.NewSectionReader(r, at, size), size)
		member.Depth, member.Hint = c.Depth+1, hint
		return visit(ctx, member)
	}
	err = Walk(ctx, r, size, Visitor{
		Finding: report,
		Attribute: func(a Attribute) error {
			if a.Size <= 0 {
				return nil
			}
			var hint hazard.Hint
			if strings.HasSuffix(a.Name, "config") {
				hint = hazard.InKeras
			}
			return show(path.Join(a.Object, a.Name), a.Offset, a.Size, hint)
		},
		Dataset: func(d Dataset) error {
			bytes := d.class == classString || d.class == classOpaque || d.class == classInteger && d.itemSize == 1
			if !bytes || d.Offset < 0 || d.Size <= 0 || len(d.Filters) > 0 || d.Size > size-d.Offset {
				return nil
			}
			return show(d.Path, d.Offset, d.Size, "")
		},
	})
	if breach, ok := errors.AsType[*Error](err); ok {
		report(hazard.Of("hdf5-malformed", "", breach.Reason).At(breach.Offset))
		return nil
	}
	return err
}
