package pickle

// Opcode returns the name of an opcode and the first protocol that has it; ok is false
// for the bytes that are none.
func Opcode(b byte) (name string, protocol int, ok bool) {
	op := operations[b]
	return op.name, op.protocol, op.name != ""
}
