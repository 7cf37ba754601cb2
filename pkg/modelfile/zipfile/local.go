package zipfile

import (
	"encoding/binary"
	"fmt"
)

// local is a local header, which stands before the bytes of each member.
type local struct {
	Member
	data int64 // where the bytes begin
}

// local reads the header of m, or of a member that no directory has when only Header
// is filled in.
func (a *Archive) local(m *Member) (local, error) {
	if m.Header > a.end.size-localSize {
		return local{}, invalid(m.Header, "local header of member %q ends beyond the file of %d bytes", m.Name, a.end.size)
	}
	b := make([]byte, localSize)
	if err := readAt(a.r, b, m.Header); err != nil {
		return local{}, err
	}
	if string(b[:4]) != localSignature {
		return local{}, invalid(m.Header, "no local header of member %q", m.Name)
	}
	name, extra := int(binary.LittleEndian.Uint16(b[26:])), int(binary.LittleEndian.Uint16(b[28:]))
	l := local{
		Member: Member{
			Flags:  binary.LittleEndian.Uint16(b[6:]),
			Method: binary.LittleEndian.Uint16(b[8:]),
			CRC:    binary.LittleEndian.Uint32(b[14:]),
			Packed: int64(binary.LittleEndian.Uint32(b[18:])),
			Size:   int64(binary.LittleEndian.Uint32(b[22:])),
			Header: m.Header,
		},
		data: m.Header + localSize + int64(name) + int64(extra),
	}
	if l.data > a.end.size-m.Packed {
		return local{}, invalid(m.Header, "member %q of %d bytes ends beyond the file of %d bytes", m.Name, m.Packed, a.end.size)
	}
	variable := make([]byte, name+extra)
	if err := readAt(a.r, variable, m.Header+localSize); err != nil {
		return local{}, err
	}
	l.Name = string(variable[:name])
	if err := widen(variable[name:], &l.Size, &l.Packed); err != nil {
		return local{}, invalid(m.Header, "local header of member %q: %v", l.Name, err)
	}
	return l, nil
}

// difference returns in what the local header of a member differs from the central
// directory, "" when it says the same. With a descriptor behind the data, it may say
// nothing of checksum and sizes.
func (l *local) difference(m *Member) string {
	later := m.Flags&FlagDescriptor != 0
	differs := func(local, central int64) bool { return local != central && !(later && local == 0) }
	switch {
	case l.Name != m.Name:
		return fmt.Sprintf("is called %q", l.Name)
	case l.Method != m.Method:
		return fmt.Sprintf("has method %d, not %d", l.Method, m.Method)
	case l.Flags != m.Flags:
		return fmt.Sprintf("has flags %#x, not %#x", l.Flags, m.Flags)
	case differs(l.Packed, m.Packed):
		return fmt.Sprintf("has %d compressed bytes, not %d", l.Packed, m.Packed)
	case differs(l.Size, m.Size):
		return fmt.Sprintf("has %d bytes, not %d", l.Size, m.Size)
	case differs(int64(l.CRC), int64(m.CRC)):
		return fmt.Sprintf("has checksum %08x, not %08x", l.CRC, m.CRC)
	}
	return ""
}

// descriptor returns the size of the descriptor that stands at the given place: 12
// or 20 bytes, and 4 more with the mark that most writers put before it (APPNOTE
// 4.3.9). It is 0 when there is none that says what the directory does.
func (a *Archive) descriptor(m *Member, at, limit int64) (int64, error) {
	const most = 4 + 4 + 8 + 8
	b := make([]byte, min(most, max(limit-at, 0)))
	if err := readAt(a.r, b, at); err != nil {
		return 0, err
	}
	var mark int64
	if len(b) >= 4 && string(b[:4]) == descriptorMark {
		mark = 4
	}
	fields := b[mark:]
	if len(fields) < 12 || binary.LittleEndian.Uint32(fields) != m.CRC {
		return 0, nil
	}
	if len(fields) >= 20 && binary.LittleEndian.Uint64(fields[4:]) == uint64(m.Packed) && binary.LittleEndian.Uint64(fields[12:]) == uint64(m.Size) {
		return mark + 20, nil
	}
	if binary.LittleEndian.Uint32(fields[4:]) == uint32(m.Packed) && binary.LittleEndian.Uint32(fields[8:]) == uint32(m.Size) {
		return mark + 12, nil
	}
	return 0, nil
}
