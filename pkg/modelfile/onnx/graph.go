package onnx

import (
	"maps"
	"slices"
)

// The fields of GraphProto, NodeProto, AttributeProto, FunctionProto and
// TrainingInfoProto that lead to tensors, graphs and operators.
const (
	graphNode        = 1
	graphInitializer = 5
	graphSparse      = 15

	nodeOperator  = 4
	nodeAttribute = 5
	nodeDomain    = 7

	attributeTensor  = 5
	attributeGraph   = 6
	attributeTensors = 10
	attributeGraphs  = 11
	attributeSparse  = 22
	attributeSparses = 23

	functionName   = 1
	functionNode   = 7
	functionDomain = 10

	trainingInitialization = 1
	trainingAlgorithm      = 2
)

// graph reads a GraphProto.
func (d *decoder) graph(f field) error {
	if err := f.is(wireBytes, "graph"); err != nil {
		return err
	}
	if d.depth++; d.depth > MaxDepth {
		return invalid(f.at, "graphs nested deeper than %d", MaxDepth)
	}
	defer func() { d.depth-- }()
	return d.fields("graph", f.end, func(f field) error {
		switch f.num {
		case graphNode:
			return d.node(f)
		case graphInitializer:
			return d.initializer(f)
		case graphSparse:
			return d.sparse(f)
		}
		return nil
	})
}

func (d *decoder) initializer(f field) error {
	if err := f.is(wireBytes, "initializer"); err != nil {
		return err
	}
	if d.initializers++; d.initializers > MaxInitializers {
		return invalid(f.at, "more than %d initializers", MaxInitializers)
	}
	return d.tensor(f, "initializer", false)
}

// sparse reads a SparseTensorProto: its values and their indices are tensors.
func (d *decoder) sparse(f field) error {
	if err := f.is(wireBytes, "sparse tensor"); err != nil {
		return err
	}
	return d.fields("sparse tensor", f.end, func(f field) error {
		if f.num == 1 || f.num == 2 {
			return d.tensor(f, "sparse tensor", true)
		}
		return nil
	})
}

// operator is the name of an operator or of a function.
type operator struct{ domain, name string }

func (d *decoder) node(f field) error {
	if err := f.is(wireBytes, "node"); err != nil {
		return err
	}
	at := f.at
	var op operator
	err := d.fields("node", f.end, func(f field) error {
		switch f.num {
		case nodeOperator:
			return d.text(f, "op_type", &op.name)
		case nodeDomain:
			return d.text(f, "domain", &op.domain)
		case nodeAttribute:
			return d.attribute(f)
		}
		return nil
	})
	if err != nil || slices.Contains(standardDomains, op.domain) {
		return err
	}
	if _, known := d.operators[op]; !known {
		if err := d.charge(at, op, len(d.operators)); err != nil {
			return err
		}
	}
	d.operators[op]++
	return nil
}

// charge bounds the names that are kept.
func (d *decoder) charge(at int64, op operator, n int) error {
	if d.operatorSize += len(op.domain) + len(op.name); n == MaxOperators || d.operatorSize > MaxOperatorSize {
		return invalid(at, "more than %d kinds of operators and functions, or names of more than %d bytes", MaxOperators, MaxOperatorSize)
	}
	return nil
}

func (d *decoder) attribute(f field) error {
	if err := f.is(wireBytes, "attribute"); err != nil {
		return err
	}
	return d.fields("attribute", f.end, func(f field) error {
		switch f.num {
		case attributeTensor, attributeTensors:
			return d.tensor(f, "tensor of an attribute", true)
		case attributeGraph, attributeGraphs:
			return d.graph(f)
		case attributeSparse, attributeSparses:
			return d.sparse(f)
		}
		return nil
	})
}

// function reads a FunctionProto: an operator that the model brings along, made of
// others.
func (d *decoder) function(f field) error {
	if err := f.is(wireBytes, "function"); err != nil {
		return err
	}
	at := f.at
	var op operator
	err := d.fields("function", f.end, func(f field) error {
		switch f.num {
		case functionName:
			return d.text(f, "name of a function", &op.name)
		case functionDomain:
			return d.text(f, "domain of a function", &op.domain)
		case functionNode:
			return d.node(f)
		}
		return nil
	})
	if err != nil || d.functions[op] {
		return err
	}
	if err := d.charge(at, op, len(d.functions)); err != nil {
		return err
	}
	d.functions[op] = true
	return nil
}

func (d *decoder) training(f field) error {
	if err := f.is(wireBytes, "training_info"); err != nil {
		return err
	}
	return d.fields("training_info", f.end, func(f field) error {
		if f.num == trainingInitialization || f.num == trainingAlgorithm {
			return d.graph(f)
		}
		return nil
	})
}

// findDomains lists the domains of the operators that no function of the model
// defines, and those that are imported for nothing that is seen here.
func (d *decoder) findDomains() {
	domains := map[string]*Domain{}
	own := map[string]bool{}
	for op := range d.functions {
		own[op.domain] = true
	}
	for _, o := range d.m.Opsets {
		if !slices.Contains(standardDomains, o.Domain) && !own[o.Domain] {
			domains[o.Domain] = &Domain{Name: o.Domain}
		}
	}
	for op, n := range d.operators {
		if d.functions[op] {
			continue
		}
		x := domains[op.domain]
		if x == nil {
			x = &Domain{Name: op.domain}
			domains[op.domain] = x
		}
		x.Nodes += n
		if x.Op == "" || op.name < x.Op {
			x.Op = op.name
		}
	}
	for _, name := range slices.Sorted(maps.Keys(domains)) {
		d.m.Domains = append(d.m.Domains, *domains[name])
	}
}
