package onnx

import (
	"errors"
	"fmt"
	"io"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// Scan reports what a model in the file of the given size can do to whoever loads it:
// read files outside its directory, and ask for native libraries. A file that breaks
// the rules of the format is reported too; the error is one of reading.
func Scan(r io.ReaderAt, size int64, report hazard.Report) error {
	m, err := Read(r, size)
	if breach, ok := errors.AsType[*Error](err); ok {
		report(hazard.Of("onnx-malformed", "", "not read to its end: "+breach.Reason).At(breach.Offset))
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range m.Escapes {
		report(hazard.Of("onnx-external-path", e.Location, "a runtime reads the data of a tensor from outside the directory of the model").At(e.Offset))
	}
	for _, d := range m.Domains {
		if d.Op == "" {
			report(hazard.Of("onnx-custom-operator", d.Name, "the operators of this domain come with a native library"))
			continue
		}
		report(hazard.Of("onnx-custom-operator", d.Name+"::"+d.Op, fmt.Sprintf("%d nodes need operators of this domain, which come with a native library", d.Nodes)))
	}
	return nil
}
