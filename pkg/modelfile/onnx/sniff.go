package onnx

import (
	"encoding/binary"
	"unicode/utf8"
)

// modelWires are the wire types of the fields of ModelProto.
var modelWires = map[uint64]uint64{
	1:  wireVarint, // ir_version
	2:  wireBytes,  // producer_name
	3:  wireBytes,  // producer_version
	4:  wireBytes,  // domain
	5:  wireVarint, // model_version
	6:  wireBytes,  // doc_string
	7:  wireBytes,  // graph
	8:  wireBytes,  // opset_import
	14: wireBytes,  // metadata_props
	20: wireBytes,  // training_info
	25: wireBytes,  // functions
	26: wireBytes,  // configuration
}

// maxSniffedVersion lies far above the ir_version of today (13).
const maxSniffedVersion = 100

// Sniff reports whether the first bytes of a file can only be those of an ONNX
// model: the fields of ModelProto, led by ir_version as all writers do, up to
// the graph, an operator set or a text that is longer than the prefix. A
// prefix that ends before that proves nothing.
func Sniff(prefix []byte) bool {
	version, p, ok := sniffField(prefix, 1)
	if !ok || version == 0 || version > maxSniffedVersion {
		return false
	}
	for fields := 1; ; fields++ {
		tag, n := binary.Uvarint(p)
		if n <= 0 {
			return false
		}
		num := tag >> 3
		if wire, known := modelWires[num]; !known || wire != tag&7 || num == 1 {
			return false
		}
		value, rest, ok := sniffField(p, num)
		switch {
		case !ok:
			return false
		case num == modelGraph || num == modelOpset:
			return value > 0 && beginsMessage(rest)
		case modelWires[num] == wireVarint:
			p = rest
			continue
		case value > uint64(len(rest)):
			return isText(num) && fields > 1
		case isText(num) && !utf8.Valid(rest[:value]):
			return false
		}
		p = rest[value:]
	}
}

// beginsMessage reports whether p may be the inside of a GraphProto or an
// OperatorSetIdProto, whose fields are all strings, messages and one version.
func beginsMessage(p []byte) bool {
	return len(p) > 0 && (p[0]&7 == wireBytes && p[0]>>3 != 0 || p[0] == 2<<3|wireVarint)
}

// isText: producer_name, producer_version, domain, doc_string.
func isText(num uint64) bool { return num == 2 || num == 3 || num == 4 || num == 6 }

// sniffField reads the tag of field num and the number behind it.
func sniffField(p []byte, num uint64) (value uint64, rest []byte, ok bool) {
	tag, n := binary.Uvarint(p)
	if n <= 0 || tag != num<<3|modelWires[num] {
		return 0, nil, false
	}
	p = p[n:]
	value, n = binary.Uvarint(p)
	if n <= 0 {
		return 0, nil, false
	}
	return value, p[n:], true
}
