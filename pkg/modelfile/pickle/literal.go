package pickle

import (
	"bytes"
	"context"
	"fmt"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// maxHeld bounds a literal that is read into memory to be looked at, where the content
// cannot be read twice.
const maxHeld = 1 << 20

// literal reads text or bytes of n bytes, pushes them, and looks whether they are a
// pickle or another file of their own.
func (m *machine) literal(n int64, kind uint64) error {
	at := m.in.pos
	if n > maxText {
		return m.longLiteral(n, kind, at)
	}
	if m.buffer == nil {
		m.buffer = make([]byte, maxText)
	}
	b := m.buffer[:n]
	if err := m.in.read(b); err != nil {
		return err
	}
	v := makeValue(isBytes, 0)
	if kind == isText {
		v = m.heap.newText(b, false)
	}
	m.notice(b)
	looked, err := m.lookInto(b, kind, at)
	if err != nil {
		return err
	}
	if looked && m.lasting(b) {
		v |= seen
	}
	m.push(v)
	return nil
}

// lookInto is for a literal in memory. It tells whether it was looked at as a file of
// its own.
func (m *machine) lookInto(b []byte, kind uint64, at int64) (bool, error) {
	encoded := isEncoded(b, kind)
	if encoded {
		b = latin1(b)
	}
	what := guess(b)
	if what == isNothing {
		return false, nil
	}
	c := hazard.OfFile(literalName(at), bytes.NewReader(bytes.Clone(b)), int64(len(b)))
	return m.inside(c, what, at, !encoded)
}

// longLiteral is for one that is not read where it need not be.
func (m *machine) longLiteral(n int64, kind uint64, at int64) error {
	prefix, err := m.in.peek(maxText)
	if err != nil {
		return err
	}
	encoded := isEncoded(prefix, kind)
	if encoded {
		prefix = latin1(prefix)
	}
	v := makeValue(isBytes, 0)
	if kind == isText {
		v = makeValue(isText, lost)
	}
	what := guess(prefix)
	if what == isNothing {
		m.push(v)
		return m.in.Skip(n)
	}
	c, ok, err := m.in.part(literalName(at), n, maxHeld, m.depth+1)
	if err != nil {
		return err
	}
	looked := false
	switch {
	case ok:
		if encoded {
			c = decoded(c)
		}
		if looked, err = m.inside(c, what, at, !encoded); err != nil {
			return err
		}
	case what != maybePickle:
		m.limit(at, fmt.Sprintf("a literal of %d bytes begins as a file of its own, and is too large to be looked at in compressed data", n))
	}
	if looked && m.lasting(nil) {
		v |= seen
	}
	m.push(v)
	return nil
}

// lasting tells whether a literal that was looked at is what a loader makes of it, now
// and later: elements can be appended to a bytearray, and what becomes of a string of
// Python 2 that is not ASCII depends on how the loader is called. text is nil when it
// is not known.
func (m *machine) lasting(text []byte) bool {
	switch m.running {
	case opByteArray8:
		return false
	case opString, opBinString, opShortBinString:
		return text != nil && isASCII(text)
	}
	return true
}

func literalName(at int64) string { return fmt.Sprintf("literal at %d", at) }

// guessed is what a literal may be.
type guessed uint8

const (
	isNothing   guessed = iota
	maybePickle         // of protocol 0 or 1, which have no magic
	isPickle
	isLegacyTorch
	isOther // a container
)

// LegacyMagic begins what torch.save wrote before version 1.6: a pickle of the number
// 0x1950a86a20f9469cfc6c.
var LegacyMagic = []byte("\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.")

// containers begin files that have others inside.
var containers = [][]byte{
	[]byte("PK\x03\x04"), []byte("PK\x05\x06"), []byte("7z\xbc\xaf\x27\x1c"), []byte("\x1f\x8b"), []byte("\xfd7zXZ\x00"),
	[]byte("\x04\x22\x4d\x18"), []byte("\x28\xb5\x2f\xfd"), []byte("\x93NUMPY"), []byte("\x89HDF\r\n\x1a\n"),
}

// guess tells by its begin what a literal may be.
func guess(b []byte) guessed {
	if len(b) < 2 {
		return isNothing
	}
	switch {
	case bytes.HasPrefix(b, LegacyMagic):
		return isLegacyTorch
	case Starts(b):
		return isPickle
	}
	for _, magic := range containers {
		if bytes.HasPrefix(b, magic) {
			return isOther
		}
	}
	// Without PROTO a pickle has to push something first, and names globals in lines
	// or by the opcodes of protocol 2 and up.
	if firstOpcodes[b[0]] && bytes.ContainsAny(b, "\n") || firstOpcodes[b[0]] && bytes.IndexByte(b, byte(opStackGlobal)) > 0 {
		return maybePickle
	}
	return isNothing
}

// firstOpcodes can be run on an empty stack and do something.
var firstOpcodes = func() (first [256]bool) {
	for _, op := range []byte("(cIFLSVNJKMTUXGBC)]}P\x82\x83\x84\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x95\x96") {
		first[op] = true
	}
	return first
}()

// inside looks at a literal as a file of its own. at is where it begins; exact says
// that its bytes are those of the content, so that offsets can be added.
func (m *machine) inside(c hazard.Content, what guessed, at int64, exact bool) (looked bool, err error) {
	c.Depth = m.depth + 1
	if what == isOther || what == isLegacyTorch && m.visit != nil {
		if m.visit == nil {
			return false, nil
		}
		return true, m.visit(c)
	}
	if m.nesting >= MaxNesting {
		m.limit(at, fmt.Sprintf("pickles are in literals of each other, more than %d deep", MaxNesting))
		return false, nil
	}
	var findings []hazard.Finding
	child := m.child(what, func(f hazard.Finding) { findings = append(findings, f) })
	result, err := child.scan(c)
	if err != nil {
		return false, err
	}
	if !counts(result, what, findings) {
		return what != maybePickle && result.Streams[0].Whole, nil
	}
	m.complete = m.complete && child.complete
	for _, f := range findings {
		f.Message = "in a pickle inside of a literal: " + f.Message
		if f.Offset >= 0 && exact {
			f.Offset += at
		} else {
			f.Offset = at
		}
		m.find(f)
	}
	for _, g := range result.Globals {
		if exact {
			g.Offset += at
		} else {
			g.Offset = at
		}
		m.use(g.Global, g.Offset, g.Verdict)
	}
	return true, nil
}

// child is a scanner for a literal. It shares the bounds.
func (s *scanner) child(what guessed, report hazard.Report) *scanner {
	child := &scanner{
		options: Options{Allow: s.options.Allow},
		report:  report, cancelled: s.cancelled, visit: s.visit, depth: s.depth + 1, nesting: s.nesting + 1,
		pool: s.pool, opcodes: s.opcodes, complete: true,
	}
	if what == isLegacyTorch {
		child.options.Torch = true
		child.options.Done = func(streams []Stream) bool { return len(streams) == LegacyStreams }
	}
	return child
}

// LegacyStreams is how many pickles begin a file of torch.save before 1.6: the magic
// number, the protocol, the sizes of the system, the object and the list of storages.
const LegacyStreams = 5

// counts tells whether a literal is a pickle that does something, and not text or
// numbers that look like the begin of one.
func counts(r *Result, what guessed, findings []hazard.Finding) bool {
	calls, bad := 0, false
	for _, stream := range r.Streams {
		calls += stream.Calls
	}
	for _, g := range r.Globals {
		bad = bad || g.Verdict == hazard.Dangerous
	}
	if what == maybePickle {
		return r.Streams[0].Whole && (calls > 0 || bad)
	}
	for _, f := range findings {
		bad = bad || f.Rule == "pickle-limit" || f.Rule == "pickle-frame" || f.Rule == "pickle-extension-code"
	}
	return calls > 0 || bad || len(r.Globals) > 0
}

// MayStart tells whether a content with this prefix may be a pickle with or without a
// mark. It is false for most that are none; [Probe] tells more.
func MayStart(prefix []byte) bool {
	return len(prefix) > 0 && (firstOpcodes[prefix[0]] || Starts(prefix))
}

// Probe tells whether c holds pickles that name or call something, or more than is
// looked at, and reports nothing. It is for what should be numbers and no pickle.
func Probe(ctx context.Context, c hazard.Content) (bool, error) {
	limited := false
	r, err := newScanner(ctx, c, Options{Torch: true}, func(f hazard.Finding) {
		limited = limited || f.Rule == "pickle-limit"
	}).scan(c)
	if err != nil {
		return false, err
	}
	for _, s := range r.Streams {
		if s.Calls > 0 || s.Globals > 0 && (s.Whole || s.Protocol > 0) {
			return true, nil
		}
	}
	return limited, nil
}
