package pickle_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/pickle"
)

// run is the tail of a pickle that calls what is on the stack.
const run = "\x8c\x04true\x85R."

// evil is a whole pickle that calls os.system.
var evil = string(cat(proto(4), stackGlobal("os", "system"), run))

// technique is a way to hide from a scanner what a pickle does. docs/scan-techniques.md
// names each of them.
type technique struct {
	name    string
	pickle  []byte
	options pickle.Options
	rules   []string
	verdict hazard.Verdict // dangerous when empty
}

var techniques = []technique{
	// Names.
	{name: "GLOBAL", pickle: cat("cos\nsystem\n(S'true'\ntR."), rules: []string{"pickle-dangerous-global"}},
	{name: "STACK_GLOBAL", pickle: []byte(evil), rules: []string{"pickle-dangerous-global"}},
	{name: "INST", pickle: cat("(S'true'\nios\nsystem\n."), rules: []string{"pickle-dangerous-global"}},
	{name: "alias of another platform", pickle: cat(proto(4), stackGlobal("nt", "system"), run), rules: []string{"pickle-dangerous-global"}},
	{name: "submodule of a denied module", pickle: cat(proto(4), stackGlobal("multiprocessing.util", "spawnv_passfds"), "."), rules: []string{"pickle-dangerous-global"}},
	{name: "module carried along by another", pickle: cat(proto(4), stackGlobal("six.moves.builtins", "eval"), run), rules: []string{"pickle-dangerous-global"}},
	{name: "name of Python 2", pickle: cat(proto(2), global("commands", "getoutput"), "U\x04true\x85R."), rules: []string{"pickle-dangerous-global"}},
	{name: "name that Python 3 translates", pickle: cat(proto(2), global("itertools", "imap"), "."), rules: []string{"pickle-dangerous-global"}},
	{name: "name that begins like a clean one", pickle: cat(proto(4), stackGlobal("collections", "OrderedDictEvil"), "."), rules: []string{"pickle-unknown-global"}, verdict: hazard.Suspicious},
	{name: "name that begins with a denied one", pickle: cat(proto(4), stackGlobal("ostrich", "fly"), "."), rules: []string{"pickle-unknown-global"}, verdict: hazard.Suspicious},
	{name: "another case", pickle: cat(proto(4), stackGlobal("builtins", "Eval"), "."), rules: []string{"pickle-dangerous-global"}},
	{name: "private module of the standard library", pickle: cat(proto(4), stackGlobal("_interpreters", "exec"), "."), rules: []string{"pickle-dangerous-global"}},
	{name: "scanner", pickle: cat(proto(4), stackGlobal("fickling.hook", "remove_hook"), ")R."), rules: []string{"pickle-dangerous-global"}},
	{name: "dotted name in STACK_GLOBAL", pickle: cat(proto(4), stackGlobal("torch.serialization", "os.system"), run), rules: []string{"pickle-dotted-name"}},
	{name: "dotted name in GLOBAL", pickle: cat(proto(4), global("collections", "abc.sys"), "."), rules: []string{"pickle-dotted-name"}},
	{name: "dunder name", pickle: cat(proto(4), stackGlobal("collections", "__builtins__"), "."), rules: []string{"pickle-dunder-name"}},
	{name: "dunder in a dotted name", pickle: cat(proto(4), stackGlobal("collections", "OrderedDict.__reduce__"), "."), rules: []string{"pickle-dunder-name"}},

	// Names that are not where a look-back expects them.
	{name: "name from the memo", pickle: cat(proto(4), str("os"), "\x94", str("system"), "\x94", "00", str("a"), str("b"), "00", "h\x00h\x01\x93", run), rules: []string{"pickle-dangerous-global"}},
	{name: "name from the memo, with a decoy put there", pickle: cat(proto(4), str("os"), "q\x000", str("collections"), str("system"), "0h\x00", str("system"), "\x93", run, ""), rules: []string{"pickle-dangerous-global"}},
	{name: "memo with holes", pickle: cat(proto(4), str("system"), "r\xff\xff\xff\x7f0", str("os"), "q\x070", "h\x07j\xff\xff\xff\x7f\x93", run), rules: []string{"pickle-dangerous-global"}},
	{name: "memo by a number that is spelled oddly", pickle: cat("Vos\np1_0\n0Vsystem\np 1\n0g10\ng+1\n\x93(Vtrue\ntR."), rules: []string{"pickle-dangerous-global", "pickle-protocol"}},
	{name: "decoys on the stack", pickle: cat(proto(4), str("os"), str("system"), "2", "0", "N0(1", "\x93", run), rules: []string{"pickle-dangerous-global"}},
	{name: "name in text with escapes", pickle: cat("c", "os\nsystem\n", "(S'tr\\x75e'\ntR."), rules: []string{"pickle-dangerous-global"}},
	{name: "name of STRING with escapes", pickle: cat(proto(4), "S'o\\x73'\nV\\u0073ystem\n\x93", run), rules: []string{"pickle-dangerous-global"}},
	{name: "computed name", pickle: cat(proto(4), stackGlobal("builtins", "str"), ")R", str("system"), "\x93", run), rules: []string{"pickle-computed-call", "pickle-computed-name"}},
	{name: "name in bytes", pickle: cat(proto(4), "C\x02osC\x06system\x93", run), rules: []string{"pickle-computed-call", "pickle-computed-name"}},
	{name: "name of an attribute that was set on a function", pickle: cat(proto(5), global("numpy", "prod"), "N(Va\nVos\nd\x86b0", global("numpy", "prod.a"), "."), rules: []string{"pickle-dotted-name", "pickle-global-changed", "pickle-unknown-global"}},
	{name: "extension codes", pickle: cat(proto(2), "\x82\x01\x83\x01\x01\x84\x01\x01\x01\x01\x87."), rules: []string{"pickle-extension-code"}},

	// Calls.
	{name: "OBJ whose result is dropped", pickle: cat(proto(4), "(", stackGlobal("os", "system"), str("true"), "o0N."), rules: []string{"pickle-dangerous-global"}},
	{name: "NEWOBJ", pickle: cat(proto(2), global("subprocess", "Popen"), "U\x04true\x85\x81."), rules: []string{"pickle-dangerous-global"}},
	{name: "NEWOBJ_EX", pickle: cat(proto(4), stackGlobal("subprocess", "Popen"), ")}\x92."), rules: []string{"pickle-dangerous-global"}},
	{name: "call of what a call returned", pickle: cat(proto(4), stackGlobal("collections", "OrderedDict"), ")R)R."), rules: []string{"pickle-computed-call"}},
	{name: "call of a text", pickle: cat(proto(4), str("os.system"), run), rules: []string{"pickle-computed-call"}},
	{name: "class of defaultdict that is computed", pickle: cat(proto(4), stackGlobal("collections", "defaultdict"), stackGlobal("builtins", "str"), ")R\x85R."), rules: []string{"pickle-computed-call"}},
	{name: "class of _reconstructor that is computed", pickle: cat(proto(2), global("copy_reg", "_reconstructor"), "NNN\x87R."), rules: []string{"pickle-computed-call"}},
	{name: "call inside of _rebuild_from_type_v2", pickle: cat(proto(2), global("torch._tensor", "_rebuild_from_type_v2"), "(", global("os", "system"), global("torch", "Tensor"), "U\x04true\x85NtR."), rules: []string{"pickle-dangerous-global"}},
	{name: "computed call inside of _rebuild_from_type_v2", pickle: cat(proto(2), global("torch._tensor", "_rebuild_from_type_v2"), "(N", global("torch", "Tensor"), ")NtR."), rules: []string{"pickle-computed-call"}},
	{name: "codec that is a module", pickle: cat(proto(4), stackGlobal("_codecs", "encode"), str("a"), str("evil"), "\x86R."), rules: []string{"pickle-odd-argument"}, verdict: hazard.Suspicious},
	{name: "class of an object that is set", pickle: cat(proto(4), stackGlobal("collections", "OrderedDict"), ")RN}", str("__class__"), stackGlobal("builtins", "dict"), "s\x86b."), rules: []string{"pickle-dunder-name"}},
	{name: "class of a parameter that is set", pickle: cat(proto(2), global("torch._utils", "_rebuild_parameter_with_state"), "(NNN}U\x09__class__", global("builtins", "dict"), "stR."), rules: []string{"pickle-dunder-name"}},
	{name: "item of a global", pickle: cat(proto(4), stackGlobal("builtins", "dict"), str("a"), "Ns."), rules: []string{"pickle-global-changed"}},
	{name: "items of a global", pickle: cat(proto(4), stackGlobal("builtins", "dict"), "(", str("a"), "Nu."), rules: []string{"pickle-global-changed"}},
	{name: "element of a global", pickle: cat(proto(4), stackGlobal("builtins", "list"), "Na."), rules: []string{"pickle-global-changed"}},
	{name: "elements of a global", pickle: cat(proto(4), stackGlobal("builtins", "list"), "(Ne."), rules: []string{"pickle-global-changed"}},
	{name: "elements of a set that is a global", pickle: cat(proto(4), stackGlobal("builtins", "set"), "(N\x90."), rules: []string{"pickle-global-changed"}},

	// Pickles in pickles.
	{name: "pickle in bytes", pickle: cat(proto(3), bin(evil), "."), rules: []string{"pickle-dangerous-global"}},
	{name: "pickle in bytes without PROTO", pickle: cat(proto(3), bin("cos\nsystem\n(S'true'\ntR."), "."), rules: []string{"pickle-dangerous-global"}},
	{name: "pickle in a bytearray", pickle: cat(proto(5), "\x96", u64(uint64(len(evil))), evil, "."), rules: []string{"pickle-dangerous-global"}},
	{name: "pickle in text", pickle: cat("V", strings.ReplaceAll("cos\nsystem\n(S'true'\ntR.", "\n", "\\u000a"), "\n."), rules: []string{"pickle-dangerous-global"}},
	{name: "pickle in bytes that protocol 2 writes as text", pickle: cat(proto(2), global("_codecs", "encode"), uni(utf8Of(evil)), uni("latin1"), "\x86R."), rules: []string{"pickle-dangerous-global"}},
	{name: "pickle in a string of Python 2", pickle: cat("U"+string([]byte{byte(len(evil))})+evil, "."), rules: []string{"pickle-dangerous-global"}},
	{name: "pickle in a pickle in a pickle", pickle: cat(proto(3), bin(proto(3)+bin(proto(3)+bin(evil)+".")+"."), "."), rules: []string{"pickle-dangerous-global"}},
	{name: "pickles deeper than is looked", pickle: cat(proto(3), bin(proto(3)+bin(proto(3)+bin(proto(3)+bin(evil)+".")+".")+"."), "."), rules: nil, verdict: hazard.Incomplete},
	{name: "pickle in bytes that is broken", pickle: cat(proto(3), bin(proto(4)+stackGlobal("os", "system")+"\xff"), "."), rules: []string{"pickle-dangerous-global", "pickle-invalid-opcode"}},
	{name: "bytes that are loaded", pickle: cat(proto(4), stackGlobal("torch.storage", "_load_from_bytes"), bin(evil), "\x85R."), rules: []string{"pickle-dangerous-global"}},
	{name: "bytes that are loaded and are no pickle", pickle: cat(proto(4), stackGlobal("torch.storage", "_load_from_bytes"), bin("PK\x03\x04zip"), "\x85R."), rules: []string{"pickle-load-from-bytes"}},
	{name: "loading of bytes handed on", pickle: cat(proto(4), stackGlobal("collections", "defaultdict"), stackGlobal("torch.storage", "_load_from_bytes"), "\x85R."), rules: []string{"pickle-load-from-bytes"}},

	// Streams.
	{name: "second pickle", pickle: cat(proto(2), "N.", evil), rules: []string{"pickle-dangerous-global"}},
	{name: "pickle behind bytes that are none", pickle: cat(proto(2), "N.\x00\x00", evil), rules: []string{"pickle-trailing-bytes"}, verdict: hazard.Incomplete},
	{name: "first bytes of a zip file behind a pickle", pickle: cat(proto(2), "N.PK\x03\x04..."), rules: []string{"pickle-trailing-bytes"}, verdict: hazard.Incomplete},
	{name: "invalid opcode behind the call", pickle: cat(proto(4), stackGlobal("os", "system"), "\x8c\x04true\x85R\xff"), rules: []string{"pickle-dangerous-global", "pickle-invalid-opcode"}},
	{name: "end behind the call", pickle: cat(proto(4), stackGlobal("os", "system"), "\x8c\x04true\x85R"), rules: []string{"pickle-dangerous-global", "pickle-truncated"}},
	{name: "broken memo behind the call", pickle: cat(proto(4), stackGlobal("os", "system"), "\x8c\x04true\x85Rh\x63."), rules: []string{"pickle-dangerous-global", "pickle-malformed"}},
	{name: "opcodes that scanners do not know", pickle: cat(proto(5), "F1.5\n\x96", u64(1), "x\x98", "00", stackGlobal("os", "system"), run), rules: []string{"pickle-dangerous-global"}},
	{name: "length beyond the end", pickle: cat(proto(4), stackGlobal("os", "system"), "\x8e", u64(1<<63), "R."), rules: []string{"pickle-dangerous-global", "pickle-truncated"}},
	{name: "opcode across the end of a frame", pickle: cat(proto(5), frame(2), "B\x07\x00\x00\x00", "1234567", "."), rules: []string{"pickle-frame"}},
	{name: "line across the end of a frame", pickle: cat(proto(5), frame(4), global("macos", "system"), "."), rules: []string{"pickle-frame", "pickle-unknown-global"}},
	{name: "frame in a frame", pickle: cat(proto(5), frame(30), "N", frame(2), "N."), rules: []string{"pickle-frame"}},
	{name: "frame beyond the end", pickle: cat(proto(5), frame(1<<40), "N."), rules: []string{"pickle-frame"}},
	{name: "PROTO twice", pickle: cat(proto(4), proto(2), "N."), rules: []string{"pickle-protocol"}, verdict: hazard.Suspicious},
	{name: "PROTO late", pickle: cat("N0", proto(4), "N."), rules: []string{"pickle-protocol"}, verdict: hazard.Suspicious},
	{name: "no PROTO", pickle: cat(str("a"), "."), rules: []string{"pickle-protocol"}, verdict: hazard.Suspicious},
	{name: "expansion", pickle: cat("]q\x00", "(", strings.Repeat("h\x00", 300), "l."), rules: []string{"pickle-expansion"}, verdict: hazard.Suspicious},
	{name: "data beside the pickle", pickle: cat(proto(5), "\x97."), rules: []string{"pickle-out-of-band-buffer"}, verdict: hazard.Clean},

	// Persistent ids.
	{name: "persistent id outside of torch", pickle: cat(proto(2), "(U\x07storage", global("torch", "FloatStorage"), "U\x010U\x03cpuK\x04tQ."), rules: []string{"pickle-persistent-id"}, verdict: hazard.Suspicious},
	{name: "persistent id of another shape", pickle: cat(proto(2), "U\x01xQ."), options: pickle.Options{Torch: true}, rules: []string{"pickle-persistent-id"}, verdict: hazard.Suspicious},
	{name: "persistent id with another class", pickle: cat(proto(2), "(U\x07storage", global("os", "system"), "U\x010U\x03cpuK\x04tQ."), options: pickle.Options{Torch: true}, rules: []string{"pickle-dangerous-global", "pickle-persistent-id"}},
	{name: "persistent id in a line", pickle: cat("P123\n."), options: pickle.Options{Torch: true}, rules: []string{"pickle-persistent-id"}, verdict: hazard.Suspicious},

	{name: "wrapper of joblib outside of joblib", pickle: cat(proto(4), stackGlobal("joblib.numpy_pickle", "NumpyArrayWrapper"), ")\x81."), rules: []string{"pickle-dangerous-global"}},
}

