package pickle_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/modelfile/pickle"
)

// inPython is what testdata/unpickle.py says of a content.
type inPython struct {
	C, Python [][2]string
	Opcodes   int
}

func runPython(t *testing.T, contents [][]byte) []inPython {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not here: nothing to compare with")
	}
	var in, complaints bytes.Buffer
	for _, c := range contents {
		in.WriteString(hex.EncodeToString(c) + "\n")
	}
	cmd := exec.Command(python, "-I", filepath.Join("testdata", "unpickle.py"))
	cmd.Stdin, cmd.Stderr = &in, &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err, complaints.String())
	}
	var results []inPython
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var r inPython
		if err := d.Decode(&r); err != nil {
			t.Fatal(err)
		}
		results = append(results, r)
	}
	if len(results) != len(contents) {
		t.Fatalf("%d results for %d contents", len(results), len(contents))
	}
	return results
}

func fixtures(t *testing.T) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "python", "*"))
	if err != nil || len(paths) == 0 {
		t.Fatal("no fixtures", err)
	}
	all := map[string][]byte{}
	for _, p := range paths {
		all[filepath.Base(p)] = fixture(t, filepath.Base(p))
	}
	return all
}

// What CPython resolves of a pickle, the scan has seen: of those that programs write,
// and of those that are broken in all manners.
func TestSeesWhatPythonSees(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 68))
	var contents [][]byte
	seeds := techniqueBytes()
	for _, b := range fixtures(t) {
		if len(b) < 4000 {
			seeds = append(seeds, b)
		}
	}
	slices.SortFunc(seeds, bytes.Compare)
	contents = append(contents, seeds...)
	for range 2000 {
		contents = append(contents, mutate(random, seeds))
	}
	for i, want := range runPython(t, contents) {
		s := scan(t, contents[i], pickle.Options{Torch: true})
		if slices.Contains(s.rules(), "pickle-frame") {
			continue // the two loaders differ themselves
		}
		seen := map[pickle.Global]bool{}
		for _, g := range s.Globals {
			seen[g.Global] = true
		}
		for _, g := range append(want.C, want.Python...) {
			if g[0] == "" {
				continue // which is no module
			}
			if !seen[pickle.Global{Module: g[0], Name: g[1]}] && len(g[0]) < 4096 && len(g[1]) < 4096 {
				t.Errorf("%q: CPython resolves %q, which was not seen: %v", contents[i], g, s.findings)
			}
		}
	}
}

// mutate changes some bytes of a seed, or puts two together.
func mutate(random *rand.Rand, seeds [][]byte) []byte {
	b := bytes.Clone(seeds[random.IntN(len(seeds))])
	for range 1 + random.IntN(4) {
		if len(b) < 2 {
			break
		}
		at := random.IntN(len(b))
		switch random.IntN(5) {
		case 0:
			b[at] = byte(random.IntN(256))
		case 1:
			b = slices.Delete(b, at, min(at+1+random.IntN(4), len(b)))
		case 2:
			const opcodes = "(.0127FIJKLMNPQRSTUVXabcd}eghijl]opqrst)uGBC\x80\x81\x85\x86\x87\x88\x89\x8a\x8c\x8f\x90\x91\x92\x93\x94\x97\x98"
			b = slices.Insert(b, at, opcodes[random.IntN(len(opcodes))])
		case 3:
			other := seeds[random.IntN(len(seeds))]
			from := random.IntN(len(other))
			b = slices.Insert(b, at, other[from:min(from+random.IntN(40), len(other))]...)
		default:
			b = append(b[:at:at], b[max(at-random.IntN(20), 0):]...)
		}
	}
	return b
}

// The number of opcodes is that of pickletools, for all that it can read.
func TestCountsAsPickletools(t *testing.T) {
	all := fixtures(t)
	var names []string
	var contents [][]byte
	for name, b := range all {
		if !strings.HasPrefix(name, "checkpoint.legacy") {
			names, contents = append(names, name), append(contents, b)
		}
	}
	for i, want := range runPython(t, contents) {
		s := scan(t, contents[i], pickle.Options{Torch: true})
		if want.Opcodes == 0 || s.Streams[0].Opcodes != want.Opcodes {
			t.Errorf("%s: %d opcodes, pickletools counts %d", names[i], s.Streams[0].Opcodes, want.Opcodes)
		}
	}
}

// Every byte is an opcode with the same name, argument and protocol as in CPython's
// table, or none.
func TestOpcodesAreThoseOfPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not here: nothing to compare with")
	}
	const script = `import pickletools
for o in pickletools.opcodes: print(ord(o.code), o.name, o.proto, o.arg.name if o.arg else "-", o.arg.n if o.arg else 0)`
	out, err := exec.Command(python, "-I", "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	n := 0
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		var code, protocol, length int
		var name, argument string
		if _, err := fmt.Sscan(line, &code, &name, &protocol, &argument, &length); err != nil {
			t.Fatal(line, err)
		}
		n++
		if want, p, ok := pickle.Opcode(byte(code)); !ok || want != name || p != protocol {
			fmt.Fprintf(&got, "%d is %s of protocol %d, here %q of %d\n", code, name, protocol, want, p)
		}
	}
	if n != 68 || got.Len() > 0 {
		t.Errorf("%d opcodes\n%s", n, got.String())
	}
}
