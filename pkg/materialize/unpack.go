package materialize

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// unpacking stages the members of tar layers. Layers are unpacked in one pass,
// while they are fetched and hashed; since nothing leaves the staging directory
// before everything is good, a member may be written before its layer is known
// to be.
type unpacking struct {
	j       *job
	diffIDs map[digest.Digest]digest.Digest // layer → its decompressed tar, as the config says
	members [][]*file                       // by layer, wanted members
	seen    map[string]bool                 // members that a layer held
	counts  []int                           // by layer, all its members
	entries atomic.Int64                    // of all layers, directories and the like too

	pathBytes int // of all files of the model
}

func (j *job) newUnpacking(ctx context.Context) (*unpacking, error) {
	n := len(j.plan.unpack)
	u := &unpacking{j: j, members: make([][]*file, n), counts: make([]int, n), seen: map[string]bool{}}
	for _, l := range j.sel.all {
		u.pathBytes += len(l.Path)
	}
	var err error
	u.diffIDs, err = j.readDiffIDs(ctx)
	return u, err
}

// layer unpacks the i-th tar layer of the plan.
func (u *unpacking) layer(ctx context.Context, l artifacttypes.Layer, i int) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	name := label(l)
	u.j.progress.Start(name, l.Descriptor.Size)
	rc, err := u.j.openTar(ctx, l, name)
	if err != nil {
		return err
	}
	defer rc.Close()
	blob := integrity.NewReader(ingest.ContextReader(ctx, rc), l.Descriptor, name)
	files, count, err := u.archive(ctx, l, blob)
	// Whatever went wrong inside: when the layer is not the announced one, that
	// is what is wrong. And the digest covers bytes that no reader asked for.
	if verdict := copyBytes(ctx, io.Discard, blob); verdict != nil {
		return named(name, verdict)
	}
	if err != nil {
		return named(name, err)
	}
	u.members[i], u.counts[i] = files, count
	u.j.progress.Finish(name, false)
	return nil
}

// archive reads the tar in blob to its very end. It returns the wanted members,
// and how many there are in all.
func (u *unpacking) archive(ctx context.Context, l artifacttypes.Layer, blob io.Reader) (files []*file, count int, err error) {
	stream, err := decompress(l, blob)
	if err != nil {
		return nil, 0, err
	}
	defer stream.Close()
	hashed := &hashingReader{r: stream, h: digest.SHA256.Hash()}
	files, count, err = u.entriesOf(ctx, l, hashed)
	if err != nil {
		return nil, 0, err
	}
	if err := onlyZeros(ctx, hashed); err != nil {
		return nil, 0, err
	}
	if l.Encoding == artifacttypes.EncodingTar {
		return files, count, nil // it is the blob, whose digest is compared anyway
	}
	got := digest.NewDigest(digest.SHA256, hashed.h)
	switch want := u.diffIDs[l.Descriptor.Digest]; want {
	case got, "":
	case l.Descriptor.Digest:
		// modctl decompresses nothing and writes the digest of the blob.
		u.j.warn("%s: diffIds has the digest of the compressed layer", label(l))
	default:
		return nil, 0, &integrity.Error{What: label(l) + ", decompressed", Want: want, Got: got, GotSize: hashed.n, WantSize: hashed.n}
	}
	return files, count, nil
}

func (u *unpacking) entriesOf(ctx context.Context, l artifacttypes.Layer, stream *hashingReader) (files []*file, count int, err error) {
	for reader := tar.NewReader(stream); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files, count, nil
		}
		if err != nil {
			return nil, 0, damaged(err)
		}
		if u.entries.Add(1) > 2*limits.Files {
			return nil, 0, fmt.Errorf("%w: with it the model has more than %d entries of tar layers", ErrUnsafeArchive, 2*limits.Files)
		}
		isFile, err := checkEntry(header)
		if err != nil {
			return nil, 0, err
		}
		if !isFile {
			continue
		}
		count++
		f, err := u.member(ctx, l, header, archived{reader})
		if err != nil {
			return nil, 0, fmt.Errorf("member %q: %w", header.Name, err)
		}
		if f != nil {
			files = append(files, f)
		}
	}
}

// checkEntry refuses what a model has no use for. Directories are skipped: they
// are made as files need them.
func checkEntry(h *tar.Header) (isFile bool, err error) {
	refuse := func(what string) (bool, error) {
		return false, fmt.Errorf("%w: member %q is %s", ErrUnsafeArchive, h.Name, what)
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return refuse("a sparse file")
		}
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeCont:
	case tar.TypeDir:
		return false, checkMemberPath(strings.TrimSuffix(h.Name, "/"))
	case tar.TypeXGlobalHeader:
		return false, nil
	case tar.TypeSymlink:
		return refuse("a symbolic link")
	case tar.TypeLink:
		return refuse("a hard link")
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return refuse("a device")
	case tar.TypeGNUSparse:
		return refuse("a sparse file")
	default:
		return refuse(fmt.Sprintf("of type %q", h.Typeflag))
	}
	if err := checkMemberPath(h.Name); err != nil {
		return false, err
	}
	if strings.HasPrefix(path.Base(h.Name), ".wh.") {
		return refuse("a whiteout of a container image")
	}
	return true, nil
}