// utf8Of writes bytes as text, a character for each, as protocol 2 does.
func utf8Of(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

func techniqueBytes() [][]byte {
	var all [][]byte
	for _, tt := range techniques {
		all = append(all, tt.pickle)
	}
	return all
}

// write is where to write the techniques to, for hack/fixtures/compare.py.
var write = flag.String("write", "", "directory to write the techniques into")

// want is the verdict of a technique.
func (tt technique) want() hazard.Verdict { return cmp.Or(tt.verdict, hazard.Dangerous) }

// compared are the techniques and fixtures that docs/scan-techniques.md has a row for.
func compared(t *testing.T) (names []string, verdicts map[string]hazard.Verdict, contents map[string][]byte) {
	verdicts, contents = map[string]hazard.Verdict{}, map[string][]byte{}
	add := func(name string, v hazard.Verdict, b []byte) {
		names = append(names, name)
		verdicts[name], contents[name] = v, b
	}
	for _, tt := range techniques {
		add(tt.name, tt.want(), tt.pickle)
	}
	for _, f := range []struct {
		name, title string
		verdict     hazard.Verdict
	}{
		{"everything-0.pkl", "lists, texts, numbers, sets of Python (protocol 0)", hazard.Clean},
		{"everything-4.pkl", "lists, texts, numbers, sets of Python (protocol 4)", hazard.Clean},
		{"numpy-4.pkl", "NumPy arrays", hazard.Clean},
		{"objects.pkl", "NumPy array of objects", hazard.Clean},
		{"tensors-2.pkl", "PyTorch tensors, pickled (protocol 2)", hazard.Clean},
		{"tensors-4.pkl", "PyTorch tensors, pickled (protocol 4)", hazard.Clean},
		{"nested-command-2.pkl", "PyTorch tensors, pickled, with a command in one (protocol 2)", hazard.Dangerous},
		{"nested-command-4.pkl", "PyTorch tensors, pickled, with a command in one (protocol 4)", hazard.Dangerous},
		{"sklearn.pkl", "scikit-learn estimator", hazard.Suspicious},
	} {
		add(f.title, f.verdict, fixture(t, f.name))
	}
	return names, verdicts, contents
}

// writeCompared writes files and verdicts.json for the script that asks others.
func writeCompared(t *testing.T, dir string) {
	type entry struct {
		Name    string         `json:"name"`
		File    string         `json:"file"`
		Verdict hazard.Verdict `json:"verdict"`
	}
	var entries []entry
	names, verdicts, contents := compared(t)
	for i, name := range names {
		e := entry{name, fmt.Sprintf("%03d.pkl", i), verdicts[name]}
		if err := os.WriteFile(filepath.Join(dir, e.File), contents[name], 0o600); err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	b, err := json.Marshal(entries)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "verdicts.json"), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The documentation has every technique, with the verdict that is true.
func TestTechniquesAreDocumented(t *testing.T) {
	if *write != "" {
		writeCompared(t, *write)
	}
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "scan-techniques.md"))
	if err != nil {
		t.Fatal(err)
	}
	names, verdicts, _ := compared(t)
	for _, name := range names {
		if !bytes.Contains(b, []byte("| "+name+" | "+string(verdicts[name])+" | ")) {
			t.Errorf("docs/scan-techniques.md has no row for %q, which is %s", name, verdicts[name])
		}
	}
}

