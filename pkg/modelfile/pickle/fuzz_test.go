package pickle_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/pickle"
)

// Whatever the bytes are: a scan ends, says the same of bytes that come in their order
// alone, and calls nothing clean that names what is not.
func FuzzScan(f *testing.F) {
	for _, b := range techniqueBytes() {
		f.Add(b, true)
	}
	for _, name := range []string{"everything-0.pkl", "everything-2.pkl", "everything-5.pkl", "numpy-1.pkl", "numpy-4.pkl", "checkpoint.data.pkl", "tensors-2.pkl"} {
		f.Add(fixture(f, name), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, torch bool) {
		o := pickle.Options{Torch: torch}
		s := scan(t, b, o)
		verdict := s.verdict()
		if s.End > int64(len(b)) || len(s.Streams) == 0 {
			t.Fatalf("end %d of %d, %d streams", s.End, len(b), len(s.Streams))
		}
		if verdict == hazard.Clean && (!s.Whole || s.End != int64(len(b))) {
			t.Fatalf("clean, but whole %v and end %d of %d", s.Whole, s.End, len(b))
		}
		for _, g := range s.Globals {
			if g.Verdict != hazard.Clean && verdict == hazard.Clean {
				t.Fatalf("clean, but it names %s", g)
			}
		}
		for _, stream := range s.Streams {
			pickle.Tensors(stream.Root)
		}
		for _, finding := range s.findings {
			if finding.Offset < 0 || finding.Offset > int64(len(b)) || finding.Message == "" || hazard.RuleOf(finding.Rule).ID == "" {
				t.Fatalf("%+v", finding)
			}
		}
		if streamed := scanContent(t, stream(b), o); (streamed.verdict() == hazard.Clean) != (verdict == hazard.Clean) {
			t.Fatalf("%s, and %s as a stream: %+v, %+v", verdict, streamed.verdict(), s.findings, streamed.findings)
		}
		if _, err := pickle.Probe(context.Background(), hazard.OfFile("x", bytes.NewReader(b), int64(len(b)))); err != nil {
			t.Fatal(err)
		}
	})
}
