package pack

import (
	"cmp"
	"slices"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/source"
)

// group decides which file becomes a layer of its own. Small files of a model
// of many become one tar per role, so that the manifest stays far below what
// registries take and ten thousand files do not cost ten thousand uploads.
func group(files []source.File, o Options) plan {
	above, below := o.GroupAbove, o.GroupBelow
	if above == 0 {
		above = DefaultGroupAbove
	}
	if below == 0 {
		below = DefaultGroupBelow
	}
	grouping := above >= 0 && len(files) > above
	tars := map[artifacttypes.Role]*layer{}
	taken := map[string]bool{}
	var p plan
	for i := range files {
		f := &files[i]
		taken[f.Path] = true
		if !grouping || f.Size >= below {
			p = append(p, &layer{path: f.Path, role: f.Role, encoding: artifacttypes.EncodingRaw, members: []*source.File{f}})
			continue
		}
		if tars[f.Role] == nil {
			tars[f.Role] = &layer{role: f.Role, encoding: artifacttypes.EncodingTar}
		}
		tars[f.Role].members = append(tars[f.Role].members, f)
	}
	for _, role := range artifacttypes.Roles() {
		l := tars[role]
		if l == nil {
			continue
		}
		// The name is only a label, but readers of other tools may write a
		// file of that name.
		l.path = string(role) + ".tar"
		for taken[l.path] {
			l.path = "_" + l.path
		}
		p = append(p, l)
	}
	sortBy(p, func(l *layer) string { return l.path })
	return p
}

func sortBy[T any](s []T, key func(T) string) {
	slices.SortFunc(s, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
}
