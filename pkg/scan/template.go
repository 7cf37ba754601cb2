package scan

import (
	"strconv"

	"github.com/modseal/modseal/pkg/internal/lazyregexp"
	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// reaches are the constructs by which a Jinja template gets to objects that were not
// given to it. They are looked for in all of the text: what is code and what is not
// is for the template to blur.
var reaches = []struct {
	pattern *lazyregexp.Regexp
	why     string
}{
	{lazyregexp.New(`__[a-zA-Z]+__`), "it names an internal attribute of Python objects"},
	{lazyregexp.New(`\|\s*attr\b`), "it gets an attribute by a computed name"},
	{lazyregexp.New(`\|\s*map\s*\(\s*attribute\s*=\s*[^'"\s]`), "it gets an attribute by a computed name"},
	{lazyregexp.New(`\bos\.\w|\bpopen\b|\bsubprocess\b|\bimportlib\b`), "it names what runs programs"},
	{lazyregexp.New(`\b(?:eval|exec|open|compile|getattr|setattr|globals|import_module)\s*\(`), "it calls what runs code or opens files"},
	{lazyregexp.New(`\b(?:lipsum|cycler|joiner|self|g|request|get_flashed_messages|url_for)\s*[.|\[]\s*['"_a-zA-Z]*(?:__|_TemplateReference|func_globals|gi_frame|cr_frame|application)`), "it goes through a helper of Jinja into the process"},
	{lazyregexp.New(`\b(?:func_globals|gi_frame|cr_frame|f_globals|f_builtins|tb_frame)\b`), "it goes through the frame of a function"},
	{lazyregexp.New(`\[[^\]\[]*(?:~|\|\s*(?:join|format|replace|reverse|lower|string|first|last)\b)[^\]\[]*\]`), "it gets a member by a name that is put together"},
	{lazyregexp.New(`\{%-?\s*(?:include|import|extends|from)\b`), "it loads another template"},
}

// escaped is how a character may be written in a text of Jinja: a name that is
// written so does not want to be found.
var escaped = lazyregexp.New(`\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3}))`)

// checkTemplate reports each way in which a chat template reaches outside, once.
// offset is where the template begins in its file, or -1 where its text is not there
// byte by byte.
func checkTemplate(text string, offset int64, report hazard.Report) {
	plain := escaped.ReplaceAllStringFunc(text, unescapeJinja)
	seen := map[string]bool{}
	for _, r := range reaches {
		for i, m := range r.pattern.FindAllStringIndex(plain, 16) {
			subject := plain[m[0]:m[1]]
			if i > 0 && seen[subject] {
				continue
			}
			seen[subject] = true
			at := offset
			if offset >= 0 && plain == text {
				at += int64(m[0])
			}
			report(hazard.Of(hazard.TemplateReaches, shorten(subject), r.why).At(at))
		}
	}
}

func unescapeJinja(s string) string {
	digits, base := s[2:], 16
	if s[1] != 'x' && s[1] != 'u' && s[1] != 'U' {
		digits, base = s[1:], 8
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil {
		return s // no character
	}
	return string(rune(n))
}

// shorten keeps what a finding is about within a line.
func shorten(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return s[:most]
}
