package pickle

import (
	"errors"
	"fmt"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// highestProtocol is that of Python 3.8 to 3.14.
const highestProtocol = 5

// machine runs one stream on abstract values.
type machine struct {
	*scanner
	heap  heap
	stack []value
	marks []int // heights of the stack
	memo  memo

	protocol int
	sawProto bool
	framed   int64 // where the current frame ends, 0 outside
	at       int64 // of the opcode that is run
	begin    int64
	ops      int
	globals  int
	calls    int
	puts     int
	gets     int // of containers
	stopped  bool
	word     [8]byte // for arguments
	running  opcode
	hijack   string          // see notice
	plain    bool            // no data follows BUILD
	fields   map[uint64]bool // the dictionaries that types of NumPy keep, by their ids
	sparsed  bool            // a sparse tensor was reported
}

func newMachine(s *scanner) *machine {
	m := &machine{scanner: s, begin: s.in.pos}
	m.heap.budget = &s.pool.budget
	if s.nesting > 0 {
		own := int64(nestedBytes + memoReserve)
		m.heap.budget = &own
	}
	return m
}

// keptStreams is of how many streams the root is kept: as many as begin a legacy file of
// torch.
const keptStreams = LegacyStreams

// A broken stream ends with one of these, which say what to report.
type broken struct {
	rule, message string
}

func (b *broken) Error() string { return b.message }

func breakf(rule, format string, args ...any) error {
	return &broken{rule, fmt.Sprintf(format, args...)}
}

func malformed(format string, args ...any) error {
	return breakf("pickle-malformed", format, args...)
}

// run reads one stream. What is wrong with it is a finding.
func (m *machine) run() (Stream, error) {
	err := m.loop()
	stream := Stream{
		Offset: m.begin, Size: m.in.pos - m.begin, Protocol: m.protocol, Opcodes: m.ops,
		Globals: m.globals, Calls: m.calls, Whole: err == nil,
	}
	if err == nil && m.nesting == 0 && !m.plain && len(m.result.Streams) < keptStreams {
		stream.Root = Value{&m.heap, m.top()}
	} else {
		*m.heap.budget += m.heap.charged
	}
	m.release()
	if err == nil {
		m.settle()
		return stream, nil
	}
	b, err := m.explain(err)
	if err != nil {
		return stream, err
	}
	if m.uncertain && b.rule != "pickle-limit" {
		// What follows a pickle is not another one.
		m.uncertain, m.waiting = false, nil
		m.find(hazard.Of("pickle-trailing-bytes", "", "bytes follow the pickle that are no pickle: nobody knows what they are for").At(m.begin))
		return stream, nil
	}
	m.settle()
	m.find(hazard.Of(b.rule, "", b.message).At(m.at))
	return stream, nil
}

// explain tells what is wrong with a stream from what is wrong with reading it.
func (m *machine) explain(err error) (*broken, error) {
	var b *broken
	switch {
	case errors.As(err, &b):
		return b, nil
	case Ended(err):
		return &broken{"pickle-truncated", fmt.Sprintf("the pickle ends in the middle, after %d opcodes", m.ops)}, nil
	}
	return nil, err
}

// release gives the memory of the memo back. What was kept stays for who looks at the
// root.
func (m *machine) release() {
	m.pool.give(&m.memo)
	m.marks, m.stack = nil, nil
}

// loop runs opcodes until STOP.
func (m *machine) loop() error {
	for {
		m.at = m.in.pos
		b, err := m.in.Byte()
		if err != nil {
			return err
		}
		op := opcode(b)
		m.running = op
		info := operations[op]
		if info.name == "" {
			return breakf("pickle-invalid-opcode", "byte 0x%02x is no opcode: a loader stops here, and has run what was before", b)
		}
		if err := m.count(op, info); err != nil {
			return err
		}
		if err := m.step(op, info); err != nil {
			return err
		}
		if op != opFrame {
			m.leaveFrame()
		}
		if m.stopped {
			m.finish()
			return nil
		}
	}
}

// count holds the bounds and the rules about PROTO.
func (m *machine) count(op opcode, info operation) error {
	m.ops++
	*m.opcodes++
	if *m.opcodes > MaxOpcodes {
		return breakf("pickle-limit", "more than %d opcodes", MaxOpcodes)
	}
	if m.ops%(1<<16) == 0 {
		if err := m.cancelled(); err != nil {
			return err
		}
	}
	if len(m.stack)+len(m.marks) > MaxStack {
		return breakf("pickle-limit", "more than %d values on the stack", MaxStack)
	}
	switch {
	case op == opProto && m.ops > 1:
		m.find(hazard.Of("pickle-protocol", "PROTO", "PROTO stands in the middle of the pickle, as no writer puts it").At(m.at))
	case op != opProto && info.protocol >= 2 && !m.sawProto:
		m.find(hazard.Of("pickle-protocol", info.name, fmt.Sprintf("%s is of protocol %d, which PROTO did not announce", info.name, info.protocol)).At(m.at))
	}
	return nil
}

// leaveFrame notices an opcode that crosses the end of its frame: loaders differ in
// what they read then (https://github.com/python/cpython/issues/154848).
func (m *machine) leaveFrame() {
	if m.framed == 0 || m.in.pos < m.framed {
		return
	}
	if m.in.pos > m.framed {
		m.find(hazard.Of("pickle-frame", operations[opFrame].name,
			"an opcode goes beyond the end of its frame: loaders do not agree on what follows").At(m.at))
	}
	m.framed = 0
}

func (m *machine) enterFrame(length uint64) error {
	if m.framed != 0 && m.in.pos < m.framed {
		m.find(hazard.Of("pickle-frame", operations[opFrame].name, "a frame begins inside of another one").At(m.at))
	}
	if length > uint64(m.in.remaining()) {
		m.find(hazard.Of("pickle-frame", operations[opFrame].name,
			fmt.Sprintf("a frame of %d bytes, where %d follow", length, m.in.remaining())).At(m.at))
		m.framed = 0
		return nil
	}
	m.framed = m.in.pos + int64(length)
	return nil
}

// The stack. What is below the last mark cannot be reached.

func (m *machine) fence() int {
	if len(m.marks) == 0 {
		return 0
	}
	return m.marks[len(m.marks)-1]
}

func (m *machine) push(v value) { m.stack = append(m.stack, v) }

func (m *machine) need(n int) error {
	if len(m.stack)-m.fence() < n {
		return malformed("%s finds fewer than %d values on the stack", operations[m.running].name, n)
	}
	return nil
}

func (m *machine) pop() value {
	v := m.stack[len(m.stack)-1]
	m.stack = m.stack[:len(m.stack)-1]
	return v
}

// top returns the value on top, without taking it.
func (m *machine) top() value {
	if len(m.stack) == 0 {
		return 0
	}
	return m.stack[len(m.stack)-1]
}

// popMark returns the values above the last mark, and takes both away. They are valid
// until the next push.
func (m *machine) popMark() ([]value, error) {
	if len(m.marks) == 0 {
		return nil, malformed("%s finds no mark", operations[m.running].name)
	}
	from := m.fence()
	m.marks = m.marks[:len(m.marks)-1]
	values := m.stack[from:]
	m.stack = m.stack[:from]
	return values, nil
}

// finish looks at what can be known behind STOP alone.
func (m *machine) finish() {
	if m.framed != 0 {
		m.find(hazard.Of("pickle-frame", operations[opFrame].name, "the last frame goes on behind the end of the pickle").At(m.at))
	}
	m.checkExpansion()
}

// checkExpansion notices pickles that are small and make structures that are not, by
// putting one container into others again and again.
func (m *machine) checkExpansion() {
	const enough, ratio = 200, 50
	if m.gets > enough && m.gets > ratio*max(m.puts, 1) {
		m.find(hazard.Of("pickle-expansion", "", fmt.Sprintf("%d times a container is used again, of %d values that were remembered", m.gets, m.puts)).At(m.begin))
	}
}
