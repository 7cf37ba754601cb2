package tensorflow

import (
	"context"
	"io"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// Operations that reach outside of the graph.
var ops = map[string]string{
	"PyFunc":          hazard.TFPythonOp,
	"PyFuncStateless": hazard.TFPythonOp,
	"EagerPyFunc":     hazard.TFPythonOp,
	"ReadFile":        hazard.TFFileOp,
	"WriteFile":       hazard.TFFileOp,
	"PrintV2":         hazard.TFReachingOp,
	"MatchingFiles":   hazard.TFReachingOp,
}

// RuleOf returns the rule about an operation; empty when it stays within the graph.
func RuleOf(op string) string { return ops[op] }

// Kind is which message a file is.
type Kind int

// Kinds of files.
const (
	SavedModel Kind = iota + 1 // saved_model.pb
	MetaGraph                  // *.meta
	Graph                      // frozen graphs
)

// Summary is what a graph has.
type Summary struct {
	Nodes, Functions int64
}

// Bounds of what is kept.
const (
	maxOpName   = 256
	maxNodeName = 512
	// maxFindings bounds the findings of one file: so many nodes of a dangerous kind
	// say what a thousand more would say.
	maxFindings = 1_000
)

// Scan looks for operations that reach outside of the graph in a file of that kind. A
// breach of the format is an [*Error]; findings of what came before it were reported.
func Scan(ctx context.Context, r io.ReaderAt, size int64, kind Kind, report hazard.Report) (*Summary, error) {
	s := &scanner{cursor: cursor{r: r, size: size}, ctx: ctx, report: report}
	root := s.savedModel
	switch kind {
	case SavedModel:
	case MetaGraph:
		root = s.metaGraph
	case Graph:
		root = s.graph
	}
	err := root(field{begin: 0, end: size, wire: wireBytes})
	return &s.summary, err
}

type scanner struct {
	cursor
	ctx      context.Context //nolint:containedctx // it lives as long as the call that made it
	report   hazard.Report
	summary  Summary
	findings int
}

// within calls f for the field of that number of the message m, which must be a
// message in it.
func (s *scanner) within(m field, f map[uint64]func(field) error) error {
	return s.each(m.begin, m.end, func(fd field) error {
		visit := f[fd.number]
		if visit == nil {
			return nil
		}
		if fd.wire != wireBytes {
			return &Error{fd.begin, "a number stands where a message belongs"}
		}
		return visit(fd)
	})
}

// savedModel: meta_graphs = 2 (saved_model.proto).
func (s *scanner) savedModel(m field) error {
	return s.within(m, map[uint64]func(field) error{2: s.metaGraph})
}

// metaGraph: graph_def = 2 (meta_graph.proto).
func (s *scanner) metaGraph(m field) error {
	return s.within(m, map[uint64]func(field) error{2: s.graph})
}

// graph: node = 1, library = 2 (graph.proto).
func (s *scanner) graph(m field) error {
	return s.within(m, map[uint64]func(field) error{1: s.node, 2: s.library})
}

// library: function = 1 (function.proto).
func (s *scanner) library(m field) error {
	return s.within(m, map[uint64]func(field) error{1: s.function})
}

// function: node_def = 3 (function.proto).
func (s *scanner) function(m field) error {
	s.summary.Functions++
	return s.within(m, map[uint64]func(field) error{3: s.node})
}

// node: name = 1, op = 2 (node_def.proto). Of a field that is there twice the last
// counts for TensorFlow; here each does.
func (s *scanner) node(m field) error {
	if s.summary.Nodes++; s.summary.Nodes%1_000 == 0 && s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	var name string
	var found []hazard.Finding
	err := s.within(m, map[uint64]func(field) error{
		1: func(f field) (err error) {
			name, err = s.text(f, maxNodeName)
			return err
		},
		2: func(f field) error {
			op, err := s.text(f, maxOpName)
			if rule := ops[op]; err == nil && rule != "" {
				found = append(found, hazard.Of(rule, op, "").At(f.begin))
			}
			return err
		},
	})
	for _, f := range found {
		if s.findings++; s.findings > maxFindings {
			break
		}
		f.Message = "the operation " + f.Subject + " is in the graph"
		if name != "" {
			f.Message += ", as node " + name
		}
		s.report(f)
	}
	return err
}

// KerasMetadata calls f with each text of JSON in a keras_metadata.pb, and where it
// begins: SavedMetadata.nodes = 1, SavedObject.metadata = 5
// (https://github.com/tensorflow/tensorflow/blob/v2.11.0/tensorflow/python/keras/protobuf/saved_metadata.proto).
func KerasMetadata(r io.ReaderAt, size int64, f func(json io.Reader, offset int64) error) error {
	s := &scanner{cursor: cursor{r: r, size: size}}
	return s.within(field{end: size, wire: wireBytes}, map[uint64]func(field) error{1: func(node field) error {
		return s.within(node, map[uint64]func(field) error{5: func(m field) error {
			return f(io.NewSectionReader(r, m.begin, m.end-m.begin), m.begin)
		}})
	}})
}
