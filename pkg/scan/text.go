package scan

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/sniff"
	"github.com/modseal/modseal/pkg/modelfile/tensorflow"
	"github.com/modseal/modseal/pkg/scan/secret"
)

// text reads what people write: configurations, templates, code.
func (x *examination) text(ctx context.Context, c hazard.Content, kind sniff.Kind, prefix []byte, report hazard.Report) error {
	e := extension(c.Name)
	isText := kind == sniff.Script || looksLikeText(prefix)
	switch {
	case kind == formatJSON || e == ".json":
		if err := x.json(c, kind == formatJSON, report); err != nil {
			return err
		}
	case e == ".jinja" || e == ".jinja2":
		if err := template(c, report); err != nil {
			return err
		}
	case e == ".pbtxt":
		if err := graphText(c, report); err != nil {
			return err
		}
	case e == ".py" && c.Depth > 0:
		x.memberCode(c, report)
	}
	if !isText || len(prefix) == 0 {
		return nil
	}
	if c.Depth == 0 && x.file.Format == "" {
		x.file.Format = formatText
	}
	return secrets(ctx, c, report)
}

// looksLikeText reports what is UTF-8 without control characters but those of lines.
func looksLikeText(prefix []byte) bool {
	for len(prefix) > 0 {
		r, n := utf8.DecodeRune(prefix)
		if r == utf8.RuneError && n == 1 {
			return !utf8.FullRune(prefix) // the prefix ends within one
		}
		if r < ' ' && r != '\n' && r != '\r' && r != '\t' && r != '\f' {
			return false
		}
		prefix = prefix[n:]
	}
	return true
}

// vocabularies are JSON files of many megabytes in which no loader looks for code.
func vocabulary(name string) bool {
	switch base := path.Base(name); base {
	case "tokenizer.json", "vocab.json", "added_tokens.json":
		return true
	default:
		return strings.HasSuffix(base, ".index.json")
	}
}

func (x *examination) json(c hazard.Content, keras bool, report hazard.Report) error {
	if vocabulary(c.Name) || x.role == "dataset" {
		return nil
	}
	r, err := c.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if c.Depth == 0 {
		x.file.Format = formatJSON
	}
	base, dir := path.Base(c.Name), path.Dir(c.Name)
	layers := &kerasRules{report: report, sure: keras}
	code := &codeRules{report: report, name: base, points: func(file string) { x.point(strings.TrimPrefix(dir, "."), file) }}
	limited := &io.LimitedReader{R: r, N: limits.ScanJSONBytes + 1}
	err = walkJSON(limited, func(v *jsonValue) error {
		if err := layers.visit(v); err != nil {
			return err
		}
		templateIn(v, report)
		return code.visit(v)
	})
	layers.flush()
	var bad *jsonError
	switch {
	case limited.N <= 0:
		report(hazard.Of(hazard.FileUnfinished, "", fmt.Sprintf("it has more than %d bytes of JSON", limits.ScanJSONBytes)))
		return nil
	case errors.As(err, &bad):
		// Loaders give up on a configuration that is no JSON; whether they all do is
		// not known. Other files with that name are nobody's configuration.
		if keras || configuration(base) {
			report(hazard.Of(hazard.FileInvalid, formatJSON, "it is no JSON: "+bad.Reason).At(bad.Offset))
		}
		return nil
	}
	return err
}

// configuration reports files that loaders read.
func configuration(base string) bool {
	switch base {
	case "config.json", "modules.json", "model_index.json", "chat_template.json", "special_tokens_map.json", "model.json":
		return true
	}
	return strings.HasSuffix(base, "_config.json")
}

// kerasText looks for code in a configuration of Keras.
func kerasText(r io.Reader, report hazard.Report) error {
	rules := &kerasRules{report: report, sure: true}
	err := walkJSON(r, rules.visit)
	var bad *jsonError
	if errors.As(err, &bad) {
		report(hazard.Of(hazard.FileInvalid, formatJSON, "it is no JSON: "+bad.Reason).At(bad.Offset))
		return nil
	}
	return err
}

// templateIn finds chat templates where transformers keeps them: a text, or a list of
// names and templates.
func templateIn(v *jsonValue, report hazard.Report) {
	if v.Kind != '"' {
		return
	}
	for _, key := range v.Path {
		if key != "chat_template" && key != "chat_templates" {
			continue
		}
		if v.Cut {
			report(hazard.Of(hazard.FileUnfinished, key, fmt.Sprintf("the chat template has more than %d bytes", limits.ScanTextBytes)).At(v.Offset))
		}
		checkTemplate(v.Text, -1, func(f hazard.Finding) { report(f.At(v.Offset)) })
		return
	}
}

func template(c hazard.Content, report hazard.Report) error {
	r, err := c.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, limits.ScanTextBytes+1))
	if err != nil {
		return err
	}
	if len(text) > limits.ScanTextBytes {
		report(hazard.Of(hazard.FileUnfinished, "", fmt.Sprintf("the template has more than %d bytes", limits.ScanTextBytes)))
	}
	checkTemplate(string(text), 0, report)
	return nil
}

// graphOp is an operation in a graph that is written as text.
var graphOp = regexp.MustCompile(`\bop\s*:\s*["'](\w+)["']`)

// graphText looks for the operations of a graph in the text format of protocol
// buffers, which TensorFlow reads as well.
func graphText(c hazard.Content, report hazard.Report) error {
	r, err := c.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	in := bufio.NewReaderSize(r, 64<<10)
	var offset int64
	for {
		line, err := in.ReadSlice('\n')
		for _, m := range graphOp.FindAllSubmatchIndex(line, -1) {
			if rule := tensorflow.RuleOf(string(line[m[2]:m[3]])); rule != "" {
				report(hazard.Of(rule, string(line[m[2]:m[3]]), "").At(offset + int64(m[0])))
			}
		}
		offset += int64(len(line))
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// memberCode judges Python within a container: weights have no use for it. What
// TorchScript keeps under code/ is no Python, and is reported by the reader of torch.
func (x *examination) memberCode(c hazard.Content, report hazard.Report) {
	if c.Hint == hazard.InTorchScript {
		return
	}
	f := hazard.Of(hazard.CodePython, "", "a Python file lies within the file")
	if ofWeights(x.file.Path, x.role) {
		f.Severity, f.Message = hazard.High, "a Python file lies within weights"
	}
	report(f)
}

// secrets looks for credentials in the beginning of a text.
func secrets(ctx context.Context, c hazard.Content, report hazard.Report) error {
	if vocabulary(c.Name) {
		return nil
	}
	r, err := c.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if c.At != nil && c.Size > limits.ScanSecretBytes {
		var sample [4 << 10]byte
		n, err := c.At.ReadAt(sample[:], limits.ScanSecretBytes/2)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if bytes.IndexByte(sample[:n], 0) >= 0 {
			return nil // it only begins as a text
		}
	}
	return secret.Find(c.Name, io.LimitReader(r, limits.ScanSecretBytes), func(s secret.Found) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		rule := hazard.FileSecret
		if s.Rule == secret.Generic {
			rule = hazard.FileMaybeKey
		}
		report(hazard.Of(rule, s.Rule, fmt.Sprintf("line %d: %s", s.Line, s.Description)).At(s.Offset))
		return nil
	})
}
