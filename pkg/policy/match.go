package policy

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"cel.dev/cel-go/common/types"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// Match is a text that must be exactly Exact, or match all of Regexp. Exactly one
// is set; the zero Match matches nothing.
type Match struct {
	Exact  string
	Regexp string // RE2 (https://github.com/google/re2/wiki/Syntax); matches as a whole

	compiled *regexp.Regexp // of Regexp; nil when it was not made by [Pattern]
}

// Pattern returns the match of a regular expression.
func Pattern(expression string) (Match, error) {
	m := Match{Regexp: expression}
	re, err := m.compile()
	if err != nil {
		return Match{}, err
	}
	m.compiled = re
	return m, nil
}

// Equal compares what was written.
func (m Match) Equal(other Match) bool { return m.Exact == other.Exact && m.Regexp == other.Regexp }

// Anchored is the regular expression that matches the whole of a text, and that
// of no part of it, whatever Regexp says: ^(?:Regexp)$. It is empty when Exact
// is to be compared.
func (m Match) Anchored() string {
	if m.Regexp == "" {
		return ""
	}
	return "^(?:" + m.Regexp + ")$"
}

// Matches reports whether text is what m says. A Regexp that [Match.Valid] refuses
// matches nothing.
func (m Match) Matches(text string) bool {
	switch {
	case m.Exact != "" && m.Regexp == "":
		return text == m.Exact
	case m.Regexp != "" && m.Exact == "":
		re, err := m.compile()
		return err == nil && re.MatchString(text)
	}
	return false
}

// Valid says what is wrong with m.
func (m Match) Valid() error {
	switch {
	case m.Exact == "" && m.Regexp == "":
		return errors.New("there is nothing to match")
	case m.Exact != "" && m.Regexp != "":
		return errors.New("a text and a regular expression are both given")
	case m.Regexp == "":
		return nil
	}
	_, err := m.compile()
	return err
}

// String is the text in quotes, or the expression between slashes.
func (m Match) String() string {
	if m.Regexp != "" {
		return "/" + m.Regexp + "/"
	}
	return strconv.Quote(m.Exact)
}

func (m Match) compile() (*regexp.Regexp, error) {
	if m.compiled != nil {
		return m.compiled, nil
	}
	if len(m.Regexp) > limits.RegexpBytes {
		return nil, fmt.Errorf("the regular expression has %d bytes, more than %d", len(m.Regexp), limits.RegexpBytes)
	}
	// By itself first: a)|(?:b has a meaning between parentheses only, and then one
	// that is not anchored.
	if _, err := types.CompileRegexWithLimit(m.Regexp, limits.RegexpInstructions); err != nil {
		return nil, err
	}
	return regexp.Compile(m.Anchored())
}