func TestTechniques(t *testing.T) {
	for _, tt := range techniques {
		t.Run(tt.name, func(t *testing.T) {
			s := scan(t, tt.pickle, tt.options)
			want := tt.want()
			if s.verdict() != want {
				t.Errorf("verdict %s, want %s: %+v", s.verdict(), want, s.findings)
			}
			if d := gocmp.Diff(tt.rules, s.rules()); tt.rules != nil && d != "" {
				t.Error(d, s.findings)
			}
			// Where bytes come in their order alone, the same is found.
			if streamed := scanContent(t, stream(tt.pickle), tt.options); streamed.verdict() != want {
				t.Errorf("verdict %s of the stream, want %s: %+v", streamed.verdict(), want, streamed.findings)
			}
		})
	}
}

// What looks like a technique and is none.
func TestHarmless(t *testing.T) {
	for name, b := range map[string][]byte{
		"names in text":                 cat(proto(4), str("os"), str("system"), "\x86."),
		"text that is lines":            cat(proto(4), str("cos\nsystem\nis a function"), "."),
		"bytes like the begin of one":   cat(proto(4), bin("\x80\x02\xff\xff\xff"), "."),
		"list of names of modules":      cat("(lVos\naVsubprocess\na."),
		"many references to one class":  cat(proto(2), global("collections", "OrderedDict"), "q\x000(", strings.Repeat("h\x00)R", 500), "t."),
		"key of a dictionary":           cat(proto(4), "}", str("__class__"), "Ns."),
		"defaultdict":                   cat(proto(4), stackGlobal("collections", "defaultdict"), stackGlobal("builtins", "list"), "\x85R."),
		"defaultdict without a factory": cat(proto(4), stackGlobal("collections", "defaultdict"), ")R."),
		"bytes of protocol 2":           cat(proto(2), global("_codecs", "encode"), uni("\u00ff"), uni("latin1"), "\x86R."),
		"name of Python 2":              cat(proto(2), global("__builtin__", "set"), "]\x85R."),
	} {
		if s := scan(t, b, pickle.Options{}); s.verdict() != hazard.Clean || !s.Whole {
			t.Errorf("%s: %s, %+v", name, s.verdict(), s.findings)
		}
	}
}
