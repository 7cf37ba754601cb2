package modelfile

import (
	"cmp"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/gguf"
	"github.com/modseal/modseal/pkg/modelfile/hf"
)

// describe fills the facts that somebody wrote down.
func (x *inspector) describe(dirName string) {
	h, place := x.spokesman()
	if h == nil {
		h = &gguf.Header{}
	}
	if x.card == nil {
		x.card = &hf.FrontMatter{}
	}
	if x.config == nil {
		x.config = &hf.Config{}
	}
	g := ggufText{h, place}
	x.identify(dirName, g)
	x.classify(g)
	x.relate(g)
	x.converse(g)
}

// ggufText reads text from a GGUF header.
type ggufText struct {
	*gguf.Header
	place string
}

func (g ggufText) text(key string) string {
	s, _ := g.String(key)
	return hf.CleanText(s, hf.MaxTextSize)
}

func (g ggufText) source(key string) source { return source{g.place, g.text(key)} }

func (g ggufText) list(key string) []string {
	items, _ := g.Strings(key)
	var out []string
	for _, s := range items {
		if s = hf.CleanText(s, hf.MaxTextSize); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// web returns a URL that may be published: of the web, and without the
// password that a clone URL may hold.
func (g ggufText) web(x *inspector, key string) source {
	s := g.text(key)
	if s == "" {
		return source{}
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		x.warn("%q: %s is not the address of a web page", g.place, key)
		return source{}
	}
	return source{g.place, s}
}

// identify finds what the model is called and where it comes from. The name of
// an ordinary directory says nothing of the model: two copies of the same files
// must describe themselves alike wherever they lie.
func (x *inspector) identify(dirName string, g ggufText) {
	f := &x.facts
	cache := parseHubCache(dirName)
	const place = "the hub cache"
	f.Name = x.pick("name", source{place, cache.name}, g.source("general.name"))
	f.Vendor = x.pick("vendor", source{place, cache.org}, g.source("general.organization"))
	f.Version = g.text("general.version")
	if author := g.text("general.author"); author != "" {
		f.Authors = []string{author}
	}
	description, _ := g.String("general.description")
	f.Description = hf.CleanText(description, hf.MaxDescriptionSize)
	f.Revision = cache.revision
	f.DocURL = g.web(x, "general.url").value
	f.SourceURL = x.pick("source URL", source{place, cache.url()}, g.web(x, "general.repo_url"))
}

// hubCache is what the name of a directory in the cache of the hub says.
type hubCache struct{ org, name, revision string }

var hubCacheDir = regexp.MustCompile(`(?:^|/)models--([^/]+)/snapshots/([0-9a-f]{40})/?$`)

// parseHubCache undoes what huggingface_hub does to the id of a repository: it
// puts "--" for the slash, which neither half can contain.
func parseHubCache(dirName string) hubCache {
	m := hubCacheDir.FindStringSubmatch(filepath.ToSlash(dirName))
	if m == nil {
		return hubCache{}
	}
	org, name, ok := strings.Cut(m[1], "--")
	if !ok {
		org, name = "", m[1] // the oldest repositories have no organisation
	}
	return hubCache{hf.CleanText(org, hf.MaxTextSize), hf.CleanText(name, hf.MaxTextSize), m[2]}
}

var repoID = regexp.MustCompile(`^([A-Za-z0-9._-]+/)?[A-Za-z0-9._-]+$`)

func (c hubCache) url() string {
	id := path.Join(c.org, c.name)
	if !repoID.MatchString(id) {
		return ""
	}
	return "https://huggingface.co/" + id
}

// The families of config.json and GGUF that are of another class than
// transformer and have no attention heads.
var (
	cnnFamilies = []string{
		"resnet", "convnext", "convnextv2", "efficientnet", "mobilenet_v1", "mobilenet_v2", "regnet", "bit", "focalnet",
		"poolformer", "superpoint", "vgg", "yolo",
	}
	rnnFamilies = []string{"rwkv", "rwkv5", "rwkv6", "rwkv7", "rwkv6qwen2", "arwkv7", "lstm", "gru", "xlstm"}
)

// classify finds what kind of model it is.
func (x *inspector) classify(g ggufText) {
	f := &x.facts
	f.Family = x.pick("family", source{x.configPlace, x.config.ModelType}, g.source("general.architecture"))
	if len(x.config.Architectures) > 0 {
		f.ModelClass = x.config.Architectures[0]
	} else {
		f.ModelClass = hf.CleanText(x.layerClass, hf.MaxTextSize)
	}
	switch {
	case x.config.AttentionHeads > 0 || g.hasHeads():
		f.Architecture = "transformer"
	case slices.Contains(cnnFamilies, strings.ToLower(f.Family)):
		f.Architecture = "cnn"
	case slices.Contains(rnnFamilies, strings.ToLower(f.Family)):
		f.Architecture = "rnn"
	}
	f.RemoteCode = f.RemoteCode || x.config.RemoteCode
	f.Quantization = x.pick("quantization", source{x.configPlace, x.config.Quantization.Method}, source{g.place, g.quantization()})
	f.ContextLength = x.contextLength(g)
	f.Tokenizer = x.describeTokenizer(g)
}

// describeTokenizer takes the size of the vocabulary from the file that has it, else
// from config.json, which may count more: embeddings are padded.
func (x *inspector) describeTokenizer(g ggufText) Tokenizer {
	t := Tokenizer{Class: x.tokenizerClass, Model: x.tokenizer.Model, Vocabulary: x.tokenizer.Vocabulary}
	t.Model = cmp.Or(t.Model, g.text("tokenizer.ggml.model"))
	t.Vocabulary = cmp.Or(t.Vocabulary, g.KV["tokenizer.ggml.tokens"].Len, x.config.VocabSize)
	return t
}

// hasHeads: a number of attention heads, or an array of one per layer.
func (g ggufText) hasHeads() bool {
	key := g.text("general.architecture") + ".attention.head_count"
	if n, ok := g.Uint(key); ok {
		return n > 0
	}
	v := g.KV[key]
	return v.Type == gguf.TypeArray && v.Len > 0
}

// quantization returns the file type, unless it is one of single elements.
func (g ggufText) quantization() string {
	switch name := g.fileType(); name {
	case "f32", "f16", "bf16":
		return ""
	default:
		return name
	}
}

func (g ggufText) fileType() string {
	n, ok := g.Uint("general.file_type")
	if !ok || n > 1<<31 {
		return ""
	}
	return gguf.FileTypeName(uint32(n))
}

func (x *inspector) contextLength(g ggufText) uint64 {
	own := x.config.ContextLength
	other, _ := g.Uint(g.text("general.architecture") + ".context_length")
	if own > 0 && other > 0 && own != other {
		x.warn("context length: %s says %d, %s says %d: the first counts", x.configPlace, own, g.place, other)
	}
	return cmp.Or(own, other)
}

// relate finds the license, what the model was made from and what it scored.
func (x *inspector) relate(g ggufText) {
	f := &x.facts
	var license []string
	if s := hf.SPDX(g.text("general.license"), g.text("general.license.name")); s != "" {
		license = []string{s}
	}
	f.Licenses = x.pickList("license", x.cardPlace, hf.Licenses(x.card), g.place, license)
	f.Datasets = x.pickList("datasets", x.cardPlace, x.card.Datasets, g.place, g.list("general.datasets"))
	f.Languages = x.pickList("languages", x.cardPlace, x.card.Language, g.place, g.list("general.languages"))
	bases := x.pickList("base model", x.cardPlace, x.card.BaseModel, x.adapterAt, x.adapterBase())
	f.BaseModels = x.pickList("base model", cmp.Or(x.cardPlace, x.adapterAt), bases, g.place, g.baseModels())
	f.BaseModelRelation = x.card.BaseModelRelation
	f.Metrics = x.card.Metrics
}

// adapterBase returns the base model of an adapter, unless it is a path on the
// machine where the adapter was trained.
func (x *inspector) adapterBase() []string {
	if x.adapter == nil || x.adapter.BaseModel == "" {
		return nil
	}
	if !repoID.MatchString(x.adapter.BaseModel) || x.adapter.BaseModel[0] == '.' {
		x.warn("%q: the base model is not the id of a repository", x.adapterAt)
		return nil
	}
	return []string{x.adapter.BaseModel}
}

// maxBaseModels bounds general.base_model.count; merges have a dozen.
const maxBaseModels = 100

// baseModels returns ids of the hub where the file gives its address, else
// addresses, else names.
func (g ggufText) baseModels() []string {
	n, _ := g.Uint("general.base_model.count")
	var out []string
	for i := range min(n, maxBaseModels) {
		prefix := "general.base_model." + strconv.FormatUint(i, 10) + "."
		repo := g.text(prefix + "repo_url")
		name := path.Join(g.text(prefix+"organization"), g.text(prefix+"name"))
		if id, ok := strings.CutPrefix(repo, "https://huggingface.co/"); ok && repoID.MatchString(id) {
			repo = id
		} else if u, err := url.Parse(repo); err != nil || u.User != nil {
			repo = ""
		}
		if base := cmp.Or(repo, name); base != "" {
			out = append(out, base)
		}
	}
	return out
}

// converse finds what goes in and what comes out.
func (x *inspector) converse(g ggufText) {
	f := &x.facts
	f.Task = x.card.PipelineTag
	f.InputTypes, f.OutputTypes = hf.Modalities(f.Task)
	add := func(there bool, modality string) {
		if there && !slices.Contains(f.InputTypes, modality) {
			f.InputTypes = append(f.InputTypes, modality)
		}
	}
	add(x.config.Vision, "image")
	add(x.config.Audio, "audio")
	template, _ := g.String("tokenizer.chat_template")
	// That no template reads tools says nothing: tools may be used without one.
	if x.tools || hf.TemplateUsesTools(template) {
		yes := true
		f.ToolUsage = &yes
	}
}

// measure fills the facts that are counted.
func (x *inspector) measure() {
	f := &x.facts
	formats := x.formats()
	if len(formats) > 0 {
		f.Format = formats[0]
	}
	// A pickle is not counted; the same weights may lie beside it in a format
	// that is.
	for _, format := range formats {
		if t := x.tallies[format]; t.total > 0 {
			x.measureTally(format, t)
			x.leaveOutBut(format)
			break
		}
	}
	if f.Precision == "" {
		x.precisionByConfig()
	}
	x.checkPrecision()
}

func (x *inspector) measureTally(format string, t *tally) {
	if !t.unknown {
		x.facts.Parameters = t.total
		x.facts.ParamSize = FormatParamSize(t.total)
	}
	x.facts.Tensors, x.facts.Types = t.tensors, t.typeCounts()
	precisions := t.precisions()
	// A quantised GGUF file has some tensors of single elements, which are not
	// what its weights are.
	if format == formatGGUF && slices.Contains(precisions, "") {
		return
	}
	precisions = slices.DeleteFunc(precisions, func(p string) bool { return p == "" })
	x.facts.Precision = strings.Join(precisions, ",")
}

// formats returns the formats of weights, the one with most bytes first. Those
// that only names show count when content shows none.
func (x *inspector) formats() []string {
	size := func(t *tally) uint64 { return t.proven }
	var formats []string
	for format, t := range x.tallies {
		if t.proven > 0 {
			formats = append(formats, format)
		}
	}
	if len(formats) == 0 {
		size = func(t *tally) uint64 { return t.unproven }
		for format, t := range x.tallies {
			if t.unproven > 0 {
				formats = append(formats, format)
			}
		}
	}
	slices.SortFunc(formats, func(a, b string) int {
		return cmp.Or(cmp.Compare(size(x.tallies[b]), size(x.tallies[a])), strings.Compare(a, b))
	})
	return formats
}

// precisions returns those that at least one percent of all elements have, the
// most frequent first.
func (t *tally) precisions() []string {
	var out []string
	for precision, n := range t.elements {
		if n >= t.total/100+boolUint(t.total%100 > 0) {
			out = append(out, precision)
		}
	}
	slices.SortFunc(out, func(a, b string) int {
		return cmp.Or(cmp.Compare(t.elements[b], t.elements[a]), strings.Compare(a, b))
	})
	return out
}

// configPrecisions are the types of torch that a ModelPack config has a name
// for.
var configPrecisions = map[string]string{
	"float16": "float16", "half": "float16", "float32": "float32", "float": "float32", "float64": "float64", "double": "float64",
	"bfloat16": "bfloat16", "float8_e4m3fn": "float8_e4m3", "float8_e5m2": "float8_e5m2",
	"complex64": "complex64", "complex128": "complex128",
	"int8": "int8", "int16": "int16", "int32": "int32", "int64": "int64", "uint8": "uint8", "bool": "bool",
}

// precisionByConfig fills the precision of weights that were not counted.
func (x *inspector) precisionByConfig() {
	f := &x.facts
	if f.Quantization != "" || f.Parameters > 0 {
		return
	}
	h, place := x.spokesman()
	if h == nil {
		h = &gguf.Header{}
	}
	byFileType := map[string]string{"f32": "float32", "f16": "float16", "bf16": "bfloat16"}[ggufText{h, place}.fileType()]
	f.Precision = cmp.Or(byFileType, configPrecisions[x.config.DType])
}

// checkPrecision compares what was counted with what config.json says.
func (x *inspector) checkPrecision() {
	f := &x.facts
	want := configPrecisions[x.config.DType]
	if want == "" || f.Precision == "" || f.Quantization != "" || slices.Contains(strings.Split(f.Precision, ","), want) {
		return
	}
	x.warn("precision: the weights are %s, %s says %s: the first counts", f.Precision, x.configPlace, want)
}

// FormatParamSize writes a number of parameters as a ModelPack config does,
// with at most one decimal: 7B, 1.1B, 125M. It is "" below a thousand.
func FormatParamSize(n uint64) string {
	unit := uint64(1000)
	for _, suffix := range "KMBTQ" {
		// Rounded to tenths; 999,950 and more are written with the next suffix.
		tenths := n/(unit/10) + boolUint(n%(unit/10) >= (unit/10+1)/2)
		if n < 1000 {
			return ""
		}
		if tenths < 10_000 || suffix == 'Q' {
			s := fmt.Sprintf("%d.%d", tenths/10, tenths%10)
			return strings.TrimSuffix(s, ".0") + string(suffix)
		}
		unit *= 1000
	}
	return ""
}

func boolUint(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
