package modseal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/internal/readahead"
	"github.com/modseal/modseal/pkg/materialize"
	"github.com/modseal/modseal/pkg/modelfile"
	"github.com/modseal/modseal/pkg/pack"
	"github.com/modseal/modseal/pkg/source"
)

// modelView is the files of a model where they lie, each of which can be read in
// parts: in a directory, in a registry, in a layout or in an archive.
//
// Of an artifact, files up to [limits.ViewWholeBytes] are read whole and compared
// with their digest. Parts of larger ones cannot be: they are what the registry
// says, and may be shown and never be acted on.
type modelView struct {
	ctx      context.Context //nolint:containedctx // it lives as long as the call that made it
	tree     *source.Tree    // nil: of an artifact
	location *location       // nil: of a directory
	list     []viewEntry     // ascending by path
	unread   []UnreadLayer
	tars     []artifacttypes.Layer // whose members are in list
	meter    *viewMeter
	// cache keeps what came from layers; nil reads exactly what is asked for.
	cache *readahead.Cache
	small smallFiles
}

// viewEntry is one file of a view.
type viewEntry struct {
	Path       string
	Size       int64
	Role       artifacttypes.Role // empty when neither the artifact nor the name says it
	Executable bool
	Digest     digest.Digest // empty when nobody computed it
	// Layer is the layer that is the file or has it as a member; of a directory it is
	// empty.
	Layer artifacttypes.Layer

	offset int64 // in a tar layer
	local  *source.File
}

// UnreadLayer is a layer whose files can neither be listed nor be read in parts.
type UnreadLayer struct {
	Path     string `json:"path"`
	Encoding string `json:"encoding"`
	Size     int64  `json:"size"`
	Digest   string `json:"digest"`
	Why      string `json:"why"`
}

// viewTarget opens the model that target names. The artifact is nil when that is a
// directory. Close ends what is open.
func (c *Client) viewTarget(ctx context.Context, target string) (*modelView, *artifact, error) {
	t, err := ParseTarget(target)
	if err != nil {
		return nil, nil, err
	}
	if t.Kind == KindDirectory {
		tree, _, err := PackOptions{}.read(ctx, t.Path)
		if err != nil {
			return nil, nil, err
		}
		return viewOfTree(ctx, tree, nil), nil, nil
	}
	l, err := c.openTarget(ctx, target)
	if err != nil {
		return nil, nil, err
	}
	a, err := l.resolve(ctx)
	if err != nil {
		return nil, nil, err
	}
	v, err := c.viewOf(ctx, a)
	return v, a, err
}

// viewOfTree returns the files of a directory. Packed has their digests; nil when
// nobody computed them.
func viewOfTree(ctx context.Context, tree *source.Tree, packed []pack.File) *modelView {
	v := &modelView{ctx: ctx, tree: tree, meter: newViewMeter(), list: make([]viewEntry, len(tree.Files))}
	digests := make(map[string]digest.Digest, len(packed))
	for _, f := range packed {
		digests[f.Path] = f.Digest
	}
	for i := range tree.Files {
		f := &tree.Files[i]
		v.list[i] = viewEntry{Path: f.Path, Size: f.Size, Role: f.Role, Executable: f.Executable, Digest: digests[f.Path], local: f}
	}
	v.sort()
	return v
}

// viewOf returns the files of an artifact. Those in plain tar layers are listed by
// their headers.
func (c *Client) viewOf(ctx context.Context, a *artifact) (*modelView, error) {
	v := viewOfBlobs(ctx, a.location)
	v.cache = readahead.NewCache(limits.ViewCacheBytes)
	listing, err := materialize.NewListing(a.model.Layers)
	if err != nil {
		return nil, &ManifestError{a.at(a.descriptor), err}
	}
	for _, l := range a.model.Layers {
		if l.Encoding == artifacttypes.EncodingRaw {
			v.list = append(v.list, viewEntry{
				Path: l.Path, Size: l.Descriptor.Size, Role: cmp.Or(l.Role, source.RoleByName(l.Path)),
				Executable: l.Executable, Digest: l.Descriptor.Digest, Layer: l,
			})
			continue
		}
		if err := v.listTar(ctx, listing, l); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", a.at(a.descriptor), l.Path, err)
		}
	}
	v.sort()
	return v, nil
}

// viewOfBlobs is a view that lists nothing: layers are opened by name.
func viewOfBlobs(ctx context.Context, l *location) *modelView {
	return &modelView{ctx: ctx, location: l, meter: newViewMeter()}
}

