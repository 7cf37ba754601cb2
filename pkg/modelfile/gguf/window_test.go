package gguf_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/modelfile/gguf"
)

// watched notes how far a file was read, and how often.
type watched struct {
	*bytes.Reader
	furthest int64
	reads    int
}

func (w *watched) ReadAt(p []byte, off int64) (int, error) {
	w.furthest = max(w.furthest, off+int64(len(p)))
	w.reads++
	return w.Reader.ReadAt(p, off)
}

// A header does not say how long it is, and behind it are weights, which whoever
// asks a registry for the header must not ask for. Nor may each field be a request.
func TestNoByteBehindTheHeaderIsRead(t *testing.T) {
	const tensors, words = 300, 20_000
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		w := begin(order, 3, tensors, 4)
		w.key("general.architecture", gguf.TypeString).str("llama")
		w.array("tokenizer.ggml.tokens", gguf.TypeString, words)
		for i := range words {
			w.str(strings.Repeat("t", i%17))
		}
		w.array("general.tags", gguf.TypeString, 2).str("a").str("b")
		w.array("nested", gguf.TypeArray, 2)
		for range 2 {
			w.u32(uint32(gguf.TypeString)).count(2).str("x").str("yz")
		}
		for i := range tensors {
			w.tensor(fmt.Sprintf("blk.%d.attn_q.weight", i), gguf.F32, uint64(i)*32, 8)
		}
		w.data(32, tensors*32)
		r := &watched{Reader: bytes.NewReader(w.Bytes())}
		h, err := gguf.Read(r, int64(w.Len()))
		if err != nil {
			t.Fatal(err)
		}
		if r.furthest != h.HeaderSize {
			t.Errorf("%v: read up to byte %d, the header ends at %d", order, r.furthest, h.HeaderSize)
		}
		if r.reads > 60 {
			t.Errorf("%v: %d reads for a header of %d bytes", order, r.reads, h.HeaderSize)
		}
		t.Logf("%d reads of %d bytes", r.reads, h.HeaderSize)
	}
}
