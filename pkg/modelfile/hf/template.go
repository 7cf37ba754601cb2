package hf

import (
	"bytes"
	"slices"
	"strings"
)

// ChatTemplateUsesTools reports whether a chat template in
// tokenizer_config.json reads the tools that it is given.
func ChatTemplateUsesTools(tokenizerConfig []byte) (bool, error) {
	c, err := ReadTokenizerConfig(bytes.NewReader(tokenizerConfig))
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(c.Templates, func(t ChatTemplate) bool { return TemplateUsesTools(t.Text) }), nil
}

// TemplateUsesTools reports whether a Jinja template reads the variable tools,
// by which transformers and llama.cpp hand tools to a chat template. The word
// in text, in a string or as an attribute of something else does not count.
func TemplateUsesTools(template string) bool {
	for {
		open := strings.IndexByte(template, '{')
		if open < 0 || open+1 == len(template) {
			return false
		}
		kind := template[open+1]
		template = template[open+1:]
		switch kind {
		case '#':
			_, template, _ = strings.Cut(template, "#}")
		case '{', '%':
			var found bool
			if found, template = codeReads(template[1:], "tools"); found {
				return true
			}
		}
	}
}

// codeReads looks for a variable in code up to the end of its block, and
// returns what follows the block.
func codeReads(code, name string) (bool, string) {
	var word strings.Builder
	attribute := false
	for i := 0; i <= len(code); i++ {
		c := byte('}') // the end of the template ends a block too
		if i < len(code) {
			c = code[i]
		}
		if isWord(c) {
			word.WriteByte(c)
			continue
		}
		if word.String() == name && !attribute {
			return true, ""
		}
		if word.Len() > 0 || c != ' ' {
			attribute = c == '.'
		}
		word.Reset()
		switch c {
		case '\'', '"':
			i = stringEnd(code, i)
		case '}':
			// The braces of a dictionary are inside the block too; taking its
			// end for the end of the block costs at most a word behind it.
			if i > 0 && i < len(code) && (code[i-1] == '%' || code[i-1] == '}') || i == len(code) {
				return false, code[min(i+1, len(code)):]
			}
		}
	}
	return false, ""
}

// stringEnd returns the index of the quote that ends the string begun at i.
func stringEnd(code string, i int) int {
	for j := i + 1; j < len(code); j++ {
		switch code[j] {
		case '\\':
			j++
		case code[i]:
			return j
		}
	}
	return len(code)
}

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
