// Package torch reads the files that torch.save and torch.jit.save write: zip archives
// with a pickle and one member for each storage, and the older pickles with storages
// behind them. Storages are stepped over and never read.
//
// How torch finds its way in an archive is in PyTorchStreamReader
// (caffe2/serialize/inline_container.cc), how it reads both in torch/serialization.py.
package torch

import (
	"path"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/zipfile"
)

// Layout is how the members of an archive of torch lie. Names in it are foreign text.
type Layout struct {
	// Root is the folder that holds everything.
	Root string
	// Pickle is the member with the object that was saved.
	Pickle string
	// Code are the sources of TorchScript; there are none in what torch.save writes.
	Code []string
	// Storages is how many members hold data of tensors.
	Storages int
}

// LayoutOf returns the layout of an archive of torch, and false when it is another
// archive: torch takes the folder of the first member for that of all, and needs
// data.pkl there. It takes letters of both cases for one.
func LayoutOf(a *zipfile.Archive) (*Layout, bool) {
	if len(a.Members) == 0 {
		return nil, false
	}
	root, _, ok := strings.Cut(a.Members[0].Name, "/")
	if !ok {
		return nil, false
	}
	l := &Layout{Root: root}
	for i := range a.Members {
		name := a.Members[i].Name
		switch {
		case same(name, root+"/data.pkl"):
			if l.Pickle == "" || name == root+"/data.pkl" {
				l.Pickle = name
			}
		case begins(name, root+"/code/") && same(path.Ext(name), ".py"):
			l.Code = append(l.Code, name)
		case l.IsStorage(name):
			l.Storages++
		}
	}
	return l, l.Pickle != ""
}

// same reports whether torch takes two names for one: PyTorchStreamReader looks for
// members by mz_zip_reader_locate_file without MZ_ZIP_FLAG_CASE_SENSITIVE.
func same(name, other string) bool { return len(name) == len(other) && strings.EqualFold(name, other) }

// begins is same for the beginning of a name.
func begins(name, prefix string) bool {
	return len(name) >= len(prefix) && same(name[:len(prefix)], prefix)
}

// IsStorage reports whether the member of that name holds the data of tensors.
func (l *Layout) IsStorage(name string) bool {
	return begins(name, l.Root+"/data/") || begins(name, l.Root+"/constants/")
}

// Hint is that of the member of the given name: the pickles of torch may name storages,
// and its code is not that of Python.
func (l *Layout) Hint(name string) hazard.Hint {
	switch ext := path.Ext(name); {
	case same(ext, ".pkl") || same(ext, ".debug_pkl"):
		return hazard.InTorch
	case begins(name, l.Root+"/code/"):
		return hazard.InTorchScript
	}
	return ""
}
