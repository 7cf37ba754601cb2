package cli

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	modelspec "github.com/modelpack/model-spec/specs-go/v1"

	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modelfile"
	"github.com/modseal/modseal/pkg/modelfile/hf"
	"github.com/modseal/modseal/pkg/modseal"
)

func writeInspect(w io.Writer, r *modseal.InspectResult) {
	f := render.NewFields(w)
	f.Add("reference", r.Reference)
	f.Add("digest", r.Digest)
	f.Add("artifact type", r.ArtifactType)
	if r.Layers == nil {
		f.Add("size", render.Bytes(r.Size)+" in "+render.Count(len(r.Files), "file"))
	} else {
		f.Add("size", render.Bytes(r.Size)+" in "+render.Count(len(r.Layers), "layer"))
	}
	model, facts := r.Model, r.Facts
	if model == nil {
		model = &modelspec.Model{}
	}
	if facts == nil {
		facts = &modelfile.Facts{}
	}
	addDescription(f, &model.Descriptor, facts)
	addConfig(f, &model.Config, facts)
	addRelations(f, facts)
	f.Add("fetched", inspectFetched(r))
	f.Flush()
	writeProblems(w, r)
	writeAnnotations(w, f, r.Annotations)
	writeInspectFiles(w, f, r)
}

// addDescription adds what the artifact says of itself, else what its files say.
func addDescription(f *render.Fields, d *modelspec.ModelDescriptor, facts *modelfile.Facts) {
	list := func(first, second []string) string {
		if len(first) == 0 {
			first = second
		}
		return strings.Join(first, ", ")
	}
	f.Add("name", cmp.Or(d.Name, facts.Name))
	f.Add("title", d.Title)
	f.Add("vendor", cmp.Or(d.Vendor, facts.Vendor))
	f.Add("family", cmp.Or(facts.Family, d.Family))
	f.Add("version", cmp.Or(d.Version, facts.Version))
	f.Add("description", cmp.Or(d.Description, facts.Description))
	f.Add("licences", list(d.Licenses, facts.Licenses))
	f.Add("authors", list(d.Authors, facts.Authors))
	f.Add("source", cmp.Or(d.SourceURL, facts.SourceURL))
	f.Add("revision", cmp.Or(d.Revision, facts.Revision))
	f.Add("documentation", cmp.Or(d.DocURL, facts.DocURL))
}

// addConfig adds what the files say, else what the artifact says of itself.
func addConfig(f *render.Fields, c *modelspec.ModelConfig, facts *modelfile.Facts) {
	f.Add("architecture", cmp.Or(facts.Architecture, c.Architecture))
	f.Add("class", facts.ModelClass)
	f.Add("format", cmp.Or(facts.Format, c.Format))
	f.Add("parameters", parameters(facts, c.ParamSize))
	f.Add("types", typeShares(facts.Types))
	f.Add("precision", cmp.Or(facts.Precision, c.Precision))
	f.Add("quantization", cmp.Or(facts.Quantization, c.Quantization))
	if facts.ContextLength > 0 {
		f.Add("context length", render.Number(facts.ContextLength)+" tokens")
	}
	f.Add("tokenizer", tokenizer(facts.Tokenizer))
}

func addRelations(f *render.Fields, facts *modelfile.Facts) {
	base := strings.Join(facts.BaseModels, ", ")
	if base != "" && facts.BaseModelRelation != "" {
		base += " (" + facts.BaseModelRelation + ")"
	}
	f.Add("base models", base)
	f.Add("data sets", strings.Join(facts.Datasets, ", "))
	f.Add("languages", strings.Join(facts.Languages, ", "))
	task := facts.Task
	if len(facts.InputTypes)+len(facts.OutputTypes) > 0 {
		task += " (" + strings.Join(facts.InputTypes, "+") + " → " + strings.Join(facts.OutputTypes, "+") + ")"
	}
	f.Add("task", strings.TrimSpace(task))
	f.Add("metrics", metrics(facts.Metrics))
	for _, s := range facts.Shards {
		f.Add("shards", fmt.Sprintf("%s: %d of %d", s.Name, s.Present, s.Count))
	}
	addLeftOut(f, facts.Weights)
	if facts.RemoteCode {
		f.Add("code", "its configuration names Python classes that run when the model is loaded")
	}
}

