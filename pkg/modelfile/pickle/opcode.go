package pickle

// opcode is a byte of the machine language of pickles. Their meaning is that of
// CPython's Lib/pickletools.py and Modules/_pickle.c, version 3.13.
type opcode byte

// argument is how the argument of an opcode is written.
type argument uint8

const (
	noArgument    argument = iota
	argLine                // text up to a line feed
	argTwoLines            // two of them
	argUint1               // 1 byte
	argUint2               // 2 bytes, little-endian as all that follow
	argInt4                // 4 bytes, signed
	argUint4               // 4 bytes
	argUint8               // 8 bytes
	argFloat8              // 8 bytes
	argCounted1            // a length of 1 byte, then as many
	argCounted4            // a length of 4 bytes, then as many
	argCountedInt          // a length of 4 bytes that is signed, then as many
	argCounted8            // a length of 8 bytes, then as many
)

const (
	opMark           opcode = '('
	opStop           opcode = '.'
	opPop            opcode = '0'
	opPopMark        opcode = '1'
	opDup            opcode = '2'
	opFloat          opcode = 'F'
	opInt            opcode = 'I'
	opBinInt         opcode = 'J'
	opBinInt1        opcode = 'K'
	opLong           opcode = 'L'
	opBinInt2        opcode = 'M'
	opNone           opcode = 'N'
	opPersID         opcode = 'P'
	opBinPersID      opcode = 'Q'
	opReduce         opcode = 'R'
	opString         opcode = 'S'
	opBinString      opcode = 'T'
	opShortBinString opcode = 'U'
	opUnicode        opcode = 'V'
	opBinUnicode     opcode = 'X'
	opAppend         opcode = 'a'
	opBuild          opcode = 'b'
	opGlobal         opcode = 'c'
	opDict           opcode = 'd'
	opEmptyDict      opcode = '}'
	opAppends        opcode = 'e'
	opGet            opcode = 'g'
	opBinGet         opcode = 'h'
	opInst           opcode = 'i'
	opLongBinGet     opcode = 'j'
	opList           opcode = 'l'
	opEmptyList      opcode = ']'
	opObj            opcode = 'o'
	opPut            opcode = 'p'
	opBinPut         opcode = 'q'
	opLongBinPut     opcode = 'r'
	opSetItem        opcode = 's'
	opTuple          opcode = 't'
	opEmptyTuple     opcode = ')'
	opSetItems       opcode = 'u'
	opBinFloat       opcode = 'G'

	opProto    opcode = 0x80
	opNewObj   opcode = 0x81
	opExt1     opcode = 0x82
	opExt2     opcode = 0x83
	opExt4     opcode = 0x84
	opTuple1   opcode = 0x85
	opTuple2   opcode = 0x86
	opTuple3   opcode = 0x87
	opNewTrue  opcode = 0x88
	opNewFalse opcode = 0x89
	opLong1    opcode = 0x8a
	opLong4    opcode = 0x8b

	opBinBytes      opcode = 'B'
	opShortBinBytes opcode = 'C'

	opShortBinUnicode opcode = 0x8c
	opBinUnicode8     opcode = 0x8d
	opBinBytes8       opcode = 0x8e
	opEmptySet        opcode = 0x8f
	opAddItems        opcode = 0x90
	opFrozenSet       opcode = 0x91
	opNewObjEx        opcode = 0x92
	opStackGlobal     opcode = 0x93
	opMemoize         opcode = 0x94
	opFrame           opcode = 0x95

	opByteArray8     opcode = 0x96
	opNextBuffer     opcode = 0x97
	opReadonlyBuffer opcode = 0x98
)

// operation describes an opcode; the zero one is of bytes that are none.
type operation struct {
	name     string
	argument argument
	protocol int // the first that has it
}

