package scan_test

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/modelfile"
	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/scan"
)

// pattern is a file of any size that takes no memory: a beginning, and one byte again
// and again. It notes the most memory that was in use while it was read.
type pattern struct {
	begin string
	fill  byte
	size  int64

	reads int
	most  uint64
}

func (p *pattern) ReadAt(b []byte, off int64) (int, error) {
	if p.reads++; p.reads%16 == 1 {
		p.most = max(p.most, inUse())
	}
	n := 0
	for ; n < len(b) && off+int64(n) < p.size; n++ {
		if at := off + int64(n); at < int64(len(p.begin)) {
			b[n] = p.begin[at]
		} else {
			b[n] = p.fill
		}
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (*pattern) Close() error { return nil }

// inUse is what the heap holds without garbage, whose amount depends on how late the
// collector runs on a busy machine.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// No text makes a scan hold much of it: neither one string of all bytes, nor depth,
// nor blanks, nor keys in keys.
func TestTextMemory(t *testing.T) {
	const size, bound = 40 << 20, 32 << 20
	for name, p := range map[string]*pattern{
		"config.json":             {begin: `{"chat_template":"`, fill: 'x', size: size},
		"a/config.json":           {begin: `{"`, fill: 'k', size: size},
		"b/config.json":           {begin: `{`, fill: ' ', size: size},
		"c/config.json":           {begin: ``, fill: '[', size: size},
		"d/config.json":           {begin: `[`, fill: '1', size: size},
		"e/config.json":           {begin: `{"a":` + strings.Repeat(`{"`+strings.Repeat("k", 8<<10)+`":`, 900) + `"`, fill: 'x', size: size},
		"chat_template.jinja":     {begin: `{{`, fill: '_', size: size},
		"graph.pbtxt":             {begin: `op: "`, fill: 'a', size: size},
		"README.md":               {begin: `token = "`, fill: 'a', size: size},
		"f/saved_model.pb":        {begin: "\x08\x01\x12\xf0\xff\xff\x0f\x12\xe0\xff\xff\x0f", fill: 0x0a, size: size},
		"g/tokenizer_config.json": {begin: `{"auto_map":{"a":"`, fill: '.', size: size},
	} {
		before := inUse()
		r := do(t, scan.Options{Concurrency: 1}, modelfile.File{Path: name, Size: p.size, Open: func() (modelfile.ReaderAtCloser, error) { return p, nil }})
		if got := p.most - min(p.most, before); got > bound || p.most == 0 {
			t.Errorf("%s: %d MiB", name, got>>20)
		} else {
			t.Logf("%s: %d KiB in %d reads", name, got>>10, p.reads)
		}
		if r.Verdict == hazard.Clean && name != "README.md" && name != "graph.pbtxt" {
			t.Errorf("%s is clean, and was not read to its end", name)
		}
	}
}

// Many small files of JSON leave little garbage. They have no text, which is another
// matter: see pkg/scan/secret.
func TestJSONTakesNoBufferForEach(t *testing.T) {
	const count, bound = 1_000, 20 << 20 // with a buffer for each file it was 34 MiB
	var files []modelfile.File
	for i := range count {
		files = append(files, file(fmt.Sprintf("%d.json", i), "", "{\"record\":\"\x01\"}"))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do(t, scan.Options{}, files...)
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > bound {
		t.Errorf("%d KiB for %d files", got>>10, count)
	} else {
		t.Logf("%d KiB", got>>10)
	}
}

func FuzzScan(f *testing.F) {
	for _, name := range []string{"m.pkl", "m", "config.json", "m.keras", "saved_model.pb", "a.jinja", "m.safetensors", "m.onnx"} {
		f.Add(name, []byte(evil))
		f.Add(name, []byte(lambda))
		f.Add(name, []byte(savedModel("PyFunc", "ReadFile")))
	}
	f.Add("config.json", []byte(`{"auto_map":{"a":"b--c.D","e":"f.G"},"chat_template":"{{ x.__class__ }}"}`))
	f.Add("modules.json", []byte(`[{"type":"a.B"}]`))
	f.Add("config.json", []byte(asUTF16(lambda)))
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		if len(content) > 1<<16 {
			return
		}
		r, err := scan.Scan(t.Context(), []modelfile.File{file(name, "weight", string(content))}, scan.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range r.Findings {
			if hazard.RuleOf(x.Rule).ID == "" {
				t.Errorf("no rule %q", x.Rule)
			}
		}
		if (r.Verdict == hazard.Clean) != (r.Counts.AtLeast(hazard.Medium) == 0) {
			t.Errorf("%s with %s", r.Verdict, r.Counts)
		}
	})
}
