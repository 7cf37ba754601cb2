package tensorflow_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/tensorflow"
)

func varint(v uint64) string {
	var b []byte
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return string(append(b, byte(v)))
}

// msg is a field that holds bytes, num one that holds a number.
func msg(field uint64, content string) string {
	return varint(field<<3|2) + varint(uint64(len(content))) + content
}
func num(field, v uint64) string { return varint(field<<3) + varint(v) }

func node(name, op string) string {
	return msg(1, name) + msg(2, op) + msg(5, strings.Repeat("c", 300))
}
func function(nodes ...string) string              { return msg(1, msg(1, "f")) + each(3, nodes) }
func graph(library string, nodes ...string) string { return each(1, nodes) + library }
func library(functions ...string) string           { return msg(2, each(1, functions)) }
func saved(graphs ...string) string {
	out := num(1, 1)
	for _, g := range graphs {
		out += msg(2, msg(1, "meta")+msg(2, g))
	}
	return out
}

func each(field uint64, list []string) string {
	var b strings.Builder
	for _, s := range list {
		b.WriteString(msg(field, s))
	}
	return b.String()
}

func scan(content string, kind tensorflow.Kind) (found []string, s *tensorflow.Summary, err error) {
	s, err = tensorflow.Scan(context.Background(), strings.NewReader(content), int64(len(content)), kind, func(f hazard.Finding) {
		found = append(found, f.Rule+" "+f.Subject)
		if at := content[f.Offset:]; !strings.HasPrefix(at, f.Subject) {
			found = append(found, "at the wrong place")
		}
	})
	return found, s, err
}

func TestScan(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, content string
		kind          tensorflow.Kind
		want          []string
		nodes         int64
	}{
		{"nothing", "", tensorflow.SavedModel, nil, 0},
		{"what every model does", saved(graph("", node("a", "MatMul"), node("s", "SaveV2"), node("m", "MergeV2Checkpoints"))), tensorflow.SavedModel, nil, 3},
		{"each of them", saved(graph("", node("a", "PyFunc"), node("b", "PyFuncStateless"), node("c", "EagerPyFunc"), node("d", "ReadFile"), node("e", "WriteFile"), node("f", "PrintV2"), node("g", "MatchingFiles"))), tensorflow.SavedModel, []string{
			"tensorflow-python-op PyFunc", "tensorflow-python-op PyFuncStateless", "tensorflow-python-op EagerPyFunc",
			"tensorflow-file-op ReadFile", "tensorflow-file-op WriteFile", "tensorflow-reaching-op PrintV2", "tensorflow-reaching-op MatchingFiles",
		}, 7},
		{"in a function", saved(graph(library(function(node("a", "Add")), function(node("a", "WriteFile"))), node("a", "Add"))), tensorflow.SavedModel, []string{"tensorflow-file-op WriteFile"}, 3},
		{"in the second graph", saved(graph(""), graph("", node("a", "ReadFile"))), tensorflow.SavedModel, []string{"tensorflow-file-op ReadFile"}, 1},
		{"a frozen graph", graph("", node("a", "ReadFile")), tensorflow.Graph, []string{"tensorflow-file-op ReadFile"}, 1},
		{"a checkpoint's graph", msg(1, "m") + msg(2, graph("", node("a", "ReadFile"))), tensorflow.MetaGraph, []string{"tensorflow-file-op ReadFile"}, 1},
		{"an operation given twice", graph("", msg(2, "ReadFile")+msg(2, "Add")), tensorflow.Graph, []string{"tensorflow-file-op ReadFile"}, 1},
		{"names that only begin so", graph("", node("a", "ReadFileX"), node("ReadFile", "Add"), node("a", "readfile")), tensorflow.Graph, nil, 3},
		{"unknown fields", graph(msg(99, "x")+num(98, 7)+"\xa5\x06\x00\x00\x00\x00\xa1\x06\x00\x00\x00\x00\x00\x00\x00\x00", node("a", "Add")), tensorflow.Graph, nil, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			found, s, err := scan(tt.content, tt.kind)
			if diff := cmp.Diff(tt.want, found); err != nil || diff != "" || s.Nodes != tt.nodes {
				t.Errorf("%d nodes, %v\n%s", s.Nodes, err, diff)
			}
		})
	}
}

