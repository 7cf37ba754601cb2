package pickle_test

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/pickle"
)

// repeated is a file that begins with a text and repeats another one to its end. It
// measures the heap while it is read.
type repeated struct {
	begin, unit string
	size        int64
	reads       int
	peak        uint64
}

func (r *repeated) ReadAt(b []byte, off int64) (int, error) {
	if r.reads++; r.reads%8 == 1 {
		runtime.GC() // what is in use is meant, and not how late the collector runs on a busy machine
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		r.peak = max(r.peak, stats.HeapAlloc)
	}
	n := 0
	for n < len(b) && off+int64(n) < r.size {
		at := off + int64(n)
		if at < int64(len(r.begin)) {
			n += copy(b[n:], r.begin[at:])
			continue
		}
		n += copy(b[n:], r.unit[(at-int64(len(r.begin)))%int64(len(r.unit)):])
	}
	n = int(min(int64(n), r.size-off))
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// A scan uses less than 32 MiB, whatever it is given.
func TestHostileMemory(t *testing.T) {
	const bound, mega = 32 << 20, 1 << 20
	inner := proto(4) + strings.Repeat("]\x940", 200_000) + global("os", "system") + "."
	for name, r := range map[string]*repeated{
		"memo of lists":        {begin: proto(4), unit: "]\x940", size: 6 * mega},
		"memo of texts":        {begin: proto(4), unit: str(strings.Repeat("x", 250)) + "\x940", size: 64 * mega},
		"memo of short texts":  {begin: proto(4), unit: str("word") + "\x940", size: 9 * mega},
		"memo of long texts":   {begin: proto(4), unit: uni(strings.Repeat("x", 4096)) + "\x940", size: 200 * mega},
		"memo of tuples":       {begin: proto(4), unit: "(" + strings.Repeat("N", 1000) + "t\x940", size: 8 * mega},
		"one dictionary":       {begin: proto(4) + "}", unit: "(" + strings.Repeat(str("key")+"N", 100) + "u", size: 24 * mega},
		"one list":             {begin: proto(4) + "]", unit: "(" + strings.Repeat("]", 100) + "e", size: 8 * mega},
		"lists in lists":       {begin: proto(4), unit: "]", size: mega},
		"marks":                {begin: proto(4), unit: "(", size: mega},
		"memo numbers":         {begin: proto(4), unit: "Nr\x00\x00\x0f\x00r\x00\x00\x01\x000", size: mega},
		"long lines":           {begin: "", unit: "V" + strings.Repeat("c", mega) + "\n0", size: 32 * mega},
		"line without end":     {begin: "V", unit: "x", size: 64 * mega},
		"streams":              {begin: "", unit: "]q\x00.", size: mega},
		"streams of texts":     {begin: "", unit: "(" + strings.Repeat(uni(strings.Repeat("k", 4000)), 400) + "l.", size: 64 * mega},
		"persistent ids":       {begin: proto(2), unit: "Pxxxx\n0", size: 8 * mega},
		"pickles in literals":  {begin: proto(4), unit: bin(inner) + "0" + "]\x940", size: 8 * mega},
		"literals in literals": {begin: proto(4), unit: bin(proto(4)+bin(proto(4)+bin(inner)+".")+".") + "]\x94" + "0", size: 8 * mega},
		"numbers":              {begin: proto(4), unit: "\x8b\xff\xff\xff\x00" + strings.Repeat("\x01", 0xffffff) + "0", size: 64 * mega},
	} {
		t.Run(name, func(t *testing.T) {
			runtime.GC()
			var before runtime.MemStats
			runtime.ReadMemStats(&before)
			c := hazard.OfFile("x", r, r.size)
			result, err := pickle.Scan(context.Background(), c, pickle.Options{}, func(hazard.Finding) {})
			if err != nil {
				t.Fatal(err)
			}
			if peak := int64(r.peak) - int64(before.HeapAlloc); peak > bound || r.peak == 0 {
				t.Errorf("%d KiB of memory", peak>>10)
			} else {
				t.Logf("%d KiB, %d streams, end %d", peak>>10, len(result.Streams), result.End)
			}
			if result.Whole && name != "streams of texts" {
				t.Error("it is whole")
			}
			runtime.KeepAlive(result)
		})
	}
}

// One tensor under a million long names makes no list of a million tensors.
func TestHostileTensors(t *testing.T) {
	tensor := global("torch._utils", "_rebuild_tensor_v2") + "((U\x07storage" + global("torch", "FloatStorage") + "U\x010U\x03cpuK\x04tQK\x00(" +
		strings.Repeat("K\x01", 60) + "t)\x89NtRq\x01"
	b := cat(proto(2), "}", tensor, "0", uni(strings.Repeat("x", 1000)), "q\x020", strings.Repeat("("+strings.Repeat("h\x02h\x01", 1000)+"u", 200), ".")
	s := scan(t, b, pickle.Options{Torch: true})
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	tensors, whole := pickle.Tensors(s.Streams[0].Root)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if len(tensors) < 1000 || whole {
		t.Errorf("%d tensors, whole %v, %+v", len(tensors), whole, s.findings)
	}
	if used := int64(after.HeapAlloc) - int64(before.HeapAlloc); used > 24<<20 {
		t.Errorf("%d KiB for %d tensors", used>>10, len(tensors))
	}
	runtime.KeepAlive(s)
	runtime.KeepAlive(tensors)
}

// counted counts the bytes that are read.
type counted struct {
	r io.ReaderAt
	n int64
}

func (c *counted) ReadAt(b []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(b, off)
	c.n += int64(n)
	return n, err
}

// Large literals are stepped over, not read.
func TestSkipsLiterals(t *testing.T) {
	weights := strings.Repeat("\x01\x02\x03\x04", 4<<20)
	b := cat(proto(4), bin(weights), "0", stackGlobal("os", "system"), run)
	r := &counted{r: bytes.NewReader(b)}
	s := scanContent(t, hazard.OfFile("x", r, int64(len(b))), pickle.Options{})
	if s.verdict() != hazard.Dangerous || !s.Whole {
		t.Errorf("%s, %+v", s.verdict(), s.findings)
	}
	if r.n > 256<<10 {
		t.Errorf("%d bytes of %d were read", r.n, len(b))
	}
}
