package scan_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/scan"
)

// An archive of torch that was cut off is said to be that, once. What is left of it is
// looked at as what it is.
func TestScanOfCutArchive(t *testing.T) {
	for _, name := range []string{"state.pt", "state4.pt", "optimizer.pt"} {
		data, err := os.ReadFile("../modelfile/torch/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for n := 64; n < len(data); n += 13 {
			r := do(t, scan.Options{}, file("m.pt", "weight", string(data[:n])))
			rules := []string{}
			for _, f := range r.Findings {
				rules = append(rules, f.Rule)
			}
			if slices.Contains(rules, "pickle-truncated") { // and perhaps in the middle of a name
				rules = slices.DeleteFunc(rules, func(rule string) bool { return strings.HasPrefix(rule, "pickle-") })
			}
			if d := cmp.Diff([]string{"archive-malformed"}, rules); d != "" {
				t.Fatalf("%s, %d bytes: %s", name, n, d)
			}
			cut := slices.ContainsFunc(r.Findings, func(f hazard.Finding) bool { return strings.Contains(f.Message, "cut off") })
			if !cut || r.Verdict == hazard.Clean || r.Verdict == hazard.Suspicious {
				t.Fatalf("%s, %d bytes: %s, %+v", name, n, r.Verdict, r.Findings)
			}
		}
	}
	whole := zipped(t, "archive/data.pkl", evil, "archive/data/0", evil)
	for _, n := range []int{len(whole) - 1, strings.Index(whole, "PK\x01\x02")} {
		r := do(t, scan.Options{}, file("m.pt", "weight", whole[:n]))
		want := []string{"archive-malformed", "pickle-dangerous-global os.system"}
		if d := cmp.Diff(want, found(r)); d != "" || r.Verdict != hazard.Dangerous {
			t.Errorf("%s: %s", r.Verdict, d)
		}
	}
}

// What somebody still finds a directory of was not cut off. torch (by miniz) and zipfile
// look for its end farther back than a comment can be long.
func TestScanOfArchiveBeforeZeros(t *testing.T) {
	inner := zipped(t, "archive/data.pkl", evil, "archive/version", "3\n")
	member := inner[:strings.Index(inner, "PK\x01\x02")]
	// By their own headers there is one member, whose bytes are no archive.
	order := binary.LittleEndian
	content := "zeros" + member
	outer := make([]byte, 30, 30+1+len(content))
	copy(outer, "PK\x03\x04")
	order.PutUint32(outer[14:], crc32.ChecksumIEEE([]byte(content)))
	order.PutUint32(outer[18:], uint32(len(content)))
	order.PutUint32(outer[22:], uint32(len(content)))
	order.PutUint16(outer[26:], 1)
	outer = append(outer, "x"+content...)
	start := len(outer) - len(member)
	directory := []byte(inner[len(member):])
	for at := bytes.Index(directory, []byte("PK\x01\x02")); at >= 0; {
		offset := directory[at+42:]
		order.PutUint32(offset, order.Uint32(offset)+uint32(start))
		next := bytes.Index(directory[at+1:], []byte("PK\x01\x02"))
		if next < 0 {
			break
		}
		at += 1 + next
	}
	end := bytes.Index(directory, []byte("PK\x05\x06"))
	order.PutUint32(directory[end+16:], uint32(len(outer)))
	for _, behind := range []int{0, 1<<16 - 1, 1 << 16, 69_584 - 22} {
		r := do(t, scan.Options{}, file("m.pt", "weight", string(outer)+string(directory)+strings.Repeat("\x00", behind)))
		if r.Verdict != hazard.Dangerous || !slices.Contains(found(r), "pickle-dangerous-global os.system") || !slices.ContainsFunc(r.Findings, func(f hazard.Finding) bool { return f.Rule == "archive-hidden-member" }) {
			t.Errorf("%d bytes behind the directory: %s, %q", behind, r.Verdict, found(r))
		}
	}
}