// mostMetrics bounds the metrics that are shown; JSON has all of them.
const mostMetrics = 6

// metrics is what the model scored, in the order of its card.
func metrics(scored []hf.Metric) string {
	var parts []string
	names := hf.MetricNames(scored)
	for i, m := range scored {
		if i == mostMetrics {
			parts = append(parts, fmt.Sprintf("and %d more", len(scored)-i))
			break
		}
		parts = append(parts, m.Dataset.On(names[i]+" "+m.Value))
	}
	return strings.Join(parts, "; ")
}

// mostLeftOut bounds the files that are shown as not counted; JSON has all of them.
const mostLeftOut = 6

// addLeftOut names the weight files that are not among the parameters, and why.
func addLeftOut(f *render.Fields, weights []modelfile.Weight) {
	n := 0
	for _, w := range weights {
		if w.LeftOut == "" {
			continue
		}
		if n++; n <= mostLeftOut {
			f.Add("not counted", w.Path+": "+w.LeftOut)
		}
	}
	if n > mostLeftOut {
		f.Add("not counted", fmt.Sprintf("and %d more", n-mostLeftOut))
	}
}

// parameters is how many there are, exactly where they were counted.
func parameters(facts *modelfile.Facts, size string) string {
	if facts.Parameters == 0 {
		if facts.Tensors > 0 {
			return "not known, in " + render.Count(int(facts.Tensors), "tensor")
		}
		return size
	}
	text := render.Number(facts.Parameters)
	if facts.ParamSize != "" {
		text += " (" + facts.ParamSize + ")"
	}
	if facts.Tensors > 0 {
		text += " in " + render.Count(int(facts.Tensors), "tensor")
	}
	return text
}

// mostTypes bounds the element types that are shown; JSON has all of them.
const mostTypes = 6

