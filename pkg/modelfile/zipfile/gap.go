package zipfile

import (
	"bytes"
	"context"
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
			s.report(hazard.Of("archive-members", "", fmt.Sprintf("more than %d members that the directory does not list", maxHidden)).At(at))
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
	n := to - from
	if n == 0 {
		return nil
	}
	finding := hazard.Of("archive-unlisted-bytes", "", fmt.Sprintf("%d bytes belong to no member", n)).At(from)
	switch {
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
	const overlap = len(localSignature) - 1
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
		i := bytes.Index(b, []byte(localSignature))
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
	s.report(hazard.Of("archive-hidden-member", l.Name, "").At(at))
	m := l.Member
	if m.Packed == 0 || m.Packed > to-l.data {
		// The size stands behind the data, or nowhere. What looks like a further header
		// ends them at the latest.
		end, _, err := s.findLocal(ctx, l.data, to)
		if err != nil {
			return to, err
		}
		m.Packed, m.Size = end-l.data, math.MaxInt64
	}
	c, err := s.archive.content(&m, l.data, &s.budget, nil)
	if err != nil {
		return 0, err
	}
	return l.data + m.Packed, s.show(ctx, c, at)
}

// noMember steps over what has the mark of a local header and is none.
func (s *scanner) noMember(ctx context.Context, at, to int64) (next int64, err error) {
	next = min(at+int64(len(localSignature)), to)
	return next, s.unlisted(ctx, at, next, false)
}
