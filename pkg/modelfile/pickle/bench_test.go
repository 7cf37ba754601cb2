package pickle_test

import (
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/modelfile/pickle"
)

// BenchmarkScan reads a list of a million small tuples, as vocabularies are.
func BenchmarkScan(b *testing.B) {
	entry := str("token") + "K\x01\x86\x94"
	content := cat(proto(4), "]", strings.Repeat("("+strings.Repeat(entry, 1000)+"e", 500), ".")
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		if s := scan(b, content, pickle.Options{}); !s.Whole {
			b.Fatal(s.findings)
		}
	}
}

// BenchmarkTensors reads the object of a checkpoint.
func BenchmarkTensors(b *testing.B) {
	content := fixture(b, "checkpoint.data.pkl")
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		s := scan(b, content, pickle.Options{Torch: true})
		if tensors, _ := pickle.Tensors(s.Streams[0].Root); len(tensors) == 0 {
			b.Fatal("no tensors")
		}
	}
}