// typeShares is what part of all elements has each type.
func typeShares(types []modelfile.TypeCount) string {
	var total float64
	for _, t := range types {
		total += float64(t.Elements)
	}
	var parts []string
	for i, t := range types {
		if i == mostTypes {
			parts = append(parts, fmt.Sprintf("and %d more", len(types)-i))
			break
		}
		part := t.Type
		if total > 0 {
			part += " " + share(float64(t.Elements)/total)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// share is a part of the whole in percent, and neither all nor nothing by rounding.
func share(part float64) string {
	const least = 0.001
	switch {
	case part > 0 && part < least:
		return "< 0.1 %"
	case part < 1 && part > 1-least:
		return "> 99.9 %"
	}
	return strings.TrimSuffix(strconv.FormatFloat(100*part, 'f', 1, 64), ".0") + " %"
}

func tokenizer(t modelfile.Tokenizer) string {
	parts := []string{}
	for _, part := range []string{t.Class, t.Model} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if t.Vocabulary > 0 {
		parts = append(parts, render.Number(t.Vocabulary)+" tokens")
	}
	return strings.Join(parts, ", ")
}

// inspectFetched is what had to come for it; nothing for a directory.
func inspectFetched(r *modseal.InspectResult) string {
	if r.Facts == nil || r.Layers == nil {
		return ""
	}
	of := ""
	if r.Fetched.Total() <= r.Size { // a small model is not larger than what says what it is
		of = " of " + render.Bytes(r.Size)
	}
	text := fmt.Sprintf("%s%s (manifest and config %s, parts of files %s)",
		render.Bytes(r.Fetched.Total()), of, render.Bytes(r.Fetched.Metadata), render.Bytes(r.Fetched.Files))
	if r.Fetched.Files < r.Size/2 && !slices.ContainsFunc(r.Facts.Weights, mayBePacked) {
		return text + "; no tensor"
	}
	return text // files of the size of a read come as a whole, with the tensors in them
}

// mayBePacked reports a pickle that is not known to be one by its first bytes: it may be
// compressed, and is read to its end then.
func mayBePacked(w modelfile.Weight) bool {
	return (w.Format == "joblib" || w.Format == "pt") && !w.Proven
}

func writeProblems(w io.Writer, r *modseal.InspectResult) {
	if r.Facts == nil || len(r.Facts.Problems)+len(r.Unread) == 0 {
		return
	}
	_, _ = io.WriteString(w, "\nproblems\n")
	for _, p := range r.Facts.Problems {
		fmt.Fprintf(w, "  %s: %s\n", render.Clean(p.Path), render.Clean(p.Message))
	}
	for _, u := range r.Unread {
		fmt.Fprintf(w, "  %s (%s): its files are not known: %s\n", render.Clean(u.Path), u.Encoding, render.Clean(u.Why))
	}
}

func writeAnnotations(w io.Writer, f *render.Fields, annotations map[string]string) {
	if len(annotations) == 0 {
		return
	}
	_, _ = io.WriteString(w, "\nannotations\n")
	for _, k := range slices.Sorted(maps.Keys(annotations)) {
		f.Row("  "+k, annotations[k])
	}
	f.Flush()
}

// writeInspectFiles lists layers, or the files of a directory.
func writeInspectFiles(w io.Writer, f *render.Fields, r *modseal.InspectResult) {
	_, _ = io.WriteString(w, "\nfiles\n")
	for _, l := range r.Layers {
		kind := l.Role
		if l.Encoding != "raw" {
			kind += " (" + l.Encoding + " of several files)"
		}
		f.Row("  "+l.Path, render.Bytes(l.Size), executableKind(kind, l.Executable), render.Short(l.Digest))
	}
	if r.Layers == nil {
		for _, file := range r.Files {
			f.Row("  "+file.Path, render.Bytes(file.Size), executableKind(file.Role, file.Executable), file.Format)
		}
	}
	f.Flush()
}

func executableKind(kind string, executable bool) string {
	if executable {
		kind += ", executable"
	}
	return kind
}

// writeTensors lists tensors in columns. Their widths are found first, since there
// may be a million.
func writeTensors(w io.Writer, r *modseal.InspectResult) {
	out := bufio.NewWriter(w)
	defer func() { _ = out.Flush() }() // an error shows at the next write to the same place
	widths := make([]int, 5)
	for i := range r.Tensors {
		for c, cell := range tensorCells(&r.Tensors[i])[:len(widths)] {
			widths[c] = max(widths[c], min(len(cell), mostTensorWidth))
		}
	}
	for i := range r.Tensors {
		cells := tensorCells(&r.Tensors[i])
		for c, cell := range cells {
			switch {
			case c == len(cells)-1:
				fmt.Fprintln(out, cell)
			case c == 3 || c == 4: // numbers
				fmt.Fprintf(out, "%*s  ", widths[c], cell)
			default:
				fmt.Fprintf(out, "%-*s  ", widths[c], cell)
			}
		}
	}
	fmt.Fprint(out, render.Count(len(r.Tensors), "tensor"))
	if fetched := inspectFetched(r); fetched != "" {
		fmt.Fprint(out, "; fetched ", fetched)
	}
	fmt.Fprintln(out)
	if r.TensorsLeftOut > 0 {
		fmt.Fprintf(out, "and %d more, which are not listed\n", r.TensorsLeftOut)
	}
	writeNotListed(out, r)
	writeProblems(out, r)
}

// writeNotListed names the weight files of which nobody may think that they have no
// tensors.
func writeNotListed(w io.Writer, r *modseal.InspectResult) {
	if r.Facts == nil {
		return
	}
	n := 0
	for _, f := range r.Facts.Weights {
		if modelfile.ReadsTensors(f.Format) {
			continue
		}
		if n++; n <= mostLeftOut {
			fmt.Fprintf(w, "not listed: those of %s, whose format is not read\n", render.Clean(f.Path))
		}
	}
	if n > mostLeftOut {
		fmt.Fprintf(w, "not listed: and those of %d more\n", n-mostLeftOut)
	}
}

// mostTensorWidth is what a column may have; what is longer stands out.
const mostTensorWidth = 100

// tensorCells are name, type, shape, size, offset and file.
func tensorCells(t *modelfile.Tensor) []string {
	number := func(n int64) string {
		if n < 0 {
			return "?"
		}
		return strconv.FormatInt(n, 10)
	}
	dims := make([]string, len(t.Shape))
	for i, d := range t.Shape {
		dims[i] = strconv.FormatUint(d, 10)
	}
	file := t.File
	if t.Member != "" {
		file += "!" + t.Member
	}
	return []string{
		render.Clean(t.Name), render.Clean(t.Type), "[" + strings.Join(dims, ",") + "]", number(t.Size), number(t.Offset), render.Clean(file),
	}
}
