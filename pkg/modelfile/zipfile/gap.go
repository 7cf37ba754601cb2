package zipfile

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// gap looks at bytes that no member of the directory owns: members that are hidden
// there, and the rest.
func (s *scanner) gap(ctx context.Context, from, to int64) error {
	for from < to {
		at, zeros, err := s.findLocal(ctx, from, to)
		if err != nil {
			return err
		}
		if err := s.unlisted(ctx, from, at, zeros); err != nil {
			return err
		}
		if at == to {
			return nil
		}
		if s.hidden == maxHidden {
			s.report(hazard.Of("archive-members", "", fmt.Sprintf("more than %d members that no directory lists", maxHidden)).At(at))
			return nil
		}
		s.hidden++
		if from, err = s.hiddenMember(ctx, at, to); err != nil {
			return err
		}
	}
	return nil
}

// unlisted reports bytes of a gap, and has them looked at unless all are zero.
func (s *scanner) unlisted(ctx context.Context, from, to int64, zeros bool) error {
	atEnd := s.cut && to == s.archive.end.size
	if atEnd {
		// Of a descriptor or the directory: without its mark it is no archive by itself.
		mark := make([]byte, min(int64(len(descriptorMark)), to-from))
		if err := readAt(s.archive.r, mark, from); err != nil {
			return err
		}
		if m := string(mark); m == descriptorMark || m == centralSignature {
			from += int64(len(m))
		}
	}
	n := to - from
	if n == 0 {
		return nil
	}
	finding := hazard.Of("archive-unlisted-bytes", "", fmt.Sprintf("%d bytes belong to no member", n)).At(from)
	switch {
	case atEnd: // the rest of what is not there
	case zeros:
		finding.Severity = hazard.Low
		s.report(finding)
		return nil
	case from == 0 && to < s.archive.end.size:
		s.report(hazard.Of("archive-polyglot", "", fmt.Sprintf("the archive begins at byte %d, behind something else", to)).At(0))
	default:
		s.report(finding)
	}
	c := hazard.OfFile(fmt.Sprintf("bytes-at-%d", from), io.NewSectionReader(s.archive.r, from, n), n)
	return s.show(ctx, c, from)
}

// findLocal returns where the next local header begins, to when there is none, and
// whether all before it is zero.
func (s *scanner) findLocal(ctx context.Context, from, to int64) (at int64, zeros bool, err error) {
	return s.find(ctx, localSignature, from, to)
}

// find is findLocal for other signatures.
func (s *scanner) find(ctx context.Context, signature string, from, to int64) (at int64, zeros bool, err error) {
	overlap := len(signature) - 1
	buf := make([]byte, min(64<<10, to-from))
	zeros = true
	for at = from; at < to; {
		if err := ctx.Err(); err != nil {
			return 0, false, err
		}
		b := buf[:min(int64(len(buf)), to-at)]
		if err := readAt(s.archive.r, b, at); err != nil {
			return 0, false, err
		}
		i := bytes.Index(b, []byte(signature))
		if i >= 0 {
			return at + int64(i), zeros && allZero(b[:i]), nil
		}
		zeros = zeros && allZero(b)
		if at += int64(len(b)); at < to {
			at -= int64(overlap)
		}
	}
	return to, zeros, nil
}

func allZero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }

// hiddenMember looks at the member whose local header is at a place that no entry of
// the directory leads to, and returns where to go on.
func (s *scanner) hiddenMember(ctx context.Context, at, to int64) (next int64, err error) {
	l, err := s.archive.local(&Member{Header: at})
	if _, breach := errors.AsType[*Error](err); breach {
		return s.noMember(ctx, at, to)
	}
	if err != nil {
		return to, err
	}
	if l.Name == "" || l.Method != Stored && l.Method != Deflated || l.data > to {
		return s.noMember(ctx, at, to)
	}
	s.found(l.Name, at)
	m := l.Member
	next = l.data + m.Packed
	if m.Packed == 0 || m.Packed > to-l.data {
		if m.Packed, next, err = s.unsized(ctx, l.data, to); err != nil {
			return to, err
		}
		m.Size = math.MaxInt64
	}
	c, err := s.archive.content(&m, l.data, &s.budget, nil)
	if err != nil {
		return 0, err
	}
	return next, s.show(ctx, c, at)
}

// found notes a member that no directory lists.
func (s *scanner) found(name string, at int64) {
	switch {
	case !s.cut:
		s.report(hazard.Of("archive-hidden-member", name, "").At(at))
	case s.hidden == 1 && s.tell != nil:
		s.hint = s.tell(&Archive{Members: []Member{{Name: name}}}) // as far as the first one tells
	}
}

// unsized returns how many bytes a member has whose local header does not say it, or says
// more than there are, and where to go on. The size stands behind the data, or nowhere.
// What looks like a further header ends them at the latest.
func (s *scanner) unsized(ctx context.Context, data, to int64) (packed, next int64, err error) {
	end, _, err := s.findLocal(ctx, data, to)
	if err != nil {
		return 0, to, err
	}
	for at, tries := data, 0; at < end && tries < maxMarks; at, tries = at+1, tries+1 {
		if at, _, err = s.find(ctx, descriptorMark, at, end); err != nil {
			return 0, to, err
		}
		b := make([]byte, min(4+4+8+8, end-at))
		if err := readAt(s.archive.r, b, at); err != nil {
			return 0, to, err
		}
		switch packed := uint64(at - data); {
		case len(b) == 24 && binary.LittleEndian.Uint64(b[8:]) == packed && binary.LittleEndian.Uint64(b[16:]) >= packed:
			return at - data, at + 24, nil
		case len(b) >= 16 && uint64(binary.LittleEndian.Uint32(b[8:])) == packed:
			return at - data, at + 16, nil
		}
	}
	if s.cut && end == s.archive.end.size {
		end, err = s.cutDescriptor(data, end)
	}
	return end - data, end, err
}

// cutDescriptor returns where a descriptor begins that the file ends in, else the end.
func (s *scanner) cutDescriptor(data, end int64) (int64, error) {
	b := make([]byte, min(4+4+8+8-1, end-data))
	if err := readAt(s.archive.r, b, end-int64(len(b))); err != nil {
		return end, err
	}
	for ; len(b) > 0; b = b[1:] {
		at := end - int64(len(b))
		said := len(b) < 12 || uint64(binary.LittleEndian.Uint32(b[8:])) == uint64(at-data)
		if mark := min(len(b), len(descriptorMark)); said && string(b[:mark]) == descriptorMark[:mark] {
			return at, nil
		}
	}
	return end, nil
}

// noMember steps over what has the mark of a local header and is none.
func (s *scanner) noMember(ctx context.Context, at, to int64) (next int64, err error) {
	next = min(at+int64(len(localSignature)), to)
	if s.cut {
		return next, nil // it may be the begin of a header
	}
	return next, s.unlisted(ctx, at, next, false)
}
