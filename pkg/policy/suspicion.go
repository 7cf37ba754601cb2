package policy

import (
	"fmt"
	"regexp/syntax"
	"strings"
)

// strangers are identities and issuers that nobody means by an expression: what
// matches one of them matches everybody of the kind. Names in .invalid are not
// given to anybody (RFC 2606, section 2).
var strangers = []string{"someone@elsewhere.invalid", "https://elsewhere.invalid/someone/workflow.yml@refs/heads/main", "https://elsewhere.invalid"}

// suspicions says what about a regular expression is perhaps not meant: it is
// anchored in any case, but that is of no use when it begins or ends with
// something that matches everything.
func (m Match) suspicions() []string {
	for _, s := range strangers {
		if m.Matches(s) {
			return []string{fmt.Sprintf("matches anybody, such as %q", s)}
		}
	}
	re, err := syntax.Parse(m.Regexp, syntax.Perl)
	if err != nil {
		return nil // Parse refuses it
	}
	var out []string
	parts := sequence(re)
	if len(parts) > 0 && endless(parts[0]) {
		out = append(out, "begins with something that matches any text, so that anyone can stand before the rest; begin it with the text that is meant, such as https://")
	}
	if n := len(parts); n > 1 && endless(parts[n-1]) && !separated(parts[n-2]) {
		out = append(out, "ends with something that matches any text, as in "+example(parts[n-2])+"-of-another; put / or @ before it, or write out the end")
	}
	if loneDot(re) {
		out = append(out, `has a dot that is not escaped, which matches any character; write \. for a dot`)
	}
	return out
}

// sequence returns the parts of an expression one after another, without anchors
// and groups around the whole.
func sequence(re *syntax.Regexp) []*syntax.Regexp {
	if re.Op == syntax.OpCapture {
		return sequence(re.Sub[0])
	}
	if re.Op != syntax.OpConcat {
		return []*syntax.Regexp{re}
	}
	var out []*syntax.Regexp
	for _, sub := range re.Sub {
		switch sub.Op {
		case syntax.OpBeginText, syntax.OpEndText, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpEmptyMatch:
		default:
			out = append(out, sub)
		}
	}
	return out
}

// endless reports whether re is .* or .+ in one of its spellings.
func endless(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpCapture:
		return endless(re.Sub[0])
	case syntax.OpStar, syntax.OpPlus:
		return anyCharacter(re.Sub[0])
	case syntax.OpRepeat:
		return re.Max == -1 && anyCharacter(re.Sub[0])
	case syntax.OpConcat:
		return endless(re.Sub[0])
	}
	return false
}

func anyCharacter(re *syntax.Regexp) bool {
	if re.Op == syntax.OpCapture {
		return anyCharacter(re.Sub[0])
	}
	return re.Op == syntax.OpAnyChar || re.Op == syntax.OpAnyCharNotNL
}

// separated reports whether re ends with a character that no name goes on after.
func separated(re *syntax.Regexp) bool {
	return re.Op == syntax.OpLiteral && strings.ContainsRune("/@#?", re.Rune[len(re.Rune)-1])
}

func example(re *syntax.Regexp) string {
	if re.Op == syntax.OpLiteral {
		return string(re.Rune)
	}
	return "model"
}

// loneDot finds a dot that stands for one character beside literal text: that of
// a host name which was not escaped.
func loneDot(re *syntax.Regexp) bool {
	if re.Op == syntax.OpConcat {
		for i, sub := range re.Sub {
			if !anyCharacter(sub) {
				continue
			}
			before := i > 0 && re.Sub[i-1].Op == syntax.OpLiteral
			after := i+1 < len(re.Sub) && re.Sub[i+1].Op == syntax.OpLiteral
			if before && after {
				return true
			}
		}
	}
	for _, sub := range re.Sub {
		if loneDot(sub) {
			return true
		}
	}
	return false
}