// A storage has as many elements as there are bytes for, whatever the pickle says.
func TestScanOfShortStorage(t *testing.T) {
	pickled := func(class, n string) string {
		return "\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n" + class + "\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu" + n + "tQK\x00K\x02\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR."
	}
	for _, tt := range []struct {
		class, n string
		bytes    int
		verdict  hazard.Verdict
	}{
		{"FloatStorage", "K\x02", 8, hazard.Clean},
		{"FloatStorage", "K\x02", 9, hazard.Clean},
		{"FloatStorage", "K\x02", 7, hazard.Dangerous},
		{"FloatStorage", "K\x03", 8, hazard.Dangerous},
		{"FloatStorage", "\x8a\x07\x00\x00\x00\x00\x00\x00\x40", 8, hazard.Dangerous},
		{"QUInt4x2Storage", "K\x02", 2, hazard.Clean},
		{"QUInt4x2Storage", "K\x03", 2, hazard.Dangerous},
		{"ByteStorage", "K\x02", 1, hazard.Dangerous},
	} {
		archive := zipped(t, "a/data.pkl", pickled(tt.class, tt.n), "a/data/0", strings.Repeat("\x00", tt.bytes), "a/version", "3\n")
		r := do(t, scan.Options{}, file("m.pt", "weight", archive))
		if r.Verdict != tt.verdict || r.Verdict != hazard.Clean && !strings.Contains(r.Findings[0].Message, `storage "0" is said to have`) {
			t.Errorf("%s of %q in %d bytes: %s, %+v", tt.class, tt.n, tt.bytes, r.Verdict, r.Findings)
		}
	}
	// torch takes letters of both cases for one: of two that it may mean it is the shorter.
	upper := strings.Replace(pickled("FloatStorage", "K\x02"), "X\x01\x00\x00\x000", "X\x01\x00\x00\x00K", 1)
	for _, names := range [][]string{{"a/data/k", "4444"}, {"A/Data/k", "4444"}, {"a/data/K", "88888888", "a/data/k", "4444"}, {"a/data/K", "4444", "a/data/k", "88888888"}} {
		r := do(t, scan.Options{}, file("m.pt", "weight", zipped(t, append([]string{"a/data.pkl", upper, "a/version", "3\n"}, names...)...)))
		if r.Verdict != hazard.Dangerous || !strings.Contains(r.Findings[0].Message, `storage "K" is said to have`) {
			t.Errorf("%q: %s, %+v", names, r.Verdict, r.Findings)
		}
	}
	for _, name := range []string{"a/DATA.PKL", "A/data.pkl"} {
		r := do(t, scan.Options{}, file("m.pt", "weight", zipped(t, "a/version", "3\n", name, pickled("FloatStorage", "K\x02"), "a/data/0", "4444")))
		if r.Verdict != hazard.Dangerous || !strings.Contains(r.Findings[0].Message, `storage "0" is said to have`) {
			t.Errorf("%s: %s, %+v", name, r.Verdict, r.Findings)
		}
	}
	// And it takes a key to end at a NUL.
	ended := strings.Replace(pickled("FloatStorage", "K\x02"), "X\x01\x00\x00\x000", "X\x03\x00\x00\x000\x00x", 1)
	if r := do(t, scan.Options{}, file("m.pt", "weight", zipped(t, "a/data.pkl", ended, "a/data/0", "4444", "a/version", "3\n"))); r.Verdict != hazard.Dangerous {
		t.Errorf("%s, %+v", r.Verdict, r.Findings)
	}
	// No member: torch cannot load it, and there is nothing to compare with.
	r := do(t, scan.Options{}, file("m.pt", "weight", zipped(t, "a/data.pkl", pickled("FloatStorage", "K\x02"), "a/version", "3\n")))
	if r.Verdict != hazard.Clean {
		t.Errorf("%s, %+v", r.Verdict, r.Findings)
	}
}
