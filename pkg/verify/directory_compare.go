package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/modseal/modseal/pkg/statement"
)

// comparison is how the files of a directory differ from the signed ones.
type comparison struct {
	wrong    []string
	unsigned []string // "name" not signed (digest)
}

// compare reads the files as the signature wants it and compares them, once.
func (d *directoryDecision) compare(ctx context.Context, s *DirectorySignature) (comparison, error) {
	if c, ok := d.compared[s]; ok {
		return c, nil
	}
	s.FollowLinks = d.followsLinks(s)
	files, err := d.subject.Resources(ctx, s)
	if err != nil {
		return comparison{}, err
	}
	c, err := compareFiles(s.oms, files, d.subject.Single, s.Ignored(d.options))
	if err == nil {
		d.compared[s] = c
	}
	return c, err
}

// differences are what makes the model another one than the signed.
func (c comparison) differences(unsignedAllowed bool) (wrong []string, next string) {
	next = "fetch the model again from where it came, or ask its signer which files belong to it"
	if unsignedAllowed || len(c.unsigned) == 0 {
		return c.wrong, next
	}
	const accept = "remove the files that are not signed, or accept them with --ignore-unsigned-files"
	if len(c.wrong) == 0 {
		next = accept
	} else {
		next += "; " + accept
	}
	wrong = slices.Clone(c.wrong)
	for _, u := range c.unsigned {
		name, of, _ := strings.Cut(u, " (")
		wrong = append(wrong, name+" not signed ("+of)
	}
	return wrong, next
}

func compareFiles(o *statement.OMS, files []statement.Resource, single bool, ignored statement.Subtrees) (comparison, error) {
	var c comparison
	found := make(map[string]string, len(files))
	for _, f := range files {
		if _, twice := found[f.Name]; twice {
			return c, fmt.Errorf("%q was read twice", f.Name)
		}
		if f.Algorithm != o.HashType {
			return c, fmt.Errorf("%q was hashed by %q instead of %q", f.Name, f.Algorithm, o.HashType)
		}
		found[f.Name] = f.Digest
	}
	if o.IsSingleFile() && !single {
		c.wrong = append(c.wrong, "a signature of a single file, not of a directory: name the file")
		return c, nil
	}
	base := ""
	if single {
		if len(files) == 0 && o.Method != statement.MethodShards {
			return c, errors.New("a model of one file without a file")
		}
		if len(files) > 0 {
			base = o.File(files[0])
		}
	}
	for _, r := range o.Resources {
		n := r.Name
		if file := o.File(r); single && file == statement.SingleFile {
			n = base + n[len(file):]
		}
		got, there := found[n]
		delete(found, n)
		switch {
		case !there:
			c.wrong = append(c.wrong, fmt.Sprintf("%q missing, signed as %s:%s", n, o.HashType, r.Digest))
		case got != r.Digest:
			c.wrong = append(c.wrong, fmt.Sprintf("%q changed: signed as %s:%s and is %s:%s", n, o.HashType, r.Digest, o.HashType, got))
		}
	}
	for _, n := range slices.Sorted(maps.Keys(found)) {
		if !ignored.Hold(o.File(statement.Resource{Name: n})) {
			c.unsigned = append(c.unsigned, fmt.Sprintf("%q (%s:%s)", n, o.HashType, found[n]))
		}
	}
	return c, nil
}

// warnings tell what was accepted that is not plain, of the statements that were
// compared.
func (d *directoryDecision) warnings() []string {
	var out []string
	add := func(s *DirectorySignature, format string, args ...any) {
		w := fmt.Sprintf(format, args...)
		if len(d.compared) > 1 {
			w = s.File + ": " + w
		}
		out = append(out, w)
	}
	for _, s := range d.signatures {
		c, counted := d.compared[s]
		if !counted {
			continue
		}
		if left := leftOut(s); len(left) > 0 {
			add(s, "the signer left out %s", listing(left))
		}
		if len(c.unsigned) > 0 {
			add(s, "%s: %s", plural(len(c.unsigned), "unsigned file"), listing(c.unsigned))
		}
		if s.oms.AllowSymlinks {
			add(s, "the signer followed symbolic links")
		}
		for _, r := range s.Relaxations {
			add(s, "accepted beside the form of today: %s", r)
		}
	}
	return out
}

func leftOut(s *DirectorySignature) []string {
	usual := statement.NewSubtrees(append(statement.DefaultIgnorePaths(), signatureFile, s.own)...)
	var out []string
	for _, p := range s.IgnorePaths {
		if !usual.Hold(p) {
			out = append(out, fmt.Sprintf("%q", shorten(p)))
		}
	}
	return out
}
