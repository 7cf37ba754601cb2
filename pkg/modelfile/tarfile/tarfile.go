// Package tarfile looks into tars: those that models are packed in, and those that
// torch.save wrote before 2016, which torch.load opens still.
//
// The format is read by archive/tar. What it leaves to its callers is done here: links
// and devices are reported and never followed, and types that nobody knows are taken
// for files, as tarfile of Python takes them.
package tarfile

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/membername"
	"github.com/modseal/modseal/pkg/modelfile/replay"
)

// MaxMembers bounds the members that are looked at.
const MaxMembers = 100_000

// blockSize is of headers, and what data are padded to.
const blockSize = 512

// maxFindings bounds the findings of one rule about one tar.
const maxFindings = 100

// Scan reports members that are no files and names that lead elsewhere, and hands each
// file to visit, and whatever follows the end of the tar.
func Scan(ctx context.Context, c hazard.Content, report hazard.Report, visit hazard.Visit) error {
	r, size, err := replay.At(c)
	if err != nil {
		return err
	}
	defer r.Close()
	s := &scanner{
		r: r, size: size, depth: c.Depth + 1, visit: visit,
		report: hazard.Bounded(report, maxFindings), seed: maphash.MakeSeed(), names: map[uint64]struct{}{},
	}
	return s.run(ctx)
}

type scanner struct {
	r      io.ReaderAt
	size   int64
	depth  int
	report hazard.Report
	visit  hazard.Visit
	seed   maphash.Seed
	names  map[uint64]struct{} // hashes: a name may have a megabyte
}

// source is the tar as archive/tar reads it. It keeps the error of reading apart from
// what archive/tar says of the bytes, most of which has no name.
type source struct {
	*io.SectionReader
	err error
}

func (s *scanner) source() *source {
	return &source{SectionReader: io.NewSectionReader(s.r, 0, s.size)}
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.SectionReader.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// errCorrupt is about what archive/tar refuses.
var errCorrupt = hazard.Broken("the tar breaks the rules of its format")

func (s *source) explain(err error) error {
	if s.err != nil {
		return s.err
	}
	return fmt.Errorf("%w: %w", errCorrupt, err)
}

func (s *scanner) run(ctx context.Context) error {
	file := s.source()
	members := tar.NewReader(file)
	for n := 0; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := members.Next()
		at, _ := file.Seek(0, io.SeekCurrent) // never fails
		switch {
		case errors.Is(err, io.EOF):
			return s.rest(ctx, at)
		case err != nil:
			return s.corrupt(file.explain(err), "", s.breach(err, at))
		case n == MaxMembers:
			s.report(hazard.Of("archive-members", "", fmt.Sprintf("only the first %d members were looked at", MaxMembers)).At(at))
			return nil
		}
		if err := s.member(ctx, n, h, at); err != nil {
			return err
		}
	}
}

// breach is where something is wrong, at the end of what was read: in the block before
// for a header and its attributes, at the end of a tar that is cut.
func (s *scanner) breach(err error, at int64) int64 {
	if errors.Is(err, tar.ErrHeader) && at > 0 {
		at = (at - 1) / blockSize * blockSize
	}
	return min(at, s.size)
}

// member looks at the member whose data begin at a place.
func (s *scanner) member(ctx context.Context, n int, h *tar.Header, at int64) error {
	s.checkName(h, at)
	switch h.Typeflag {
	case tar.TypeSymlink, tar.TypeLink:
		s.report(hazard.Of("archive-link", h.Name, fmt.Sprintf("the member is a link to %q", h.Linkname)).At(at))
		return nil
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		s.report(hazard.Of("archive-special", h.Name, "").At(at))
		return nil
	case tar.TypeDir, tar.TypeXGlobalHeader:
		return nil
	}
	if sparse(h) {
		return s.show(ctx, s.sparse(n, h), at)
	}
	if h.Size > s.size-at {
		s.report(hazard.Of("archive-malformed", h.Name, fmt.Sprintf("the member of %d bytes ends beyond the tar of %d bytes", h.Size, s.size)).At(at))
		h.Size = s.size - at
	}
	return s.show(ctx, hazard.OfFile(h.Name, io.NewSectionReader(s.r, at, h.Size), h.Size), at)
}

func (s *scanner) checkName(h *tar.Header, at int64) {
	name := strings.TrimSuffix(strings.TrimPrefix(h.Name, "./"), "/")
	if name == "" || name == "." {
		return // the directory itself, as tar -C writes it
	}
	if err := membername.Check(name); err != nil {
		s.report(hazard.Of("archive-unsafe-name", h.Name, err.Error()).At(at))
	}
	if h.Typeflag == tar.TypeDir {
		return
	}
	key := maphash.String(s.seed, name)
	if _, twice := s.names[key]; twice {
		// tar -r appends members anew; who unpacks all has the last of them.
		f := hazard.Of("archive-duplicate-member", h.Name, "").At(at)
		f.Severity = hazard.Medium
		s.report(f)
	}
	s.names[key] = struct{}{}
}

// sparse reports whether the data of a member are pieces with a map of where they
// belong.
func sparse(h *tar.Header) bool {
	_, pax := h.PAXRecords["GNU.sparse.major"]
	_, old := h.PAXRecords["GNU.sparse.map"]
	return h.Typeflag == tar.TypeGNUSparse || pax || old
}

// sparse returns the member with its holes, which archive/tar fills.
func (s *scanner) sparse(n int, h *tar.Header) hazard.Content {
	return hazard.Content{Name: h.Name, Size: h.Size, Open: func() (io.ReadCloser, error) {
		file := s.source()
		members := tar.NewReader(file)
		for range n + 1 {
			if _, err := members.Next(); err != nil {
				return nil, file.explain(err)
			}
		}
		return &filled{members, file}, nil
	}}
}

// filled is a sparse member with its holes.
type filled struct {
	members *tar.Reader
	file    *source
}

func (f *filled) Read(b []byte) (int, error) {
	n, err := f.members.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = f.file.explain(err)
	}
	return n, err
}

func (*filled) Close() error { return nil }

// rest looks at what follows the two blocks of zeros at the end.
func (s *scanner) rest(ctx context.Context, at int64) error {
	buf := make([]byte, 64<<10)
	for from := at; from < s.size; {
		b := buf[:min(int64(len(buf)), s.size-from)]
		if n, err := s.r.ReadAt(b, from); n < len(b) {
			return fmt.Errorf("read %d bytes at byte %d: %w", len(b), from, err)
		}
		if text := bytes.TrimLeft(b, "\x00"); len(text) > 0 {
			from += int64(len(b) - len(text))
			n := s.size - from
			s.report(hazard.Of("archive-unlisted-bytes", "", fmt.Sprintf("%d bytes follow the end of the tar", n)).At(from))
			return s.show(ctx, hazard.OfFile(fmt.Sprintf("bytes-at-%d", from), io.NewSectionReader(s.r, from, n), n), from)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		from += int64(len(b))
	}
	return nil
}

// show hands content to the visitor and reports when it could not be had.
func (s *scanner) show(ctx context.Context, c hazard.Content, at int64) error {
	c.Depth = s.depth
	return s.corrupt(s.visit(ctx, c), c.Name, at)
}

// corrupt reports what archive/tar refuses, and returns all other errors.
func (s *scanner) corrupt(err error, subject string, at int64) error {
	if errors.Is(err, errCorrupt) {
		s.report(hazard.Of("archive-malformed", subject, err.Error()).At(at))
		return nil
	}
	return err
}
