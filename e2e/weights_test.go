package e2e_test

import (
	"bytes"
	bytesof "encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// weightTensor is NAME=TYPE:AxBxC on the line of a script.
type weightTensor struct {
	name, typ string
	shape     []uint64
}

func parseTensor(ts *testscript.TestScript, text string) weightTensor {
	name, rest, ok := strings.Cut(text, "=")
	typ, dims, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 {
		ts.Fatalf("%q is no NAME=TYPE:AxB", text)
	}
	t := weightTensor{name: name, typ: typ}
	for d := range strings.SplitSeq(dims, "x") {
		n, err := strconv.ParseUint(d, 10, 32)
		ts.Check(err)
		t.shape = append(t.shape, n)
	}
	return t
}

func (t weightTensor) elements() uint64 {
	n := uint64(1)
	for _, d := range t.shape {
		n *= d
	}
	return n
}

// weights FILE SEED [KEY:TEXT…] NAME=TYPE:AxB… writes a safetensors or a GGUF
// file, by the ending of its name. SEED is what every byte of its tensors is.
func weights(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) > 2, neg, "weights FILE SEED [KEY:TEXT…] NAME=TYPE:AxB…")
	seed, err := strconv.ParseUint(args[1], 10, 8)
	ts.Check(err)
	var tensors []weightTensor
	var keys [][2]string
	for _, a := range args[2:] {
		if key, value, ok := strings.Cut(a, ":"); ok && !strings.Contains(key, "=") {
			keys = append(keys, [2]string{key, value})
			continue
		}
		tensors = append(tensors, parseTensor(ts, a))
	}
	var out []byte
	if filepath.Ext(args[0]) == ".gguf" {
		out = ggufFile(ts, keys, tensors, byte(seed))
	} else {
		out = safetensorsFile(ts, keys, tensors, byte(seed))
	}
	name := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(name), 0o755))
	ts.Check(os.WriteFile(name, out, 0o644))
}

func safetensorsFile(ts *testscript.TestScript, keys [][2]string, tensors []weightTensor, seed byte) []byte {
	width := map[string]uint64{"F32": 4, "BF16": 2, "F16": 2, "I8": 1}
	header, end := map[string]any{}, uint64(0)
	metadata := map[string]string{}
	for _, k := range keys {
		metadata[k[0]] = k[1]
	}
	header["__metadata__"] = metadata
	for _, t := range tensors {
		begin := end
		end += t.elements() * width[t.typ]
		header[t.name] = map[string]any{"dtype": t.typ, "shape": t.shape, "data_offsets": []uint64{begin, end}}
	}
	text, err := json.Marshal(header)
	ts.Check(err)
	out := append(bytesof.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	return append(out, bytes.Repeat([]byte{seed}, int(end))...)
}

func ggufFile(ts *testscript.TestScript, keys [][2]string, tensors []weightTensor, seed byte) []byte {
	types := map[string]struct{ number, block, size uint64 }{"F32": {0, 1, 4}, "F16": {1, 1, 2}, "Q4_0": {2, 32, 18}, "Q8_0": {8, 32, 34}}
	const stringType, alignment = 8, 32
	le := bytesof.LittleEndian
	text := func(b []byte, s string) []byte { return append(le.AppendUint64(b, uint64(len(s))), s...) }
	out := le.AppendUint64(le.AppendUint64(le.AppendUint32([]byte("GGUF"), 3), uint64(len(tensors))), uint64(len(keys)))
	for _, k := range keys {
		out = text(le.AppendUint32(text(out, k[0]), stringType), k[1])
	}
	var offset uint64
	for _, t := range tensors {
		typ, ok := types[t.typ]
		if !ok {
			ts.Fatalf("no type %s", t.typ)
		}
		out = le.AppendUint32(text(out, t.name), uint32(len(t.shape)))
		for _, d := range t.shape {
			out = le.AppendUint64(out, d)
		}
		out = le.AppendUint64(le.AppendUint32(out, uint32(typ.number)), offset)
		offset += (t.elements()/typ.block*typ.size + alignment - 1) / alignment * alignment
	}
	for len(out)%alignment != 0 {
		out = append(out, 0)
	}
	return append(out, bytes.Repeat([]byte{seed}, int(offset))...)
}
