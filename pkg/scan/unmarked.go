package scan

import (
	"context"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/pickle"
	"github.com/modseal/modseal/pkg/modelfile/sniff"
)

// unmarked tries what has no mark as a pickle, and says whether it was one. Loaders do
// not ask for the name: only where pickles are usual by that name is a file that comes
// to nothing reported as a broken one.
func (x *examination) unmarked(ctx context.Context, c hazard.Content, prefix []byte, report hazard.Report, visit hazard.Visit) (bool, error) {
	if len(prefix) == 0 {
		return false, nil
	}
	if !pickles[extension(c.Name)] {
		if !pickle.MayStart(prefix) {
			return false, nil
		}
		if is, err := pickle.Probe(ctx, c); err != nil || !is {
			return false, err
		}
	}
	if c.Depth == 0 {
		x.file.Format = string(sniff.Pickle)
	}
	if f, ok := disguise(c.Name, sniff.Pickle); ok {
		report(f)
	}
	return true, x.pickle(ctx, c, sniff.Pickle, report, visit)
}

// alsoPickle looks at the pickle that a file of another format can be at once: its mark
// is then the argument of an opcode, as GGUF is of BINFLOAT, and the length of a header
// of safetensors can begin with BINUNICODE. A loader of pickles runs it.
func (x *examination) alsoPickle(ctx context.Context, c hazard.Content, kind sniff.Kind, prefix []byte, member string) error {
	switch kind {
	case "", sniff.Pickle, sniff.TorchLegacy:
		return nil // read as one anyway
	case sniff.Zip:
		return nil // its mark names a persistent id, which nobody has who does not look for a zip first
	}
	if !pickle.MayStart(prefix) {
		return nil
	}
	is, err := pickle.Probe(ctx, c)
	if err != nil || !is {
		return err
	}
	report := x.report(member)
	report(hazard.Of(hazard.FilePolyglot, string(sniff.Pickle), "it is a "+string(kind)+" file and a pickle at once").At(0))
	return x.pickle(ctx, c, sniff.Pickle, report, func(ctx context.Context, m hazard.Content) error {
		return x.look(ctx, m, inside(member, m.Name))
	})
}
