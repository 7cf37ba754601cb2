package materialize

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/verify"
)

// selection is what of the model is wanted.
type selection struct {
	raw  []artifacttypes.Layer // selected files
	tars []artifacttypes.Layer // tar layers in which a selected file may be
	all  []artifacttypes.Layer // every raw layer, selected or not
	// everyTar says that all tar layers of the model are in tars, so that
	// together they must hold every signed member.
	everyTar bool
	include  []string
	tarNames map[digest.Digest]bool // every tar layer of the model
}

// hasTar reports whether d is a tar layer of the model, selected or not.
func (s *selection) hasTar(d digest.Digest) bool { return s.tarNames[d] }

func newSelection(v verify.Verified, o Options) (*selection, error) {
	for _, glob := range o.Include {
		if !doublestar.ValidatePattern(glob) {
			return nil, fmt.Errorf("include %q: %w", glob, doublestar.ErrBadPattern)
		}
	}
	s := &selection{include: o.Include, everyTar: true, tarNames: map[digest.Digest]bool{}}
	members, known := v.Members()
	tarsMatter := !known || len(o.Include) == 0
	for path := range members {
		tarsMatter = tarsMatter || s.includes(path)
	}
	for _, l := range v.Model().Layers {
		wanted := len(o.Roles) == 0 || slices.Contains(o.Roles, l.Role)
		if l.Encoding != artifacttypes.EncodingRaw {
			s.tarNames[l.Descriptor.Digest] = true
			if wanted && tarsMatter {
				s.tars = append(s.tars, l)
			} else {
				s.everyTar = false
			}
			continue
		}
		if err := checkReserved(l.Path); err != nil {
			return nil, err
		}
		s.all = append(s.all, l)
		if wanted && s.includes(l.Path) {
			s.raw = append(s.raw, l)
		}
	}
	return s, nil
}

func (s *selection) includes(path string) bool {
	if len(s.include) == 0 {
		return true
	}
	return slices.ContainsFunc(s.include, func(glob string) bool {
		return doublestar.MatchUnvalidated(glob, path)
	})
}

// checkReserved keeps the files of a model out of the staging directory, on file
// systems that fold case too.
func checkReserved(path string) error {
	first, _, _ := strings.Cut(path, "/")
	if strings.EqualFold(first, StagingName) {
		return fmt.Errorf("%w %q: modseal keeps unfinished files there", artifacttypes.ErrUnsafePath, path)
	}
	return nil
}

// checkMemberPath checks the name of a file inside a tar layer.
func checkMemberPath(path string) error {
	if err := artifacttypes.ValidatePath(path); err != nil {
		return err
	}
	return checkReserved(path)
}
