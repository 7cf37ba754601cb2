package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/store"
)

// OpenOptions change what [Open] opens. The zero value looks for parts beside
// their list.
type OpenOptions struct {
	// Beside are further directories in which parts may lie, such as those of
	// several media. A part is looked for beside the list first.
	Beside []string
}

// Open opens an archive by the name of its file, of its list of parts, or of any
// part. It reads the headers, index.json, and what the archive says of itself, and
// nothing else.
//
// The error is an *Error when the file is no archive that is read, a *PartsError
// when parts are missing or have other sizes, wraps fs.ErrNotExist when there is
// nothing, or errdef.ErrUnsupportedVersion for a layout of another version.
func Open(ctx context.Context, path string, o OpenOptions) (*Archive, error) {
	l, err := locate(path)
	if err != nil {
		return nil, err
	}
	a := &Archive{path: l.path, files: &pieces{}}
	if err := a.open(ctx, l, o); err != nil {
		_ = a.Close()
		err = named(a.path, err)
		var e *Error
		if errors.As(err, &e) && l.set && a.parts != nil {
			// Parts of other archives make what nobody would write.
			e.Next = "see whether the parts are good: modseal check " + a.path
		}
		return nil, err
	}
	return a, nil
}

func (a *Archive) open(ctx context.Context, l location, o OpenOptions) error {
	if err := a.openFiles(l, o); err != nil {
		return err
	}
	x, err := scan(ctx, a.files, a.files.size)
	if err != nil {
		return err
	}
	a.blobs = x.blobs
	return a.readLayout(ctx, x)
}

// openFiles opens the file, or all parts.
func (a *Archive) openFiles(l location, o OpenOptions) error {
	if !l.set {
		f, size, err := openRegular(l.path)
		if err != nil {
			return err
		}
		a.files.add(f, size)
		return nil
	}
	var err error
	if a.parts, err = readParts(l.path); err != nil {
		return err
	}
	return a.files.openParts(l.path, a.parts, o.Beside)
}

// readLayout reads what makes blobs a layout.
func (a *Archive) readLayout(ctx context.Context, x *index) error {
	for _, name := range []string{ocispec.ImageLayoutFile, ocispec.ImageIndexFile} {
		if !x.found[name] {
			f := refused("it has no %s: it is no tar of an OCI image layout", name)
			f.next = "make it with modseal save, or with oras, skopeo (oci-archive:), regctl image export or docker save (since Docker 25)"
			return f.at("", -1)
		}
	}
	raw, err := a.read(x.layout)
	if err != nil {
		return err
	}
	if err := store.CheckVersion(raw); err != nil {
		return broken(ocispec.ImageLayoutFile, x.layout, err)
	}
	if raw, err = a.read(x.index); err != nil {
		return err
	}
	if n := members(raw); n > limits.LayoutIndexMembers {
		return broken(ocispec.ImageIndexFile, x.index, fmt.Errorf("it has %d members, more than %d", n, limits.LayoutIndexMembers))
	}
	if a.view, err = store.NewView(a.path, raw, viewBlobs{a}); err != nil {
		return broken(ocispec.ImageIndexFile, x.index, err)
	}
	a.entries = make(map[digest.Digest][]int, len(a.view.Entries()))
	for i, e := range a.view.Entries() {
		a.entries[e.Digest] = append(a.entries[e.Digest], i)
		if err := a.checkEntry(e); err != nil {
			return broken(ocispec.ImageIndexFile, x.index, fmt.Errorf("entry %d: %w", i, err))
		}
	}
	if a.own, err = a.readOwn(ctx); err != nil {
		return broken(ocispec.ImageIndexFile, x.index, err)
	}
	return nil
}

// members counts what stands before a colon in JSON, and reads nothing else of it.
func members(raw []byte) int {
	n, quoted := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == ':' && !quoted:
			n++
		}
	}
	return n
}

// checkEntry refuses an index that names what is not there: an archive is whole by
// itself but for blobs that it says it leaves out, and those are no manifests.
func (a *Archive) checkEntry(e ocispec.Descriptor) error {
	at, ok := a.blobs.get(e.Digest)
	switch {
	case !ok:
		return fmt.Errorf("it names %s, which is not in the archive", e.Digest)
	case at.size != e.Size:
		return fmt.Errorf("it names %s with %d bytes, and the archive has %d of it", e.Digest, e.Size, at.size)
	}
	return checkNames(e)
}

