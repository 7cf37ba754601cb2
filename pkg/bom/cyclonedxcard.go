package bom

import (
	cdx "github.com/CycloneDX/cyclonedx-go"
)

// modelCard is what the files say of how the model is used, what it learned from and
// what it scored.
func (d *description) modelCard() *cdx.MLModelCard {
	p := cdx.MLModelParameters{Task: d.task, ArchitectureFamily: d.family, ModelArchitecture: d.class}
	var datasets []cdx.MLDatasetChoice
	for _, s := range d.datasets {
		datasets = append(datasets, cdx.MLDatasetChoice{Ref: s.ref})
	}
	p.Datasets = some(datasets)
	p.Inputs, p.Outputs = parameters(d.inputs), parameters(d.outputs)
	card := cdx.MLModelCard{QuantitativeAnalysis: d.quantitativeAnalysis()}
	if p != (cdx.MLModelParameters{}) {
		card.ModelParameters = &p
	}
	if card == (cdx.MLModelCard{}) {
		return nil
	}
	return &card
}

func (d *description) quantitativeAnalysis() *cdx.MLQuantitativeAnalysis {
	if len(d.metrics) == 0 {
		return nil
	}
	metrics := make([]cdx.MLPerformanceMetric, len(d.metrics))
	for i, m := range d.metrics {
		metrics[i] = cdx.MLPerformanceMetric{Type: m.name, Value: m.value, Slice: m.slice}
	}
	return &cdx.MLQuantitativeAnalysis{PerformanceMetrics: &metrics}
}

func parameters(formats []string) *[]cdx.MLInputOutputParameters {
	var out []cdx.MLInputOutputParameters
	for _, f := range formats {
		out = append(out, cdx.MLInputOutputParameters{Format: f})
	}
	return some(out)
}

// pedigree says what the model was made from.
func (d *description) pedigree() *cdx.Pedigree {
	if len(d.bases) == 0 {
		return nil
	}
	var ancestors []cdx.Component
	for _, b := range d.bases {
		// The component that dependencies refer to has the reference: it must be the
		// only one in the document.
		ancestors = append(ancestors, b.model(""))
	}
	p := &cdx.Pedigree{Ancestors: &ancestors}
	if d.relation != "" {
		p.Notes = "Relation to the ancestors: " + d.relation
	}
	return p
}

func (o origin) model(ref string) cdx.Component {
	c := cdx.Component{BOMRef: ref, Type: cdx.ComponentTypeMachineLearningModel, Group: o.group, Name: o.name, PackageURL: o.purl}
	c.ExternalReferences = o.references()
	return c
}

func (o origin) data() cdx.Component {
	c := cdx.Component{BOMRef: o.ref, Type: cdx.ComponentTypeData, Group: o.group, Name: o.name}
	c.Data = &[]cdx.ComponentData{{Type: cdx.ComponentDataTypeDataset, Name: o.id}}
	c.ExternalReferences = o.references()
	return c
}

func (o origin) references() *[]cdx.ExternalReference {
	if o.url == "" {
		return nil
	}
	return &[]cdx.ExternalReference{{Type: cdx.ERTypeDistribution, URL: o.url}}
}

// formulation says how the model came to be, as far as its files do: from which
// models and data, and by which kind of work.
func (d *description) formulation(root string, refs []string) *[]cdx.Formula {
	if len(refs) == 0 {
		return nil
	}
	var inputs []cdx.TaskInput
	for _, ref := range refs {
		inputs = append(inputs, cdx.TaskInput{Resource: &cdx.ResourceReferenceChoice{Ref: ref}})
	}
	w := cdx.Workflow{
		BOMRef: "workflow:origin", UID: "origin", Name: d.relation,
		Description: "As the files of the model say.",
		TaskTypes:   &[]cdx.TaskType{cdx.TaskTypeBuild},
		Inputs:      &inputs,
		Outputs:     &[]cdx.TaskOutput{{Type: cdx.TaskOutputTypeArtifact, Resource: &cdx.ResourceReferenceChoice{Ref: root}}},
	}
	if d.relation == "merge" {
		w.TaskTypes = &[]cdx.TaskType{cdx.TaskTypeMerge}
	}
	return &[]cdx.Formula{{BOMRef: "formula:origin", Workflows: &[]cdx.Workflow{w}}}
}
