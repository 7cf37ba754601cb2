package modelfile

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/hf"
)

const (
	// maxTemplateSize bounds a chat template in a file of its own.
	maxTemplateSize = 1 << 20
	// maxTokenizerSize bounds the tokenizer.json that is read for what kind it is: larger
	// ones are megabytes to fetch, of which the vocabulary is in config.json too.
	maxTokenizerSize = 256 << 10
)

// texts is what the files beside the weights say. All but the places are nil
// when there is no such file or it cannot be understood.
type texts struct {
	config         *hf.Config
	configPlace    string
	card           *hf.FrontMatter
	cardPlace      string
	adapter        *hf.Adapter
	adapterAt      string
	tools          bool
	tokenizer      hf.Tokenizer
	tokenizerClass string
}

func (x *inspector) readTexts(ctx context.Context) error {
	for _, text := range []struct {
		name  string
		limit int64
		read  func(f *File, r io.Reader) error
	}{
		{"config.json", hf.MaxJSONSize, x.readConfig},
		{"README.md", 0, x.readCard},
		{"adapter_config.json", hf.MaxJSONSize, x.readAdapter},
		{"tokenizer_config.json", hf.MaxJSONSize, x.readTokenizerConfig},
		{"chat_template.jinja", maxTemplateSize, x.readTemplate},
	} {
		f := x.topmost(text.name)
		if f == nil {
			continue
		}
		if text.limit > 0 && f.Size > text.limit {
			x.warn("%q: %d bytes are more than %d", f.Path, f.Size, text.limit)
			continue
		}
		if err := x.readStream(ctx, f, func(r io.Reader) error { return text.read(f, r) }); err != nil {
			return err
		}
	}
	if f := x.topmost("tokenizer.json"); f != nil && f.Size <= maxTokenizerSize {
		if err := x.readStream(ctx, f, x.readTokenizer); err != nil {
			return err
		}
	}
	return x.readIndexes(ctx)
}

func (x *inspector) readIndexes(ctx context.Context) error {
	for _, f := range x.sorted {
		if !strings.HasSuffix(f.Path, ".index.json") || f.Role == roleWeight || f.Role == roleDataset {
			continue
		}
		if f.Size > hf.MaxJSONSize {
			x.warn("%q: %d bytes are more than %d", f.Path, f.Size, hf.MaxJSONSize)
			continue
		}
		if err := x.readStream(ctx, f, func(r io.Reader) error { return x.readIndex(f, r) }); err != nil {
			return err
		}
	}
	return nil
}

func (x *inspector) readConfig(f *File, r io.Reader) (err error) {
	x.config, err = hf.ReadConfig(r)
	x.configPlace = f.Path
	return err
}

// readCard reads the begin of a model card, which may be long.
func (x *inspector) readCard(f *File, r io.Reader) (err error) {
	x.card, err = hf.ReadFrontMatter(r)
	x.cardPlace = f.Path
	if x.card != nil {
		for _, why := range x.card.LeftOut {
			x.warn("%q: %s", f.Path, why)
		}
	}
	return err
}

func (x *inspector) readAdapter(f *File, r io.Reader) (err error) {
	x.adapter, err = hf.ReadAdapter(r)
	x.adapterAt = f.Path
	return err
}

func (x *inspector) readTokenizerConfig(_ *File, r io.Reader) error {
	c, err := hf.ReadTokenizerConfig(r)
	if err != nil {
		return err
	}
	x.tokenizerClass = c.Class
	x.facts.RemoteCode = x.facts.RemoteCode || c.RemoteCode
	x.tools = x.tools || slices.ContainsFunc(c.Templates, func(t hf.ChatTemplate) bool { return hf.TemplateUsesTools(t.Text) })
	return nil
}

func (x *inspector) readTemplate(_ *File, r io.Reader) error {
	b, err := io.ReadAll(r)
	x.tools = x.tools || hf.TemplateUsesTools(string(b))
	return err
}

func (x *inspector) readTokenizer(r io.Reader) error {
	t, err := hf.ReadTokenizer(r)
	if err == nil {
		x.tokenizer = *t
	}
	return err
}
