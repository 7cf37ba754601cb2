package gguf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/modelfile/gguf"
)

func TestWalk(t *testing.T) {
	b := model(binary.LittleEndian, 3)
	var got []string
	h, err := gguf.Walk(bytes.NewReader(b), int64(len(b)), func(x *gguf.Tensor) error {
		got = append(got, fmt.Sprintf("%s %s %v %d+%d, %d from the end", x.Name, x.Type, x.Shape, x.Offset, x.Size, int64(len(b))-x.At))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"norm F32 [3] 0+12, 352 from the end", "blk.0.weight Q4_K [256 2] 64+288, 288 from the end"}, got); d != "" {
		t.Error(d)
	}
	if h.TensorCount != 2 || h.Tensors != nil || h.DataStart%64 != 0 || int(h.DataStart) != len(b)-64-288 {
		t.Errorf("%+v", h)
	}
}

// What breaks the format anywhere is known before the first tensor is told.
func TestWalkTellsNothingOfAnInvalidFile(t *testing.T) {
	for name, b := range map[string][]byte{
		"duplicate": v3(2, 0).tensor("a", gguf.F32, 0).tensor("a", gguf.F32, 32).data(32, 64).Bytes(),
		"cut off":   v3(2, 0).tensor("a", gguf.F32, 0).tensor("b", gguf.F32, 32).data(32, 35).Bytes(),
	} {
		_, err := gguf.Walk(bytes.NewReader(b), int64(len(b)), func(x *gguf.Tensor) error {
			t.Errorf("%s: told %q", name, x.Name)
			return nil
		})
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestWalkEndsWithTheErrorOfTheCaller(t *testing.T) {
	b := model(binary.LittleEndian, 3)
	enough := errors.New("enough")
	calls := 0
	h, err := gguf.Walk(bytes.NewReader(b), int64(len(b)), func(*gguf.Tensor) error {
		calls++
		return enough
	})
	if !errors.Is(err, enough) || err.Error() != "enough" || calls != 1 || h != nil {
		t.Errorf("%v after %d calls, header %v", err, calls, h)
	}
}

func TestReadKeepsSoMuch(t *testing.T) {
	w := v3(gguf.MaxKept+1, 0)
	for i := range gguf.MaxKept + 1 {
		w.tensor(strconv.Itoa(i), gguf.I8, uint64(i)*32, 1)
	}
	w.data(32, (gguf.MaxKept+1)*32)
	if _, err := read(w.Bytes()); !errors.Is(err, gguf.ErrTooLarge) {
		t.Errorf("Read: %v", err)
	}
	if _, err := gguf.Walk(bytes.NewReader(w.Bytes()), int64(w.Len()), nil); err != nil {
		t.Errorf("Walk: %v", err)
	}
}

func TestChatTemplates(t *testing.T) {
	long := strings.Repeat("x", gguf.MaxKeptText+1)
	w := v3(0, 6)
	w.key("tokenizer.chat_template.tool_use", gguf.TypeString).str("{{ tools }}")
	w.key("tokenizer.chat_template", gguf.TypeString).str("{{ messages }}")
	w.array("tokenizer.chat_templates", gguf.TypeString, 1).str("tool_use")
	w.key("tokenizer.chat_template.long", gguf.TypeString).str(long)
	w.key("tokenizer.chat_template.number", gguf.TypeUint32).u32(7)
	w.key("tokenizer.chat_templateX", gguf.TypeString).str("no")
	h, err := read(w.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, x := range h.ChatTemplates() {
		text := make([]byte, x.Size)
		if _, err := bytes.NewReader(w.Bytes()).ReadAt(text, x.Offset); err != nil {
			t.Fatal(err)
		}
		got[x.Key] = string(text)
	}
	want := map[string]string{"tokenizer.chat_template": "{{ messages }}", "tokenizer.chat_template.tool_use": "{{ tools }}", "tokenizer.chat_template.long": long}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%.500s", d)
	}
}

// heap is how much of it is in use, without what only the collector holds.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// weighed is a file with zeros behind it, and notes what the heap had at most.
type weighed struct {
	b            []byte
	before, most uint64
	reads        int
}

func (w *weighed) ReadAt(b []byte, off int64) (int, error) {
	if w.reads++; w.reads%16 == 0 {
		now := heap()
		w.most = max(w.most, now-min(now, w.before))
	}
	clear(b)
	if off < int64(len(w.b)) {
		copy(b, w.b[off:])
	}
	return len(b), nil
}

// As many keys and tensors as there may be, and as much text.
func TestWalkMemory(t *testing.T) {
	const budget = 32 << 20
	if testing.Short() {
		t.Skip("builds a header of 50 MB")
	}
	w := v3(gguf.MaxTensors, gguf.MaxKeys)
	w.Grow(60 << 20)
	text := strings.Repeat("v", gguf.MaxKeptText/gguf.MaxKeys-1)
	for i := range gguf.MaxKeys {
		w.key(fmt.Sprintf("%063d", i), gguf.TypeString).str(text)
	}
	for i := range gguf.MaxTensors {
		w.tensor(strconv.Itoa(i), gguf.I8, uint64(i)*32, 1, 1, 1, 1)
	}
	r := &weighed{b: w.Bytes(), before: heap()}
	told := 0
	h, err := gguf.Walk(r, int64(w.Len())+32*gguf.MaxTensors, func(*gguf.Tensor) error {
		told++
		return nil
	})
	if err != nil || told != gguf.MaxTensors || len(h.KV) != gguf.MaxKeys {
		t.Fatalf("%v, %d tensors", err, told)
	}
	if r.most > budget {
		t.Errorf("%d bytes of the heap were in use", r.most)
	}
	t.Logf("header of %d bytes: %d bytes of the heap", w.Len(), r.most)
	// A name that comes twice is found however many there are.
	const entry = 6 + 4 + 4*8 + 4 + 8 // behind the length of the name
	copy(r.b[len(r.b)-entry:], "000010")
	if _, err := gguf.Walk(r, int64(w.Len())+32*gguf.MaxTensors, nil); err != nil {
		t.Errorf("another name is no duplicate: %v", err)
	}
	copy(r.b[len(r.b)-entry:], "999998")
	if _, err := gguf.Walk(r, int64(w.Len())+32*gguf.MaxTensors, nil); err == nil || !strings.Contains(err.Error(), `duplicate tensor "999998"`) {
		t.Errorf("got error %v", err)
	}
}

func BenchmarkWalk(b *testing.B) {
	const words, tensors = 150_000, 1_000
	w := v3(tensors, 1)
	w.array("tokenizer.ggml.tokens", gguf.TypeString, words)
	for i := range words {
		w.str(strings.Repeat("t", i%17))
	}
	for i := range tensors {
		w.tensor(fmt.Sprintf("blk.%d.attn_q.weight", i), gguf.F32, uint64(i)*32, 8)
	}
	header := w.Len()
	w.data(32, tensors*32)
	b.SetBytes(int64(header))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := gguf.Walk(bytes.NewReader(w.Bytes()), int64(w.Len()), func(*gguf.Tensor) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
