package pickle_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/pickle"
)

// scanned is what a scan reported and returned.
type scanned struct {
	*pickle.Result
	findings []hazard.Finding
}

func (s scanned) verdict() hazard.Verdict { return hazard.Judge(s.findings) }

// rules returns the ids of the findings, each once, in order.
func (s scanned) rules() []string {
	rules := []string{}
	for _, f := range s.findings {
		rules = append(rules, f.Rule)
	}
	slices.Sort(rules)
	return slices.Compact(rules)
}

func scan(t testing.TB, b []byte, o pickle.Options) scanned {
	t.Helper()
	return scanContent(t, hazard.OfFile("x.pkl", bytes.NewReader(b), int64(len(b))), o)
}

func scanContent(t testing.TB, c hazard.Content, o pickle.Options) scanned {
	t.Helper()
	var s scanned
	r, err := pickle.Scan(context.Background(), c, o, func(f hazard.Finding) { s.findings = append(s.findings, f) })
	if err != nil {
		t.Fatal(err)
	}
	s.Result = r
	return s
}

// stream is a content whose bytes come in their order alone.
func stream(b []byte) hazard.Content {
	return hazard.Content{Name: "x.pkl", Size: -1, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b)), nil
	}}
}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "python", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The pieces that pickles are put together from by hand.

func cat(parts ...string) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func proto(n byte) string { return string([]byte{0x80, n}) }

func str(s string) string { return string([]byte{0x8c, byte(len(s))}) + s }

func bin(s string) string {
	return "B" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

func uni(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

func global(module, name string) string { return "c" + module + "\n" + name + "\n" }

func stackGlobal(module, name string) string { return str(module) + str(name) + "\x93" }

func u64(n uint64) string { return string(binary.LittleEndian.AppendUint64(nil, n)) }

func frame(n uint64) string { return "\x95" + u64(n) }