// member stages one file, and compares it with what is signed about it. Members
// that are not wanted are compared too.
func (u *unpacking) member(ctx context.Context, l artifacttypes.Layer, h *tar.Header, content io.Reader) (*file, error) {
	if err := u.addPath(h.Name); err != nil {
		return nil, err
	}
	f := &file{path: h.Name, size: h.Size, mode: fs.FileMode(artifacttypes.ModeRegular), layer: l.Descriptor.Digest}
	if h.Mode&0o100 != 0 {
		f.mode = fs.FileMode(artifacttypes.ModeExecutable)
	}
	want := u.j.members[h.Name]
	algorithm := digest.SHA256
	if want != "" {
		algorithm = want.Algorithm()
	}
	sum := algorithm.Hash()
	wanted := u.j.sel.includes(h.Name)
	var err error
	if wanted {
		err = u.write(ctx, f, io.TeeReader(content, sum))
	} else {
		err = copyBytes(ctx, sum, content)
	}
	if err != nil {
		return nil, err
	}
	f.digest = digest.NewDigest(algorithm, sum)
	if u.j.members != nil && f.digest != want {
		return nil, &MemberError{Path: h.Name, Want: want, Got: f.digest}
	}
	if !wanted {
		return nil, nil
	}
	return f, nil
}

// addPath judges the path beside all other paths of the model.
func (u *unpacking) addPath(name string) error {
	p := u.j.plan
	p.mu.Lock()
	defer p.mu.Unlock()
	if u.pathBytes += len(name); u.pathBytes > limits.PathBytes {
		return fmt.Errorf("%w: the paths of the model have more than %d bytes", ErrUnsafeArchive, limits.PathBytes)
	}
	if err := p.paths.Add(name); err != nil {
		return err
	}
	u.seen[name] = true
	if n := len(u.seen) + len(u.j.sel.all); n > limits.Files {
		return fmt.Errorf("%w: with it the model has more than %d files", ErrUnsafeArchive, limits.Files)
	}
	return nil
}

func (u *unpacking) write(ctx context.Context, f *file, content io.Reader) error {
	out, name, err := u.j.stage.create()
	if err != nil {
		return err
	}
	defer out.Close()
	if err := copyBytes(ctx, out, content); err != nil {
		return err
	}
	f.staged, err = u.j.stage.ofMember(out, name, f.size, f.mode)
	return err
}

// finish takes the members into the plan, when the tar layers together hold all
// that was signed.
func (u *unpacking) finish() error {
	if u.j.sel.everyTar && len(u.members) > 0 {
		held := u.seen
		for _, f := range u.j.plan.files {
			held[f.path] = true
		}
		for _, name := range slices.Sorted(maps.Keys(u.j.members)) {
			if !held[name] {
				return &MemberError{Path: name, Want: u.j.members[name]}
			}
		}
	}
	for i, files := range u.members {
		u.j.plan.files = append(u.j.plan.files, files...)
		u.j.plan.counts[u.j.plan.unpack[i].Descriptor.Digest] = u.counts[i]
	}
	return nil
}

// onlyZeros reads the padding after the end of a tar. Anything else there is
// content that nobody sees.
func onlyZeros(ctx context.Context, r io.Reader) error {
	buf := make([]byte, 32<<10)
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := r.Read(buf)
		for _, b := range buf[:n] {
			if b != 0 {
				return fmt.Errorf("%w: there are bytes after its end", ErrUnsafeArchive)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return damaged(err)
		}
	}
}

// damaged makes an error about the form of an archive of one that came from
// reading it. It hides the cause: an archive that is cut off ends in
// io.ErrUnexpectedEOF, which is what a broken connection ends in, and fetching
// it again would bring the same. When the connection broke, or the bytes are
// not the announced ones, the reader of the blob says so after this.
func damaged(err error) error {
	if errors.Is(err, ErrUnsafeArchive) {
		return err
	}
	return fmt.Errorf("%w: %v", ErrUnsafeArchive, err) //nolint:errorlint // the cause is not to be found
}

// archived marks what fails while a member is read.
type archived struct{ r io.Reader }

func (a archived) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // the end of a stream is never wrapped
		err = damaged(err)
	}
	return n, err
}
