package modelfile_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/modseal/modseal/pkg/modelfile"
)

// Models that nobody here made are what they are by their content, whatever their
// name: see hack/models.sh.
func TestSniffPublishedModels(t *testing.T) {
	for _, tt := range []struct{ name, as, format string }{
		{"silero/silero_vad.onnx", "model.onnx", "onnx"},
		{"silero/silero_vad.onnx", "model", "onnx"},
		{"ocr/ch_PP-OCRv4_rec_infer.onnx", "model.onnx", "onnx"},
		{"selfie/selfie_segmentation.tflite", "model.tflite", "tflite"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := os.Open(filepath.Join("..", "..", "bin", "models", tt.name))
			if errors.Is(err, os.ErrNotExist) {
				t.Skip("hack/models.sh fetches " + tt.name)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			prefix := make([]byte, modelfile.SniffSize)
			if _, err := io.ReadFull(f, prefix); err != nil {
				t.Fatal(err)
			}
			if format, proven := modelfile.Sniff(tt.as, prefix); format != tt.format || !proven {
				t.Errorf("%s: %q, proven %v", tt.as, format, proven)
			}
		})
	}
}
