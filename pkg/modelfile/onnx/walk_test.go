package onnx_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/onnx"
)

// named is a tensor with a name and four bytes of data.
func named(name string, dims ...uint64) []byte {
	return join(tensor(3, dims...), msg(8, name), msg(9, "data"))
}

func TestWalk(t *testing.T) {
	external := join(tensor(1, 4), msg(8, "far"), num(14, 1), entry(13, "location", "w.data"), entry(13, "offset", "8"), entry(13, "length", "16"))
	rest := join(tensor(1), msg(8, "rest"), num(14, 1), entry(13, "location", "../w"))
	constant := msg(1, join(msg(4, "Constant"), msg(5, join(msg(1, "value"), msg(5, named("constant", 2, 2))))))
	branch := join(msg(5, named("then", 4)), constant)
	sparse := msg(15, join(msg(1, named("values", 4)), msg(2, named("indices", 4))))
	b := model(
		msg(7, join(msg(5, named("near", 4)), msg(5, join(tensor(1, 1), msg(8, "typed"), msg(4, "xxxx"))), msg(5, external), msg(5, rest), subgraph(branch), sparse)),
		msg(25, join(msg(1, "F"), msg(10, "own"), msg(7, join(msg(4, "G"), msg(5, msg(5, named("function", 4))))))),
	)
	at := bytes.Index(b, []byte("data"))
	var got []string
	m, err := onnx.Walk(bytes.NewReader(b), int64(len(b)), func(x *onnx.Tensor) error {
		place := fmt.Sprintf("%d+%d", x.Offset, x.Size)
		if x.Offset >= 0 && !x.External && string(b[x.Offset:x.Offset+x.Size]) == "data" {
			place = "data"
		}
		got = append(got, fmt.Sprintf("%s %s %v depth %d constant %v %s%s", x.Name, x.Type, x.Shape, x.Depth, x.Constant, x.Location, place))
		return nil
	})
	if err != nil {
		t.Fatal(err, at)
	}
	want := []string{
		"near INT8 [4] depth 1 constant false data",
		"typed FLOAT [1] depth 1 constant false -1+-1",
		"far FLOAT [4] depth 1 constant false w.data8+16",
		"rest FLOAT [] depth 1 constant false ../w0+-1",
		"then INT8 [4] depth 2 constant false data",
		"constant INT8 [2 2] depth 2 constant true data",
		"values INT8 [4] depth 1 constant true data",
		"indices INT8 [4] depth 1 constant true data",
		"function INT8 [4] depth 0 constant true data",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if m.Parameters != 4+1+4+1+4+4*4 {
		t.Errorf("%d parameters", m.Parameters)
	}
	if d := cmp.Diff([]onnx.External{{Location: "w.data", MinSize: 24}}, m.External); d != "" {
		t.Error(d)
	}
	enough := errors.New("enough")
	if _, err := onnx.Walk(bytes.NewReader(b), int64(len(b)), func(*onnx.Tensor) error { return enough }); !errors.Is(err, enough) {
		t.Error(err)
	}
}

// outside is a model whose tensor is in a file at a location.
func outside(location string) []byte {
	return model(graph(join(tensor(1, 1), num(14, 1), entry(13, "location", location))))
}

func scan(t *testing.T, b []byte) []hazard.Finding {
	t.Helper()
	var out []hazard.Finding
	if err := onnx.Scan(bytes.NewReader(b), int64(len(b)), func(f hazard.Finding) { out = append(out, f) }); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestScan(t *testing.T) {
	node := func(domain, op string) []byte { return msg(1, join(msg(4, op), msg(7, domain))) }
	function := func(domain, name string, nodes ...[]byte) []byte {
		body := join(msg(1, name), msg(10, domain))
		for _, n := range nodes {
			body = append(body, msg(7, n)...)
		}
		return msg(25, body)
	}
	for _, tt := range []struct {
		name string
		file []byte
		want []string // rule, subject
	}{
		{"nothing", model(graph(tensor(1, 1))), nil},
		{"beside the model", outside("weights.bin"), nil},
		{"below the model", outside("./a/../b/w"), nil},
		{"dots in a name", outside("a..b"), nil},
		{"parent", outside("../w"), []string{"onnx-external-path ../w"}},
		{"parent on a detour", outside("a/../../w"), []string{"onnx-external-path a/../../w"}},
		{"absolute", outside("/etc/passwd"), []string{"onnx-external-path /etc/passwd"}},
		{"backslash", outside(`..\w`), []string{`onnx-external-path ..\w`}},
		{"drive", outside("c:w"), []string{"onnx-external-path c:w"}},
		{"zero byte", outside("w\x00../x"), []string{"onnx-external-path w\x00../x"}},
		{"not UTF-8", outside("\xff"), []string{"onnx-external-path \xff"}},
		{"directory itself", outside("."), []string{"onnx-external-path ."}},
		{"in a constant", model(msg(7, msg(1, msg(5, msg(5, join(num(14, 1), entry(13, "location", "../w"))))))), []string{"onnx-external-path ../w"}},
		{"in a subgraph", model(msg(7, subgraph(msg(5, join(num(14, 1), entry(13, "location", "../w")))))), []string{"onnx-external-path ../w"}},
		{"in a function", model(graph(), function("own", "F", msg(5, msg(10, join(num(14, 1), entry(13, "location", "../w")))))), []string{"onnx-external-path ../w"}},
		{"in training", model(graph(), msg(20, msg(2, msg(5, join(num(14, 1), entry(13, "location", "../w")))))), []string{"onnx-external-path ../w"}},
		{"in a sparse tensor", model(msg(7, msg(15, msg(1, join(num(14, 1), entry(13, "location", "../w")))))), []string{"onnx-external-path ../w"}},
		{"said to be external and not", model(graph(join(tensor(1, 1), num(14, 0), entry(13, "location", "../w")))), nil},
		{"operators of the standard", model(msg(7, join(node("", "Add"), node("ai.onnx", "Add"), node("ai.onnx.ml", "X"), node("com.microsoft", "Y")))), nil},
		{"other operators", model(msg(7, join(node("x.y", "B"), node("x.y", "A"), node("z", "C")))), []string{"onnx-custom-operator x.y::A", "onnx-custom-operator z::C"}},
		{"in a branch", model(msg(7, subgraph(node("x.y", "B")))), []string{"onnx-custom-operator x.y::B"}},
		{"imported", model(graph(), opset("x.y", 1)), []string{"onnx-custom-operator x.y"}},
		{"own functions", model(msg(7, node("own", "F")), opset("own", 1), function("own", "F", msg(4, "Add"))), nil},
		{"own functions and another", model(msg(7, join(node("own", "F"), node("own", "G"))), opset("own", 1), function("own", "F", msg(4, "Add"))), []string{"onnx-custom-operator own::G"}},
		{"in an own function", model(msg(7, node("own", "F")), function("own", "F", join(msg(4, "Z"), msg(7, "else")))), []string{"onnx-custom-operator else::Z"}},
		{"cut off", model(graph(tensor(1, 1)))[:20], []string{"onnx-malformed "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range scan(t, tt.file) {
				got = append(got, f.Rule+" "+f.Subject)
				rule := hazard.RuleOf(f.Rule)
				if rule.ID == "" || f.Severity != rule.Severity || f.Message == "" {
					t.Errorf("%+v", f)
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
	if err := onnx.Scan(failing{}, 100, func(hazard.Finding) {}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a reader that fails: %v", err)
	}
}

type failing struct{}

func (failing) ReadAt([]byte, int64) (int, error) { return 0, context.DeadlineExceeded }

func TestFindings(t *testing.T) {
	escapes := func(n int) []byte {
		var g [][]byte
		for range n {
			g = append(g, join(num(14, 1), entry(13, "location", "../w")))
		}
		return model(graph(g...))
	}
	m, err := read(escapes(onnx.MaxEscapes + 3))
	if err != nil {
		t.Fatal(err)
	}
	if last := m.Findings[len(m.Findings)-1]; len(m.Escapes) != onnx.MaxEscapes || last != "external data in 3 more paths that are not below the model" {
		t.Errorf("%d escapes, %s", len(m.Escapes), last)
	}
	m, err = read(model(graph(named("a", 5), named("b", 4), named("c", 3), join(tensor(22, 7), msg(9, "1234")), join(tensor(8, 9), msg(9, "x")))))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"2 tensors whose data has another size than their shape and type need"}, m.Findings); d != "" {
		t.Error(d)
	}
}

// repeated is a graph of a field again and again, made as it is read, and notes what
// the heap had at most.
type repeated struct {
	head, tail   []byte
	item         func(b []byte, i int64) []byte // all of one length
	width, n     int64
	before, most uint64
	reads        int
}

func (r *repeated) size() int64 { return int64(len(r.head)) + r.n*r.width + int64(len(r.tail)) }

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func (r *repeated) ReadAt(b []byte, off int64) (int, error) {
	if r.reads++; r.reads%400 == 0 {
		now := heap()
		r.most = max(r.most, now-min(now, r.before))
	}
	n := 0
	for n < len(b) {
		at := off + int64(n) - int64(len(r.head))
		switch {
		case at < 0:
			n += copy(b[n:], r.head[at+int64(len(r.head)):])
		case at < r.n*r.width:
			n += copy(b[n:], r.item(nil, at/r.width)[at%r.width:])
		case at < r.n*r.width+int64(len(r.tail)):
			n += copy(b[n:], r.tail[at-r.n*r.width:])
		default:
			return n, io.EOF
		}
	}
	return n, nil
}

func TestMemory(t *testing.T) {
	const budget = 32 << 20
	for _, tt := range []struct {
		name string
		item func(b []byte, i int64) []byte
		n    int64
		want string
	}{
		{"initializers", func(b []byte, i int64) []byte { return append(b, msg(5, named(fmt.Sprintf("%07d", i), 4))...) }, onnx.MaxInitializers, ""},
		{"one initializer more", func(b []byte, i int64) []byte { return append(b, msg(5, named(fmt.Sprintf("%07d", i), 4))...) }, onnx.MaxInitializers + 1, "more than 1000000 initializers"},
		{"operators", func(b []byte, i int64) []byte {
			return append(b, msg(1, join(msg(4, fmt.Sprintf("%07d", i)), msg(7, fmt.Sprintf("%0100d", i))))...)
		}, 20_000, "more than 10000 kinds of operators and functions"},
		{"external files", func(b []byte, i int64) []byte {
			return append(b, msg(5, join(num(14, 1), entry(13, "location", fmt.Sprintf("%030d", i))))...)
		}, 70_000, "external data in more than 65536 files"},
		{"long external names", func(b []byte, i int64) []byte {
			return append(b, msg(5, join(num(14, 1), entry(13, "location", fmt.Sprintf("%04000d", i))))...)
		}, 1_000, "with names of more than 2097152 bytes"},
		{"escapes", func(b []byte, i int64) []byte {
			return append(b, msg(5, join(num(14, 1), entry(13, "location", fmt.Sprintf("../%04000d", i))))...)
		}, 10_000, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &repeated{item: tt.item, width: int64(len(tt.item(nil, 0))), n: tt.n, tail: opset("", 17)}
			r.head = append(num(1, 8), appendLength([]byte{7<<3 | 2}, r.n*r.width)...)
			r.before = heap()
			told := int64(0)
			_, err := onnx.Walk(r, r.size(), func(*onnx.Tensor) error { told++; return nil })
			switch {
			case tt.want == "" && (err != nil || told != tt.n):
				t.Errorf("%v after %d tensors", err, told)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got error %v, want %q", err, tt.want)
			}
			if r.most > budget {
				t.Errorf("%d bytes of the heap were in use", r.most)
			}
		})
	}
}

func appendLength(b []byte, n int64) []byte {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// Models that nobody here made: see hack/models.sh.
func TestPublishedModels(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "bin", "models")
	for _, tt := range []struct {
		name       string
		parameters uint64
	}{
		{"silero/silero_vad.onnx", 545288},
		{"ocr/ch_PP-OCRv4_det_infer.onnx", 1171841},
		{"ocr/ch_PP-OCRv4_rec_infer.onnx", 2690296},
		{"ocr/ch_ppocr_mobile_v2.0_cls_infer.onnx", 133664},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join(dir, tt.name))
			if errors.Is(err, os.ErrNotExist) {
				t.Skip("hack/models.sh fetches " + tt.name)
			}
			if err != nil {
				t.Fatal(err)
			}
			var largest uint64
			m, err := onnx.Walk(bytes.NewReader(b), int64(len(b)), func(x *onnx.Tensor) error {
				largest = max(largest, x.Elements())
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("ir %d, %s, opsets %v, domains %v, findings %q", m.IRVersion, m.Producer, m.Opsets, m.Domains, m.Findings)
			if m.Parameters != tt.parameters || largest > m.Parameters {
				t.Errorf("%d parameters, want %d; the largest tensor has %d elements", m.Parameters, tt.parameters, largest)
			}
			if got := scan(t, b); len(got) > 0 {
				t.Errorf("%+v", got)
			}
		})
	}
}
