package zipfile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/membername"
	"github.com/modseal/modseal/pkg/modelfile/replay"
)

const (
	// maxFindings bounds the findings of one rule about one archive.
	maxFindings = 100
	// maxHidden bounds the members that no directory lists and that are looked at.
	maxHidden = 1_000
	// maxMarks bounds the marks of a descriptor in a member that are looked at, for the one
	// that is where it says.
	maxMarks = 16
	// maxChecked bounds the stored members whose checksum is computed: each pickle of
	// torch, and not its weights.
	maxChecked = 1 << 20
)

// Scan looks for what makes an archive mean two things, and hands each member to
// visit, in the order in which they lie in the file: those that the directory lists,
// those that it hides, and bytes that belong to none.
func Scan(ctx context.Context, c hazard.Content, report hazard.Report, visit hazard.Visit) error {
	return ScanAs(ctx, c, nil, report, visit)
}

// ScanAs is [Scan] for whoever knows kinds of archives: tell is called once the
// directory has been read, and what it returns gives each member its hint, by its name.
func ScanAs(ctx context.Context, c hazard.Content, tell func(a *Archive) (hint func(name string) hazard.Hint), report hazard.Report, visit hazard.Visit) error {
	r, size, err := replay.At(c)
	if err != nil {
		return err
	}
	defer r.Close()
	s := &scanner{
		archive: &Archive{r: r, end: ending{size: size}}, depth: c.Depth + 1, tell: tell,
		report: hazard.Bounded(report, maxFindings), visitor: visit,
		budget: hazard.ExpandedFactor*size + hazard.ExpandedSlack,
	}
	return s.run(ctx)
}

type scanner struct {
	archive *Archive
	depth   int
	tell    func(a *Archive) func(name string) hazard.Hint
	hint    func(name string) hazard.Hint // nil before tell was called
	report  hazard.Report
	visitor hazard.Visit
	budget  int64 // of bytes that may still be inflated
	hidden  int
	byName  []int32 // the members in the order of their names, by lower-case ones first
	least   []int64 // of each of byName the size of the smallest with its lower-case name
	cut     bool    // there is no directory, so that nothing is hidden from it
}

func (s *scanner) run(ctx context.Context) error {
	size := s.archive.end.size
	a, err := Read(s.archive.r, size)
	if breach, ok := errors.AsType[*Error](err); ok {
		reason := breach.Reason
		if s.cut = breach.cut; s.cut {
			reason = "it is cut off: the directory that ends every zip archive is not there (" + reason + "), and what is left of the members was looked at"
		}
		s.report(hazard.Of("archive-malformed", "", reason).At(breach.Offset))
		// Some readers go by the local headers alone.
		return s.gap(ctx, 0, size)
	}
	if err != nil {
		return err
	}
	s.archive = a
	if s.tell != nil {
		s.hint = s.tell(a)
	}
	s.checkEnd()
	s.checkNames()
	if err := s.members(ctx); err != nil {
		return err
	}
	behind := min(a.end.at+endSize+int64(a.end.comment), size)
	return s.gap(ctx, behind, size)
}

// checkEnd reports what the records at the end leave open.
func (s *scanner) checkEnd() {
	e := &s.archive.end
	if e.ambiguous != "" {
		s.report(hazard.Of("archive-header-mismatch", "", e.ambiguous).At(e.at))
	}
	if e.dirAt != e.dirSaid {
		s.report(hazard.Of("archive-polyglot", "", fmt.Sprintf(
			"the directory is at byte %d and announced at byte %d: programs that do not make up for it read another archive, or none", e.dirAt, e.dirSaid)).At(e.at))
	}
	switch said, is := int64(e.comment), e.size-e.at-endSize; {
	case said > is:
		s.report(hazard.Of("archive-malformed", "", fmt.Sprintf("a comment of %d bytes is announced, %d follow", said, is)).At(e.at))
	case is > maxComment:
		s.report(hazard.Of("archive-malformed", "", fmt.Sprintf("%d bytes follow the end record, and a comment has at most %d: some programs find no archive, others do", is, maxComment)).At(e.at))
	}
}

// checkNames reports names that appear twice or lead elsewhere.
func (s *scanner) checkNames() {
	members := s.archive.Members
	order := make([]int32, len(members))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int {
		return cmp.Or(compareFold(members[a].Name, members[b].Name), strings.Compare(members[a].Name, members[b].Name))
	})
	s.byName = order
	s.measure()
	for i, at := range order {
		m := &members[at]
		if i > 0 && members[order[i-1]].Name == m.Name {
			s.report(hazard.Of("archive-duplicate-member", m.Name, "").At(m.Header))
		}
		if err := membername.Check(strings.TrimSuffix(m.Name, "/")); err != nil {
			s.report(hazard.Of("archive-unsafe-name", m.Name, err.Error()).At(m.Header))
		}
	}
}

// members visits the members of the directory and what lies between them.
func (s *scanner) members(ctx context.Context) error {
	a := s.archive
	order := make([]*Member, len(a.Members))
	for i := range order {
		order[i] = &a.Members[i]
	}
	slices.SortStableFunc(order, func(a, b *Member) int { return int(min(max(a.Header-b.Header, -1), 1)) })
	var at int64
	for i, m := range order {
		if err := ctx.Err(); err != nil {
			return err
		}
		if m.Header < at {
			s.report(hazard.Of("archive-overlap", m.Name, fmt.Sprintf("the member begins at byte %d, where another has not ended", m.Header)).At(m.Header))
		} else if err := s.gap(ctx, at, m.Header); err != nil {
			return err
		}
		limit := a.end.dirAt
		if i+1 < len(order) && order[i+1].Header > m.Header {
			limit = order[i+1].Header
		}
		end, err := s.member(ctx, m, limit)
		if err != nil {
			return err
		}
		at = max(at, end)
	}
	if at > a.end.dirAt {
		s.report(hazard.Of("archive-overlap", "", "the last member reaches into the directory").At(a.end.dirAt))
	}
	return s.gap(ctx, at, a.end.dirAt)
}

