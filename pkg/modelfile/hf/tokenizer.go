package hf

import (
	"io"
	"strconv"
	"strings"
)

// Bounds on chat templates; the longest published ones have 30 KiB.
const (
	MaxTemplateSize = 1 << 20 // of one
	maxTemplates    = 4 << 20 // of all in a file
)

// TokenizerConfig is what tokenizer_config.json says.
type TokenizerConfig struct {
	Class string // tokenizer_class
	// MaxLength is model_max_length, 0 when it is not set or stands for no bound.
	MaxLength uint64
	Tokens    SpecialTokens
	// RemoteCode: auto_map names Python classes. AutoMap is which.
	RemoteCode bool
	AutoMap    []CodeRef
	Templates  []ChatTemplate
}

// ChatTemplate is a template in Jinja, which loaders run as code. Text is as it is in
// the file.
type ChatTemplate struct{ Name, Text string }

// ReadTokenizerConfig reads tokenizer_config.json, of at most [MaxTokenizerSize].
func ReadTokenizerConfig(r io.Reader) (*TokenizerConfig, error) {
	c := &TokenizerConfig{}
	err := readDocument(r, MaxTokenizerSize, func(d *document) fields {
		fs := c.Tokens.fields(d)
		fs["tokenizer_class"] = d.text(&c.Class)
		fs["model_max_length"] = d.lenientUint(&c.MaxLength)
		fs["auto_map"] = d.code(&c.RemoteCode, &c.AutoMap)
		fs["chat_template"] = d.templates(&c.Templates)
		return fs
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// ReadChatTemplates reads chat_template.json, which processors have, of at most
// [MaxJSONSize]. It is an error when there is no field of templates.
func ReadChatTemplates(r io.Reader) (ts []ChatTemplate, err error) {
	there := false
	err = readDocument(r, MaxJSONSize, func(d *document) fields {
		return fields{"chat_template": func() error {
			there = true
			return d.templates(&ts)()
		}}
	})
	if err == nil && !there {
		err = absent("chat_template")
	}
	if err != nil {
		return nil, err
	}
	return ts, nil
}

// templates reads a template, a list of named ones, or an object of them.
func (d *document) templates(ts *[]ChatTemplate) func() error {
	room := maxTemplates
	text := func(t *ChatTemplate) error {
		if err := d.begins('"', "a template or a list of templates"); err != nil {
			return err
		}
		b, err := d.Text(min(room, MaxTemplateSize))
		room -= len(b)
		t.Text = string(b)
		return err
	}
	return func() error {
		b, err := d.Next()
		if err != nil {
			return err
		}
		switch b {
		case '[':
			return d.Array(func() error { return d.namedTemplate(ts, text) })
		case '{':
			return d.inside(func() error {
				return d.Object(func(key []byte, _ int64) error {
					t := ChatTemplate{Name: CleanText(string(key), MaxTextSize)}
					return d.member(func() error { return d.addTemplate(ts, &t, text) }, key)
				})
			})
		}
		return d.addTemplate(ts, &ChatTemplate{Name: "default"}, text)
	}
}

// namedTemplate reads an item of a list.
func (d *document) namedTemplate(ts *[]ChatTemplate, text func(*ChatTemplate) error) error {
	if err := d.begins('{', "a template or a list of templates"); err != nil {
		return err
	}
	var t ChatTemplate
	field, there := d.field, false
	err := d.inside(func() error {
		return d.members(fields{"name": d.text(&t.Name), "template": func() error {
			there, d.field = true, field
			return text(&t)
		}})
	})
	d.field = field
	switch {
	case err != nil:
		return err
	case !there:
		return d.wrong("a template or a list of templates")
	}
	return d.keepTemplate(ts, &t)
}

func (d *document) addTemplate(ts *[]ChatTemplate, t *ChatTemplate, text func(*ChatTemplate) error) error {
	if err := text(t); err != nil {
		return err
	}
	return d.keepTemplate(ts, t)
}

func (d *document) keepTemplate(ts *[]ChatTemplate, t *ChatTemplate) error {
	if len(*ts) == maxListed {
		return d.wrong("a list of so many templates as may be there")
	}
	*ts = append(*ts, *t)
	return nil
}

// SpecialTokens are the tokens that a tokenizer has for a purpose, as text.
type SpecialTokens struct{ BOS, EOS, UNK, PAD, SEP, CLS, Mask string }

// ReadSpecialTokens reads special_tokens_map.json, of at most [MaxJSONSize].
func ReadSpecialTokens(r io.Reader) (*SpecialTokens, error) {
	t := &SpecialTokens{}
	if err := readDocument(r, MaxJSONSize, t.fields); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *SpecialTokens) fields(d *document) fields {
	return fields{
		"bos_token": d.token(&t.BOS), "eos_token": d.token(&t.EOS), "unk_token": d.token(&t.UNK), "pad_token": d.token(&t.PAD),
		"sep_token": d.token(&t.SEP), "cls_token": d.token(&t.CLS), "mask_token": d.token(&t.Mask),
	}
}

// token reads a token: a string, or an object that has one (AddedToken).
func (d *document) token(s *string) func() error {
	return func() error {
		if b, err := d.Next(); err != nil || b != '{' {
			return d.text(s)()
		}
		field, there := d.field, false
		err := d.object(fields{"content": func() error {
			there = true
			return d.text(s)()
		}})()
		if err == nil && !there {
			err = absent(field + ".content")
		}
		return err
	}
}

// Tokenizer is what tokenizer.json says.
type Tokenizer struct {
	Model string // BPE, Unigram, WordPiece or WordLevel
	// Vocabulary, Merges and Added are how many entries there are.
	Vocabulary, Merges, Added uint64
}

// ReadTokenizer reads tokenizer.json, of at most [MaxTokenizerSize].
func ReadTokenizer(r io.Reader) (*Tokenizer, error) {
	t := &Tokenizer{}
	err := readDocument(r, MaxTokenizerSize, func(d *document) fields {
		return fields{
			"model": d.object(fields{
				"type":   d.text(&t.Model),
				"vocab":  d.entries(&t.Vocabulary, "a vocabulary", map[byte]string{'{': "0123456789", '[': "["}),
				"merges": d.entries(&t.Merges, "a list of merges", map[byte]string{'[': "[\""}),
			}),
			"added_tokens": d.entries(&t.Added, "a list of tokens", map[byte]string{'[': "{"}),
		}
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// entries counts the entries of an object or an array. kinds has for the first byte of
// what may be there the first bytes of what may be in it: an Unigram vocabulary is a
// list of pairs, others number their tokens.
func (d *document) entries(n *uint64, want string, kinds map[byte]string) func() error {
	return func() error {
		begin, err := d.Next()
		if err != nil {
			return err
		}
		entry := func() error {
			*n++
			if b, err := d.Next(); err != nil {
				return err
			} else if strings.IndexByte(kinds[begin], b) < 0 {
				return d.wrong(want)
			}
			return d.Skip()
		}
		switch {
		case kinds[begin] == "":
			return d.wrong(want)
		case begin == '{':
			return d.Object(func([]byte, int64) error { return entry() })
		}
		return d.Array(entry)
	}
}

// GenerationConfig is what generation_config.json says about how to sample. Numbers
// with a fraction are as they are written.
type GenerationConfig struct {
	MaxLength, MaxNewTokens uint64
	Sample                  bool
	Temperature, TopP       string
	TransformersVersion     string
}

// ReadGenerationConfig reads generation_config.json, of at most [MaxJSONSize].
func ReadGenerationConfig(r io.Reader) (*GenerationConfig, error) {
	c := &GenerationConfig{}
	err := readDocument(r, MaxJSONSize, func(d *document) fields {
		return fields{
			"max_length": d.lenientUint(&c.MaxLength), "max_new_tokens": d.lenientUint(&c.MaxNewTokens),
			"do_sample": d.bool(&c.Sample), "temperature": d.decimal(&c.Temperature), "top_p": d.decimal(&c.TopP),
			"transformers_version": d.text(&c.TransformersVersion),
		}
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// decimal reads a number as it is written.
func (d *document) decimal(s *string) func() error {
	return func() error {
		if err := d.beginsNumber(); err != nil {
			return err
		}
		text, err := d.Number()
		*s = string(text)
		return err
	}
}

// beginsNumber requires that a number comes next.
func (d *document) beginsNumber() error {
	b, err := d.Next()
	if err == nil && b != '-' && (b < '0' || b > '9') {
		err = d.wrong("a number")
	}
	return err
}

// wholeNumber returns 0 for what is no integer below 2^63.
func wholeNumber(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0
	}
	return n
}