// checkNames refuses an entry with two names of different tags: who goes by the one
// would see another artifact under a tag than who goes by the other.
func checkNames(e ocispec.Descriptor) error {
	tag, name := e.Annotations[ocispec.AnnotationRefName], e.Annotations[artifacttypes.AnnotationImageName]
	if tag == "" || strings.ContainsAny(tag, "/:@") {
		return nil // a full name
	}
	_, of, tagged := strings.Cut(name[strings.LastIndexByte(name, '/')+1:], ":")
	if tagged && !strings.Contains(name, "@") && of != tag {
		return fmt.Errorf("it calls %s both %q and %q", e.Digest, tag, name)
	}
	return nil
}

// read reads a whole entry, whose size was compared with its limit.
func (a *Archive) read(at place) ([]byte, error) {
	raw := make([]byte, at.size)
	if _, err := a.files.ReadAt(raw, at.offset); err != nil {
		return nil, err
	}
	return raw, nil
}

// broken is what is wrong with the content of an entry.
func broken(entry string, at place, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	f := refused("it cannot be used")
	f.err = err
	return f.at(entry, at.offset-block)
}

// named puts the path of the archive into an error of its own.
func named(path string, err error) error {
	var e *Error
	if errors.As(err, &e) && e.Path == "" {
		e.Path = path
		return e
	}
	return err
}

// location is where an archive is.
type location struct {
	path string // absolute: of the file, or of the list of parts
	set  bool
}

// Locate returns the absolute path by which an archive is known: its file, or its
// list of parts when path is that or the name of a part or of the whole set.
func Locate(path string) (string, error) {
	l, err := locate(path)
	return l.path, err
}

func locate(path string) (location, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return location{}, err
	}
	if base, ok := partsBase(abs); ok {
		return location{path: PartsName(base), set: true}, nil
	}
	base, i := partBase(abs)
	if i >= 0 && isRegular(PartsName(base)) {
		return location{path: PartsName(base), set: true}, nil
	}
	if _, err := os.Stat(abs); err == nil {
		if i < 0 || isRegular(PartsName(base)) {
			return location{path: abs}, nil
		}
		return location{path: abs}, lonelyPart(abs, base)
	}
	if isRegular(PartsName(abs)) {
		return location{path: PartsName(abs), set: true}, nil
	}
	if isRegular(PartName(abs, 0)) {
		return location{path: abs}, lonelyPart(abs, abs)
	}
	return location{path: abs}, nil // who opens it says that it is not there
}

// lonelyPart refuses a part without its list, unless it is an archive by itself
// whose name merely looks like that of a part.
func lonelyPart(abs, base string) error {
	f, size, err := openRegular(abs)
	if err == nil {
		defer f.Close()
		if _, err := scan(context.Background(), f, size); err == nil {
			return nil
		}
	}
	e := damaged("it is a part, and the list of the parts %s is missing", filepath.Base(PartsName(base)))
	e.next = fmt.Sprintf("bring %s, which lies beside the parts where they were made; or join all parts with cat into %s", filepath.Base(PartsName(base)), filepath.Base(base))
	return named(abs, e.at("", -1))
}

func isRegular(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// openRegular opens a regular file, and nothing else: opening a fifo would wait
// for somebody to write to it.
func openRegular(path string) (*os.File, int64, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, &fs.PathError{Op: "archive", Path: path, Err: fs.ErrNotExist} // and no word of how it was looked for
	}
	if err != nil {
		return nil, 0, err
	}
	if info.IsDir() {
		f := refused("it is no regular file but a directory")
		f.next = "name the file of an archive; if it is an OCI layout, copy from it: modseal copy oci:DIR:TAG DST"
		return nil, 0, f.at("", -1)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, refused("it is no regular file").at("", -1)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err = f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = refused("it is no regular file").at("", -1)
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// readSmallFile reads a file of at most limit bytes.
func readSmallFile(path string, limit int64) ([]byte, error) {
	f, size, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > limit {
		return nil, refused("it has %d bytes, more than %d", size, limit).at("", -1)
	}
	raw := make([]byte, size)
	_, err = f.ReadAt(raw, 0)
	return raw, err
}

func readParts(path string) (*Parts, error) {
	raw, err := readSmallFile(path, limits.ArchivePartsBytes)
	if err != nil {
		return nil, err
	}
	parts, err := ParseParts(raw)
	if err != nil {
		f := refused("it is no list of parts")
		f.err, f.next = err, "bring the file again from where the parts were made"
		return nil, f.at("", -1)
	}
	return parts, nil
}