// member looks at one member and returns where it ends; limit is where the next one
// begins.
func (s *scanner) member(ctx context.Context, m *Member, limit int64) (end int64, err error) {
	l, err := s.archive.local(m)
	if breach, ok := errors.AsType[*Error](err); ok {
		s.report(hazard.Of("archive-malformed", m.Name, breach.Reason).At(breach.Offset))
		return m.Header, nil
	}
	if err != nil {
		return 0, err
	}
	if what := l.difference(m); what != "" {
		s.report(hazard.Of("archive-header-mismatch", m.Name, "the local header of this member "+what).At(m.Header))
	}
	if (m.Flags|l.Flags)&FlagEncrypted != 0 {
		s.report(hazard.Of("archive-encrypted", m.Name, "").At(m.Header))
	}
	if err := s.visit(ctx, m, l.data); err != nil {
		return 0, err
	}
	if end = l.data + m.Packed; m.Flags&FlagDescriptor == 0 {
		return end, nil
	}
	n, err := s.archive.descriptor(m, end, limit)
	if err != nil {
		return 0, err
	}
	if n == 0 && end < limit {
		s.report(hazard.Of("archive-header-mismatch", m.Name, "no descriptor that says what the directory does follows this member").At(end))
	}
	return end + n, nil
}

// visit has the bytes of a member looked at.
func (s *scanner) visit(ctx context.Context, m *Member, data int64) error {
	if strings.HasSuffix(m.Name, "/") && m.Packed == 0 && m.Size == 0 {
		return nil // a directory
	}
	if m.Method == Stored {
		if err := s.checkStored(m, data); err != nil {
			return err
		}
	}
	var once sync.Once // the member may be read again
	c, err := s.archive.content(m, data, &s.budget, func(o outcome) { once.Do(func() { s.checkInflated(m, o) }) })
	if errors.Is(err, ErrMethod) {
		s.report(hazard.Of("archive-method", m.Name, err.Error()).At(m.Header))
		return nil
	}
	if err != nil {
		return err
	}
	return s.show(ctx, c, m.Header)
}

// show hands content to the visitor and reports when it could not be had.
func (s *scanner) show(ctx context.Context, c hazard.Content, at int64) error {
	c.Depth, c.Sibling = s.depth, s.sibling
	if s.hint != nil {
		c.Hint = s.hint(c.Name)
	}
	err := s.visitor(ctx, c)
	switch {
	case errors.Is(err, ErrExpansion):
		s.report(hazard.Of("archive-expansion", c.Name, err.Error()).At(at))
	case errors.Is(err, ErrCorrupt):
		s.report(hazard.Of("archive-malformed", c.Name, err.Error()).At(at))
	default:
		return err
	}
	return nil
}

// measure finds the smallest of the members whose names differ in case alone.
func (s *scanner) measure() {
	members := s.archive.Members
	s.least = make([]int64, len(s.byName))
	for from := 0; from < len(s.byName); {
		first := &members[s.byName[from]]
		least, to := first.Size, from+1
		for ; to < len(s.byName) && compareFold(members[s.byName[to]].Name, first.Name) == 0; to++ {
			least = min(least, members[s.byName[to]].Size)
		}
		for ; from < to; from++ {
			s.least[from] = least
		}
	}
}

// sibling is [hazard.Content.Sibling]. miniz, and so torch, takes ASCII letters of both
// cases for one: of all members that it may mean it is the smallest.
func (s *scanner) sibling(name string) (size int64, ok bool) {
	at, ok := slices.BinarySearchFunc(s.byName, name, func(i int32, name string) int {
		return compareFold(s.archive.Members[i].Name, name)
	})
	if !ok {
		return 0, false
	}
	return s.least[at], true
}

// compareFold compares names whose ASCII letters are in lower case.
func compareFold(a, b string) int {
	for i := range min(len(a), len(b)) {
		if c := cmp.Compare(lower(a[i]), lower(b[i])); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// checkStored compares a stored member with what was announced.
func (s *scanner) checkStored(m *Member, data int64) error {
	if m.Size != m.Packed {
		s.report(hazard.Of("archive-size", m.Name, fmt.Sprintf("the member is stored in %d bytes and said to have %d", m.Packed, m.Size)).At(m.Header))
	}
	if m.Packed > maxChecked {
		return nil
	}
	var o outcome
	if _, err := io.Copy(&o, io.NewSectionReader(s.archive.r, data, m.Packed)); err != nil {
		return err
	}
	if o.crc != m.CRC {
		s.report(wrongCRC(m, o))
	}
	return nil
}

// checkInflated is checkStored for a deflated member that was read to its end.
func (s *scanner) checkInflated(m *Member, o outcome) {
	switch {
	case o.longer:
		s.report(hazard.Of("archive-size", m.Name, fmt.Sprintf("more than the announced %d bytes come out of the member", m.Size)).At(m.Header))
	case o.size != m.Size:
		s.report(hazard.Of("archive-size", m.Name, fmt.Sprintf("%d bytes come out of the member, %d were announced", o.size, m.Size)).At(m.Header))
	case o.crc != m.CRC:
		s.report(wrongCRC(m, o))
	}
}

func wrongCRC(m *Member, o outcome) hazard.Finding {
	return hazard.Of("archive-crc", m.Name, fmt.Sprintf("the checksum is %08x, the archive says %08x", o.crc, m.CRC)).At(m.Header)
}