// listTar lists the members of a layer. What is wrong with it is said beside the
// others: they are worth reading whatever this one is.
func (v *modelView) listTar(ctx context.Context, listing *materialize.Listing, l artifacttypes.Layer) error {
	unread := func(err error) {
		v.unread = append(v.unread, UnreadLayer{
			Path: l.Path, Encoding: string(l.Encoding), Size: l.Descriptor.Size, Digest: l.Descriptor.Digest.String(), Why: err.Error(),
		})
	}
	if l.Encoding != artifacttypes.EncodingTar {
		unread(materialize.ErrCompressed)
		return nil
	}
	r, err := v.openLayer(ctx, l)
	if err != nil {
		if isAbsent(err) {
			unread(errors.New("it is not there"))
			return nil
		}
		return err
	}
	defer r.Close()
	entries, err := listing.Layer(ctx, l, r)
	switch {
	case errors.Is(err, materialize.ErrUnsafeArchive), errors.Is(err, artifacttypes.ErrUnsafePath):
		unread(err)
		return nil
	case err != nil:
		return err
	}
	v.tars = append(v.tars, l)
	for _, e := range entries {
		v.list = append(v.list, viewEntry{
			Path: e.Path, Size: e.Size, Role: cmp.Or(l.Role, source.RoleByName(e.Path)), Executable: e.Executable, Layer: l, offset: e.Offset,
		})
	}
	return nil
}

func (v *modelView) sort() {
	slices.SortFunc(v.list, func(a, b viewEntry) int { return strings.Compare(a.Path, b.Path) })
}

// files returns the files as the readers of models want them. They may be opened
// until the context of the view is over.
func (v *modelView) files() []modelfile.File {
	out := make([]modelfile.File, len(v.list))
	for i := range v.list {
		e := &v.list[i]
		out[i] = modelfile.File{
			Path: e.Path, Size: e.Size, Role: string(e.Role),
			Open: func() (modelfile.ReaderAtCloser, error) { return v.openEntry(v.ctx, e) },
		}
	}
	return out
}

// entries returns the files, ascending by path.
func (v *modelView) entries() []viewEntry { return v.list }

// entry returns the file of that path.
func (v *modelView) entry(path string) (viewEntry, bool) {
	e := v.find(path)
	if e == nil {
		return viewEntry{}, false
	}
	return *e, true
}

func (v *modelView) find(path string) *viewEntry {
	i, ok := slices.BinarySearchFunc(v.list, path, func(e viewEntry, p string) int { return strings.Compare(e.Path, p) })
	if !ok {
		return nil
	}
	return &v.list[i]
}

// dirName is the absolute path of the directory, whose name may say something of
// the model; empty of an artifact.
func (v *modelView) dirName() string {
	if v.tree == nil {
		return ""
	}
	return v.tree.Dir
}

// unreadable returns the layers of which nothing is known.
func (v *modelView) unreadable() []UnreadLayer { return v.unread }

// remote reports whether what is read comes over a network.
func (v *modelView) remote() bool { return v.location != nil && v.location.Kind == KindRegistry }

// fetched is how many bytes were read so far from where they lie.
func (v *modelView) fetched() int64 { return v.meter.n.Load() }

// hashMembers fills in the digests of files in tar layers. It reads these layers,
// whole, and compares them with their digests, and what was listed by their headers
// with what is in them: a registry could hide a file, or show another one in its
// place, as long as only parts are read.
func (v *modelView) hashMembers(ctx context.Context) error {
	listed := map[digest.Digest]int{}
	for i := range v.list {
		listed[v.list[i].Layer.Descriptor.Digest]++
	}
	for _, l := range v.tars {
		members, err := materialize.Members(ctx, v.location.blobs, []artifacttypes.Layer{l})
		if err != nil {
			return err
		}
		v.meter.n.Add(l.Descriptor.Size)
		if len(members) != listed[l.Descriptor.Digest] {
			return differs(l.Path, l.Descriptor)
		}
		if err := v.takeMembers(l, members); err != nil {
			return err
		}
	}
	return nil
}

// takeMembers gives the files that were listed of a layer the digests that they have
// in it. Each must be where it was listed.
func (v *modelView) takeMembers(l artifacttypes.Layer, members []materialize.Member) error {
	for _, m := range members {
		e := v.find(m.Path)
		if e == nil || e.Layer.Descriptor.Digest != l.Descriptor.Digest || e.Size != m.Size || e.offset != m.Offset {
			return differs(l.Path, l.Descriptor)
		}
		e.Digest = m.Digest
	}
	return nil
}

// differs says that parts of a layer were not those of the whole one.
func differs(path string, d ocispec.Descriptor) error {
	return &integrity.Error{What: fmt.Sprintf("%q, as its parts were read,", path), Want: d.Digest, WantSize: d.Size, GotSize: d.Size, Got: "other bytes"}
}
