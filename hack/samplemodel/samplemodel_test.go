package samplemodel_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/modseal/modseal/hack/samplemodel"
	"github.com/modseal/modseal/pkg/modelfile/safetensors"
)

// The sample must be what it claims to be: a model that a strict reader takes,
// of about the size asked for.
func TestWriteMakesValidShards(t *testing.T) {
	const size = 3 << 20
	dir := t.TempDir()
	if err := samplemodel.Write(dir, samplemodel.Options{Shards: 3, Size: size}); err != nil {
		t.Fatal(err)
	}
	shards, err := filepath.Glob(filepath.Join(dir, "model-*-of-00003.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if len(shards) != 3 {
		t.Fatalf("%d shards, want 3", len(shards))
	}
	var total int64
	for _, name := range shards {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := safetensors.Read(f, info.Size()); err != nil {
			t.Errorf("%s: %v", filepath.Base(name), err)
		}
		total += info.Size()
	}
	if total < size*3/4 || total > size*5/4 {
		t.Errorf("%d bytes of weights, want about %d", total, size)
	}
}
