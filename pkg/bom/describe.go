package bom

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	modelspec "github.com/modelpack/model-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/modelfile"
	"github.com/modseal/modseal/pkg/modelfile/hf"
)

// description is what a bill of materials says, whatever its form.
type description struct {
	digest  hashDigest
	created time.Time // zero: nobody asked for one
	tool    Tool

	name, vendor, version, text string
	authors                     []string
	licenses                    []license
	family, class, task         string
	inputs, outputs             []string
	docURL, sourceURL, purl     string

	bases    []origin
	relation string // of the model to its bases: adapter, finetune, merge, quantized
	datasets []origin
	metrics  []metric

	properties []property
	files      []File
}

// property is a fact that a form has no field for.
type property struct{ name, value string }

// maxConflicts bounds the conflicts between files that a document names.
const maxConflicts = 100

// describe lays the config over what the files say, and makes all text harmless: a
// config comes from wherever the model does.
func describe(m *Model) (*description, error) {
	if err := artifacttypes.ValidateDigest(m.Digest); err != nil {
		return nil, err
	}
	f, c := m.Facts, m.Config
	if f == nil {
		f = &modelfile.Facts{}
	}
	if c == nil {
		c = &modelspec.Model{}
	}
	d := &description{
		digest: hashDigest{m.Digest.Algorithm().String(), m.Digest.Encoded()}, tool: m.Tool,
		name:    first(c.Descriptor.Name, c.Descriptor.Title, f.Name),
		vendor:  first(c.Descriptor.Vendor, f.Vendor),
		version: first(c.Descriptor.Version, f.Version),
		text:    hf.CleanText(cmp.Or(c.Descriptor.Description, f.Description), hf.MaxDescriptionSize),
		authors: firstList(c.Descriptor.Authors, f.Authors),
		family:  first(c.Descriptor.Family, f.Family), class: clean(f.ModelClass), task: clean(f.Task),
		docURL:    web(c.Descriptor.DocURL, f.DocURL),
		sourceURL: web(c.Descriptor.SourceURL, f.SourceURL),
		relation:  clean(f.BaseModelRelation),
	}
	if t := c.Descriptor.CreatedAt; t != nil {
		d.created = t.UTC()
	}
	if d.name == "" {
		// The forms demand a name. That of the directory is none of the model's.
		d.name = "model-" + d.digest.hex[:12]
	}
	for _, id := range firstList(c.Descriptor.Licenses, f.Licenses) {
		d.licenses = append(d.licenses, parseLicense(id))
	}
	d.licenses = slices.DeleteFunc(d.licenses, func(l license) bool { return l.expression == "" })
	d.inputs, d.outputs = modalities(c.Config.Capabilities, f)
	d.purl = sourcePURL(d.sourceURL, first(c.Descriptor.Revision, f.Revision))
	d.bases = origins(f.BaseModels, baseModel)
	d.datasets = origins(f.Datasets, dataset)
	d.metrics = metrics(f.Metrics)
	d.properties = properties(c, f)
	return d, d.list(m.Files)
}

// hashDigest is a digest in its two halves.
type hashDigest struct{ algorithm, hex string }

// list sorts the files by path.
func (d *description) list(files []File) error {
	d.files = slices.SortedFunc(slices.Values(files), func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	for _, f := range d.files {
		if err := artifacttypes.ValidatePath(f.Path); err != nil {
			return err
		}
		if err := artifacttypes.ValidateDigest(f.Digest); err != nil {
			return fmt.Errorf("%q: %w", f.Path, err)
		}
	}
	return nil
}

func clean(s string) string { return hf.CleanText(s, hf.MaxTextSize) }

// first returns the first text that says anything.
func first(texts ...string) string {
	for _, s := range texts {
		if s = clean(s); s != "" {
			return s
		}
	}
	return ""
}

// firstList returns the first list that says anything, each text once.
func firstList(lists ...[]string) []string {
	for _, list := range lists {
		var out []string
		for _, s := range list {
			if s = clean(s); s != "" && !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}

// web returns the first address of the web that may be published: without the
// password that an address may hold.
func web(addresses ...string) string {
	for _, s := range addresses {
		u, err := url.Parse(clean(s))
		if err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil {
			return u.String()
		}
	}
	return ""
}

func modalities(c *modelspec.ModelCapabilities, f *modelfile.Facts) (inputs, outputs []string) {
	if c == nil {
		c = &modelspec.ModelCapabilities{}
	}
	texts := func(list []modelspec.Modality) []string {
		out := make([]string, len(list))
		for i, m := range list {
			out[i] = string(m)
		}
		return out
	}
	return firstList(texts(c.InputTypes), f.InputTypes), firstList(texts(c.OutputTypes), f.OutputTypes)
}

// properties are the facts that no form has a field for, in a fixed order. Numbers
// are exact.
func properties(c *modelspec.Model, f *modelfile.Facts) []property {
	var out []property
	add := func(name, value string) {
		if value != "" {
			out = append(out, property{"modseal:" + name, value})
		}
	}
	number := func(name string, n uint64) {
		if n > 0 {
			add(name, strconv.FormatUint(n, 10))
		}
	}
	flag := func(name string, b *bool) {
		if b != nil {
			add(name, strconv.FormatBool(*b))
		}
	}
	add("architecture", first(c.Config.Architecture, f.Architecture))
	add("format", first(c.Config.Format, f.Format))
	number("parameters", f.Parameters)
	add("paramSize", first(c.Config.ParamSize, f.ParamSize))
	add("precision", first(c.Config.Precision, f.Precision))
	add("quantization", first(c.Config.Quantization, f.Quantization))
	number("contextLength", f.ContextLength)
	add("tokenizer", first(f.Tokenizer.Class, f.Tokenizer.Model))
	number("tensors", f.Tensors)
	for _, t := range f.Types {
		add("elements", fmt.Sprintf("%s: %d", clean(t.Type), t.Elements))
	}
	add("languages", strings.Join(firstList(f.Languages), ","))
	capabilities := c.Config.Capabilities
	if capabilities == nil {
		capabilities = &modelspec.ModelCapabilities{}
	}
	flag("reasoning", capabilities.Reasoning)
	flag("toolUsage", cmp.Or(capabilities.ToolUsage, f.ToolUsage))
	flag("reward", capabilities.Reward)
	if f.RemoteCode {
		add("remoteCode", "true")
	}
	add("revision", first(c.Descriptor.Revision, f.Revision))
	// What files disagree on must not look settled.
	notes := f.Notes()
	for _, w := range notes[:min(len(notes), maxConflicts)] {
		add("warning", clean(w))
	}
	return out
}