// operations are all 68 opcodes.
var operations = [256]operation{
	opMark:           {"MARK", noArgument, 0},
	opStop:           {"STOP", noArgument, 0},
	opPop:            {"POP", noArgument, 0},
	opPopMark:        {"POP_MARK", noArgument, 1},
	opDup:            {"DUP", noArgument, 0},
	opFloat:          {"FLOAT", argLine, 0},
	opInt:            {"INT", argLine, 0},
	opBinInt:         {"BININT", argInt4, 1},
	opBinInt1:        {"BININT1", argUint1, 1},
	opLong:           {"LONG", argLine, 0},
	opBinInt2:        {"BININT2", argUint2, 1},
	opNone:           {"NONE", noArgument, 0},
	opPersID:         {"PERSID", argLine, 0},
	opBinPersID:      {"BINPERSID", noArgument, 1},
	opReduce:         {"REDUCE", noArgument, 0},
	opString:         {"STRING", argLine, 0},
	opBinString:      {"BINSTRING", argCountedInt, 1},
	opShortBinString: {"SHORT_BINSTRING", argCounted1, 1},
	opUnicode:        {"UNICODE", argLine, 0},
	opBinUnicode:     {"BINUNICODE", argCounted4, 1},
	opAppend:         {"APPEND", noArgument, 0},
	opBuild:          {"BUILD", noArgument, 0},
	opGlobal:         {"GLOBAL", argTwoLines, 0},
	opDict:           {"DICT", noArgument, 0},
	opEmptyDict:      {"EMPTY_DICT", noArgument, 1},
	opAppends:        {"APPENDS", noArgument, 1},
	opGet:            {"GET", argLine, 0},
	opBinGet:         {"BINGET", argUint1, 1},
	opInst:           {"INST", argTwoLines, 0},
	opLongBinGet:     {"LONG_BINGET", argUint4, 1},
	opList:           {"LIST", noArgument, 0},
	opEmptyList:      {"EMPTY_LIST", noArgument, 1},
	opObj:            {"OBJ", noArgument, 1},
	opPut:            {"PUT", argLine, 0},
	opBinPut:         {"BINPUT", argUint1, 1},
	opLongBinPut:     {"LONG_BINPUT", argUint4, 1},
	opSetItem:        {"SETITEM", noArgument, 0},
	opTuple:          {"TUPLE", noArgument, 0},
	opEmptyTuple:     {"EMPTY_TUPLE", noArgument, 1},
	opSetItems:       {"SETITEMS", noArgument, 1},
	opBinFloat:       {"BINFLOAT", argFloat8, 1},

	opProto:    {"PROTO", argUint1, 2},
	opNewObj:   {"NEWOBJ", noArgument, 2},
	opExt1:     {"EXT1", argUint1, 2},
	opExt2:     {"EXT2", argUint2, 2},
	opExt4:     {"EXT4", argInt4, 2},
	opTuple1:   {"TUPLE1", noArgument, 2},
	opTuple2:   {"TUPLE2", noArgument, 2},
	opTuple3:   {"TUPLE3", noArgument, 2},
	opNewTrue:  {"NEWTRUE", noArgument, 2},
	opNewFalse: {"NEWFALSE", noArgument, 2},
	opLong1:    {"LONG1", argCounted1, 2},
	opLong4:    {"LONG4", argCountedInt, 2},

	opBinBytes:      {"BINBYTES", argCounted4, 3},
	opShortBinBytes: {"SHORT_BINBYTES", argCounted1, 3},

	opShortBinUnicode: {"SHORT_BINUNICODE", argCounted1, 4},
	opBinUnicode8:     {"BINUNICODE8", argCounted8, 4},
	opBinBytes8:       {"BINBYTES8", argCounted8, 4},
	opEmptySet:        {"EMPTY_SET", noArgument, 4},
	opAddItems:        {"ADDITEMS", noArgument, 4},
	opFrozenSet:       {"FROZENSET", noArgument, 4},
	opNewObjEx:        {"NEWOBJ_EX", noArgument, 4},
	opStackGlobal:     {"STACK_GLOBAL", noArgument, 4},
	opMemoize:         {"MEMOIZE", noArgument, 4},
	opFrame:           {"FRAME", argUint8, 4},

	opByteArray8:     {"BYTEARRAY8", argCounted8, 5},
	opNextBuffer:     {"NEXT_BUFFER", noArgument, 5},
	opReadonlyBuffer: {"READONLY_BUFFER", noArgument, 5},
}
