package pickle

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// step runs one opcode, whose byte was read.
func (m *machine) step(op opcode, info operation) error {
	switch info.argument {
	case argLine, argTwoLines:
		return m.lineStep(op)
	case argCounted1, argCounted4, argCountedInt, argCounted8:
		n, err := m.length(info.argument)
		if err != nil {
			return err
		}
		return m.countedStep(op, n)
	}
	n, err := m.number(info.argument)
	if err != nil {
		return err
	}
	switch op {
	case opProto:
		if n > highestProtocol {
			return malformed("protocol %d does not exist", n)
		}
		m.protocol, m.sawProto, m.heap.byName = int(n), true, nil
	case opFrame:
		return m.enterFrame(n)
	case opStop:
		m.stopped = true
		return m.need(1)
	case opBinInt:
		m.push(integer(int64(int32(uint32(n)))))
	case opBinInt1, opBinInt2:
		m.push(integer(int64(n)))
	case opBinFloat:
		m.push(makeValue(isNumber, 0))
	case opNone:
		m.push(makeValue(isNone, 0))
	case opNewTrue:
		m.push(makeValue(isBool, 1))
	case opNewFalse:
		m.push(makeValue(isBool, 0))
	case opBinGet, opLongBinGet:
		return m.get(n)
	case opBinPut, opLongBinPut:
		return m.put(n)
	case opMemoize:
		return m.put(uint64(m.memo.count))
	case opExt1, opExt2, opExt4:
		m.find(hazard.Of("pickle-extension-code", fmt.Sprintf("%s %d", info.name, n),
			"an extension code stands for a global that only the loading program knows").At(m.at))
		m.push(makeValue(isUnknown, 0))
	case opNextBuffer, opReadonlyBuffer:
		return m.outOfBand(op)
	default:
		return m.stackStep(op)
	}
	return nil
}

// sizes are those of arguments that are numbers, and of the lengths before others.
var sizes = [...]uint8{
	argUint1: 1, argUint2: 2, argInt4: 4, argUint4: 4, argUint8: 8, argFloat8: 8,
	argCounted1: 1, argCounted4: 4, argCountedInt: 4, argCounted8: 8,
}

// number reads an argument of a fixed size; 0 for opcodes without.
func (m *machine) number(kind argument) (uint64, error) {
	size := sizes[kind]
	switch size {
	case 0:
		return 0, nil
	case 1:
		b, err := m.in.Byte()
		return uint64(b), err
	}
	m.word = [8]byte{}
	if err := m.in.read(m.word[:size]); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(m.word[:]), nil
}

// length reads the length of a literal and compares it with what follows.
func (m *machine) length(kind argument) (int64, error) {
	n, err := m.number(kind)
	if err != nil {
		return 0, err
	}
	if kind == argCountedInt && n > math.MaxInt32 {
		return 0, malformed("%s has a negative length", operations[m.running].name)
	}
	if n > uint64(m.in.remaining()) {
		return 0, breakf("pickle-truncated", "%s announces %d bytes, where %d follow", operations[m.running].name, n, m.in.remaining())
	}
	return int64(n), nil
}

// countedStep runs an opcode whose argument is n bytes.
func (m *machine) countedStep(op opcode, n int64) error {
	switch op {
	case opLong1, opLong4:
		return m.long(n)
	case opBinString, opShortBinString, opBinUnicode, opShortBinUnicode, opBinUnicode8:
		return m.literal(n, isText)
	}
	return m.literal(n, isBytes)
}

// torchMagic is the number 0x1950a86a20f9469cfc6c as LONG1 has it.
var torchMagic = []byte("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")

// long reads a number of n bytes, in two's complement.
func (m *machine) long(n int64) error {
	const known = 16
	if n > known {
		m.push(makeValue(isNumber, 0))
		return m.in.Skip(n)
	}
	b := make([]byte, n, known)
	if err := m.in.read(b); err != nil {
		return err
	}
	switch {
	case bytes.Equal(b, torchMagic):
		m.push(makeValue(isMagic, 0))
	case n > 8:
		m.push(makeValue(isNumber, 0))
	default:
		var fill byte
		if len(b) > 0 && b[len(b)-1] >= 0x80 { // it is negative
			fill = 0xff
		}
		for len(b) < 8 {
			b = append(b, fill)
		}
		m.push(integer(int64(binary.LittleEndian.Uint64(b))))
	}
	return nil
}

// get pushes a value of the memo.
func (m *machine) get(n uint64) error {
	v, ok := value(0), false
	if n <= math.MaxUint32 {
		v, ok = m.memo.get(uint32(n))
	}
	if !ok {
		return malformed("%s %d: nothing was put there", operations[m.running].name, n)
	}
	if v.container() {
		m.gets++
	}
	m.push(v)
	return nil
}

// put keeps the value on top in the memo.
func (m *machine) put(n uint64) error {
	if err := m.need(1); err != nil {
		return err
	}
	m.puts++
	if n > math.MaxUint32 || !m.memo.put(uint32(n), m.top(), m.pool) {
		return breakf("pickle-limit", "more than %d values are remembered, or number %d is far beyond them", MaxMemo, n)
	}
	return nil
}

// outOfBand is data that the loading program has to bring along.
func (m *machine) outOfBand(op opcode) error {
	if op == opReadonlyBuffer {
		if err := m.need(1); err != nil {
			return err
		}
		if v := m.top(); v.kind() != isBytes && v.kind() != isUnknown {
			m.limit(m.at, fmt.Sprintf("a view is made of the memory of %s, which no writer does", m.describe(v)))
		}
		return nil
	}
	m.find(hazard.Of("pickle-out-of-band-buffer", "", "data is expected beside the pickle, which no file format of models has").At(m.at))
	m.push(makeValue(isUnknown, 0))
	return nil
}

// stackStep runs an opcode that works on the stack alone.
func (m *machine) stackStep(op opcode) error {
	switch op {
	case opMark:
		m.marks = append(m.marks, len(m.stack))
	case opPop:
		if len(m.marks) > 0 && m.fence() == len(m.stack) {
			m.marks = m.marks[:len(m.marks)-1]
			return nil
		}
		if err := m.need(1); err != nil {
			return err
		}
		m.pop()
	case opPopMark:
		_, err := m.popMark()
		return err
	case opDup:
		if err := m.need(1); err != nil {
			return err
		}
		if m.top().container() {
			m.gets++
		}
		m.push(m.top())
	case opEmptyTuple, opEmptyList, opEmptyDict, opEmptySet:
		m.push(m.heap.newObject(emptyKinds[op], object{}))
	case opTuple1, opTuple2, opTuple3:
		n := int(op-opTuple1) + 1
		if err := m.need(n); err != nil {
			return err
		}
		items := m.stack[len(m.stack)-n:]
		m.stack = m.stack[:len(m.stack)-n]
		m.push(m.tuple(items))
	case opTuple, opList, opDict, opFrozenSet:
		items, err := m.popMark()
		if err != nil {
			return err
		}
		return m.collect(op, items)
	case opAppend, opAppends, opSetItem, opSetItems, opAddItems:
		return m.fill(op)
	default:
		return m.callStep(op)
	}
	return nil
}

var emptyKinds = [256]uint64{opEmptyTuple: isTuple, opEmptyList: isList, opEmptyDict: isDict, opEmptySet: isSet}
