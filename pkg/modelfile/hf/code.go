package hf

import "strings"

// CodeRef is a class of Python code that comes with a model, or with another one,
// and that a loader imports when it is told to trust it.
type CodeRef struct {
	Field string // that names it: auto_map.AutoModel
	// Repo is the repository of the hub that has the code, empty for the model's own.
	Repo string
	// Module is the path of the file, with slashes: modeling_x.py. It is empty for
	// a reference that names no module.
	Module string
	Class  string
}

// parseCodeRef reads what transformers writes: module.Class, and for the code of
// another repository, org/repo--module.Class.
func parseCodeRef(field, s string) CodeRef {
	ref := CodeRef{Field: field, Class: s}
	if repo, rest, ok := strings.Cut(s, "--"); ok {
		ref.Repo, ref.Class = repo, rest
	}
	if i := strings.LastIndexByte(ref.Class, '.'); i >= 0 {
		ref.Module, ref.Class = strings.ReplaceAll(ref.Class[:i], ".", "/")+".py", ref.Class[i+1:]
	}
	return ref
}

// code reads auto_map or custom_pipelines, whatever their form: an object with a
// class, a list of classes or an object with an impl for each name. A field of
// another form is there too.
func (d *document) code(there *bool, refs *[]CodeRef) func() error {
	return func() error {
		*there = true
		if b, err := d.Next(); err != nil || b != '{' {
			return d.codeRef(refs)
		}
		return d.inside(func() error {
			return d.Object(func(key []byte, _ int64) error {
				return d.member(func() error { return d.codeRef(refs) }, key)
			})
		})
	}
}

func (d *document) codeRef(refs *[]CodeRef) error {
	b, err := d.Next()
	if err != nil {
		return err
	}
	switch b {
	case '"':
		if len(*refs) == maxListed {
			return d.wrong("one of so many classes as may be named")
		}
		var s string
		field := d.field
		err := d.text(&s)()
		*refs = append(*refs, parseCodeRef(field, s))
		return err
	case '[':
		return d.Array(func() error { return d.codeRef(refs) })
	case '{':
		return d.inside(func() error {
			return d.members(fields{"impl": func() error { return d.codeRef(refs) }})
		})
	}
	return d.Skip()
}

// lenientUint reads a number; what is no unsigned integer is not set: writers use -1,
// huge numbers and fractions where they mean "no bound".
func (d *document) lenientUint(n *uint64) func() error {
	return func() error {
		if err := d.beginsNumber(); err != nil {
			return err
		}
		text, err := d.Number()
		if err != nil {
			return err
		}
		*n = wholeNumber(string(text))
		return nil
	}
}
