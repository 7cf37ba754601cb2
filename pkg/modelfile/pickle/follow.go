package pickle

import "github.com/modseal/modseal/pkg/modelfile/hazard"

// Follow is the input behind an opcode, for a [BuildHook].
type Follow struct {
	m     *machine
	again bool
}

// Again tells whether the object was given a state before, which the loader adds to.
func (f *Follow) Again() bool { return f.again }

// InFrame tells whether the input is inside of a frame.
func (f *Follow) InFrame() bool { return f.m.framed > f.m.in.pos }

// Offset is where the input is, in bytes from the begin of the content.
func (f *Follow) Offset() int64 { return f.m.in.pos }

// Byte reads a byte.
func (f *Follow) Byte() (byte, error) {
	f.leave()
	return f.m.in.Byte()
}

// Skip goes on n bytes.
func (f *Follow) Skip(n int64) error {
	f.leave()
	return f.m.in.Skip(n)
}

// leave notices data that begins inside of a frame. The loader has read the frame
// before it runs it, and takes the data from behind.
func (f *Follow) leave() {
	if f.InFrame() {
		f.m.find(hazard.Of("pickle-frame", operations[opFrame].name,
			"data is read in the middle of a frame: the loader takes it from behind the frame").At(f.m.at))
	}
}

// Pickle reads a whole pickle that begins here, and returns false when it does not end
// with STOP, which was reported.
func (f *Follow) Pickle() (whole bool, err error) {
	f.leave()
	m := newMachine(f.m.scanner)
	m.plain = true
	stream, err := m.run()
	return stream.Whole, err
}

// Unread ends the stream with a finding: what follows cannot be stepped over.
func (f *Follow) Unread(message string) error {
	return breakf("pickle-array-unread", "%s", message)
}

// Report reports a finding at the place where the opcode is.
func (f *Follow) Report(finding hazard.Finding) { f.m.find(finding.At(f.m.at)) }
