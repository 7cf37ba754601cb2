package cli

import (
	"strconv"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/modelfile"
	"github.com/modseal/modseal/pkg/modseal"
)

// That no tensor came is not said of what may be compressed, and was read whole then.
func TestInspectFetched(t *testing.T) {
	for _, tt := range []struct {
		weight modelfile.Weight
		want   bool
	}{
		{modelfile.Weight{Format: "safetensors", Proven: true}, true},
		{modelfile.Weight{Format: "onnx"}, true},
		{modelfile.Weight{Format: "joblib", Proven: true}, true},
		{modelfile.Weight{Format: "joblib"}, false},
		{modelfile.Weight{Format: "pt"}, false},
	} {
		r := &modseal.InspectResult{Size: 1000, Layers: []modseal.InspectLayer{{}}, Facts: &modelfile.Facts{Weights: []modelfile.Weight{tt.weight}}}
		r.Fetched.Files = 100
		if got := inspectFetched(r); strings.HasSuffix(got, "; no tensor") != tt.want {
			t.Errorf("%+v: %s", tt.weight, got)
		}
	}
}

// More than all of it is not said to be a part of it.
func TestInspectFetchedOfSmall(t *testing.T) {
	for files, want := range map[int64]string{50: "60 B of 100 B (manifest and config 10 B, parts of files 50 B)", 95: "105 B (manifest and config 10 B, parts of files 95 B)"} {
		r := &modseal.InspectResult{Size: 100, Layers: []modseal.InspectLayer{{}}, Facts: &modelfile.Facts{}}
		r.Fetched.Metadata, r.Fetched.Files = 10, files
		if got := inspectFetched(r); got != want {
			t.Error(got)
		}
	}
}

// Nobody is told that a model has no tensors whose format is not read.
func TestTensorsNotListed(t *testing.T) {
	r := &modseal.InspectResult{Facts: &modelfile.Facts{Weights: []modelfile.Weight{{Path: "m.tflite", Format: "tflite"}, {Path: "m.onnx", Format: "onnx"}}}}
	for i := range 8 {
		r.Facts.Weights = append(r.Facts.Weights, modelfile.Weight{Path: "w" + strconv.Itoa(i) + ".bin"})
	}
	var out strings.Builder
	writeTensors(&out, r)
	const want = "0 tensors\nnot listed: those of m.tflite, whose format is not read\nnot listed: those of w0.bin"
	if text := out.String(); !strings.HasPrefix(text, want) || !strings.HasSuffix(text, "not listed: and those of 3 more\n") {
		t.Error(text)
	}
}
