// Package container looks into files that hold other files or texts: archives,
// compressed streams, arrays, HDF5. It is the one way in for whoever looks for what
// loading a model would run; each format has its reader in a package beside this one.
package container

import (
	"context"
	"errors"
	"fmt"

	"github.com/modseal/modseal/pkg/modelfile/compressed"
	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/hdf5"
	"github.com/modseal/modseal/pkg/modelfile/keras"
	"github.com/modseal/modseal/pkg/modelfile/numpy"
	"github.com/modseal/modseal/pkg/modelfile/replay"
	"github.com/modseal/modseal/pkg/modelfile/sniff"
	"github.com/modseal/modseal/pkg/modelfile/tarfile"
	"github.com/modseal/modseal/pkg/modelfile/torch"
	"github.com/modseal/modseal/pkg/modelfile/zipfile"
)

// Scan looks into c, a container of that kind: it reports what is wrong with it and
// hands what it holds to visit, one after the other. It does nothing and answers false
// when the kind is no container.
//
// Its errors are of reading c and those of visit. An error that wraps
// [hazard.ErrBroken] says that c could not be had because of what holds c, to which it
// is to be returned: a damaged stream is reported where the damage is.
func Scan(ctx context.Context, kind sniff.Kind, c hazard.Content, report hazard.Report, visit hazard.Visit) (bool, error) {
	switch {
	case !kind.Container():
		return false, nil
	case kind == sniff.SevenZip || kind == sniff.RAR:
		report(hazard.Of("archive-unsupported", string(kind), fmt.Sprintf("archives of the format %s are not looked into", kind)).At(0))
		return true, nil
	case c.Depth >= hazard.MaxDepth:
		report(hazard.Of("archive-nesting", string(kind), fmt.Sprintf("only %d containers inside each other are looked into", hazard.MaxDepth)).At(0))
		return true, nil
	}
	err := scan(ctx, kind, c, report, visit)
	switch {
	case replay.Refused(err):
		report(hazard.Of("archive-expansion", "", err.Error()))
		err = nil
	case c.Depth == 0 && errors.Is(err, hazard.ErrBroken):
		report(hazard.Of("archive-malformed", "", err.Error()))
		err = nil
	}
	return true, err
}

func scan(ctx context.Context, kind sniff.Kind, c hazard.Content, report hazard.Report, visit hazard.Visit) error {
	switch kind {
	case sniff.Zip:
		return zipfile.ScanAs(ctx, c, func(a *zipfile.Archive) func(string) hazard.Hint { return tell(a, report) }, report, visit)
	case sniff.Tar:
		return tarfile.Scan(ctx, c, report, visit)
	case sniff.NumPy:
		return numpy.Scan(ctx, c, report, visit)
	case sniff.HDF5:
		return hdf5.Scan(ctx, c, report, visit)
	}
	return compressed.Scan(ctx, kind, c, report, visit)
}

// tell finds out what a zip file is by the names in its directory.
func tell(a *zipfile.Archive, report hazard.Report) func(name string) hazard.Hint {
	if layout, ok := torch.LayoutOf(a); ok {
		if len(layout.Code) > 0 {
			report(hazard.Of("torch-script-code", layout.Code[0], fmt.Sprintf("%d files of TorchScript are in the archive", len(layout.Code))))
		}
		return layout.Hint
	}
	if keras.IsArchive(a) {
		return keras.Hint
	}
	return func(string) hazard.Hint { return "" }
}