func TestScanRefuses(t *testing.T) {
	t.Parallel()
	whole := saved(graph("", node("a", "Add")))
	for _, tt := range []struct{ name, content, want string }{
		{"a tag alone", "\x12", "the message ends within a number"},
		{"a length alone", "\x12\x80", "the message ends within a number"},
		{"a length over the end", "\x12\x05ab", "a field of 5 bytes in a message that has 2 left"},
		{"a length over all", "\x12" + varint(1<<60), "a field of 1152921504606846976 bytes"},
		{"the largest length", "\x12" + varint(1<<64-1), "a field of 18446744073709551615 bytes"},
		{"a number of 65 bits", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "a number has more than 64 bits"},
		{"a number without end", "\x08" + strings.Repeat("\x80", 20), "a number has more than 64 bits"},
		{"field 0", "\x02\x00", "field number 0 does not exist"},
		{"a field beyond all", varint(1<<32|2) + "\x00", "field number 536870912 does not exist"},
		{"a group", "\x0b", "wire type 3 is not used"},
		{"the end of a group", "\x0c", "wire type 4 is not used"},
		{"wire type 6", "\x0e", "wire type 6 is not used"},
		{"wire type 7", "\x0f", "wire type 7 is not used"},
		{"half of four bytes", "\x0d\x00\x00", "the message ends within a field"},
		{"half of eight bytes", "\x09\x00\x00\x00\x00", "the message ends within a field"},
		{"a number for a graph", num(2, 1), "a number stands where a message belongs"},
		{"a number for a graph in it", msg(2, num(2, 1)), "a number stands where a message belongs"},
		{"a number for a node", msg(2, msg(2, num(1, 7))), "a number stands where a message belongs"},
		{"a number for an operation", msg(2, msg(2, msg(1, num(2, 7)))), "a number stands where a message belongs"},
		{"a number for a function", msg(2, msg(2, msg(2, num(1, 7)))), "a number stands where a message belongs"},
		{"a node that is none", msg(2, msg(2, msg(1, "\xff"))), "the message ends within a number"},
		{"a node over the end of its graph", msg(2, msg(2, "\x0a\x7fab")), "a field of 127 bytes in a message that has 2 left"},
		{"a model cut short", whole[:len(whole)-1], "a field of"},
		{"bytes behind it", whole + "\x00", "field number 0"},
		{"a text", "not a protocol buffer", "wire type"},
	} {
		_, _, err := scan(tt.content, tensorflow.SavedModel)
		var bad *tensorflow.Error
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

// What was found before a breach counts: the loader has read it as well.
func TestScanFindsBeforeABreach(t *testing.T) {
	t.Parallel()
	found, _, err := scan(saved(graph("", node("a", "ReadFile")))+"\x0b", tensorflow.SavedModel)
	if err == nil || len(found) != 1 {
		t.Errorf("%v, %v", found, err)
	}
}

// A failure to read is none of the file.
func TestScanReads(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	r := readerAt{iotest.ErrReader(broken)}
	_, err := tensorflow.Scan(t.Context(), r, 100, tensorflow.Graph, func(hazard.Finding) {})
	if !errors.Is(err, broken) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	many := graph("", strings.Split(strings.Repeat(node("a", "Add")+"|", 2000), "|")[:2000]...)
	if _, err := tensorflow.Scan(ctx, strings.NewReader(many), int64(len(many)), tensorflow.Graph, func(hazard.Finding) {}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

type readerAt struct{ io.Reader }

func (r readerAt) ReadAt(p []byte, _ int64) (int, error) { return r.Read(p) }

func TestKerasMetadata(t *testing.T) {
	t.Parallel()
	content := msg(1, num(2, 1)+msg(3, "root")+msg(5, `{"a":1}`)) + msg(1, msg(5, `{}`))
	var got []string
	err := tensorflow.KerasMetadata(strings.NewReader(content), int64(len(content)), func(json io.Reader, offset int64) error {
		b, err := io.ReadAll(json)
		if !strings.HasPrefix(content[offset:], string(b)) {
			t.Errorf("%s is not at %d", b, offset)
		}
		got = append(got, string(b))
		return err
	})
	if diff := cmp.Diff([]string{`{"a":1}`, `{}`}, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

// Memory is that of a window, whatever the file announces.
func TestScanMemory(t *testing.T) {
	content := []byte(graph("", node("a", "ReadFile"), msg(1, strings.Repeat("n", 20<<20))+msg(2, strings.Repeat("o", 20<<20))))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := tensorflow.Scan(t.Context(), bytes.NewReader(content), int64(len(content)), tensorflow.Graph, func(hazard.Finding) {}); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("allocated %d bytes", got)
	}
}

func FuzzScan(f *testing.F) {
	f.Add([]byte(saved(graph(library(function(node("a", "WriteFile"))), node("b", "PyFunc")))), 1)
	f.Add([]byte(graph("", node("a", "ReadFile"))), 3)
	f.Add([]byte("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 2)
	f.Fuzz(func(t *testing.T, content []byte, kind int) {
		_, err := tensorflow.Scan(t.Context(), bytes.NewReader(content), int64(len(content)), tensorflow.Kind(kind&3), func(f hazard.Finding) {
			if f.Offset < 0 || f.Offset > int64(len(content)) {
				t.Errorf("%+v of %d bytes", f, len(content))
			}
		})
		var bad *tensorflow.Error
		if err != nil && !errors.As(err, &bad) {
			t.Error(err)
		}
	})
}
