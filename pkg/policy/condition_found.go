package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// chain is what an expression asks for: a variable, and the keys from there.
type chain []string

func (p chain) String() string {
	var b strings.Builder
	b.WriteString(p[0])
	for _, key := range p[1:] {
		if strings.ContainsFunc(key, func(r rune) bool {
			return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
		}) {
			fmt.Fprintf(&b, "[%q]", key)
			continue
		}
		b.WriteString("." + key)
	}
	return b.String()
}

// chains returns what the expression asks for, each once and in its order. What
// depends on the element of a loop is not among it, nor are whole variables
// that are no text.
func chains(a *ast.AST, variables []string) []chain {
	var out []chain
	inner := map[int64]bool{} // parts of a chain that was seen as a whole
	ast.PreOrderVisit(a.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if inner[e.ID()] {
			return
		}
		p := chainOf(e, inner)
		if len(p) == 0 || len(p) == 1 && variableTypes[p[0]] != cel.StringType {
			return
		}
		slices.Reverse(p)
		if slices.Contains(variables, p[0]) && len(out) < limits.ConditionFound && !slices.ContainsFunc(out, func(o chain) bool { return slices.Equal(o, p) }) {
			out = append(out, p)
		}
	}))
	return out
}

// chainOf returns the chain that ends with e, backwards, or nil.
func chainOf(e ast.Expr, inner map[int64]bool) chain {
	var p chain
	for {
		var operand ast.Expr
		switch e.Kind() {
		case ast.IdentKind:
			return append(p, e.AsIdent())
		case ast.SelectKind:
			p = append(p, e.AsSelect().FieldName())
			operand = e.AsSelect().Operand()
		case ast.CallKind:
			call := e.AsCall()
			if call.FunctionName() != operators.Index || len(call.Args()) != 2 || call.Args()[1].Kind() != ast.LiteralKind {
				return nil
			}
			key, ok := call.Args()[1].AsLiteral().Value().(string)
			if !ok {
				return nil
			}
			p = append(p, key)
			operand = call.Args()[0]
		default:
			return nil
		}
		inner[operand.ID()] = true
		e = operand
	}
}

// found says what the facts have where the expression looks.
func (p *program) found(f *Facts) string {
	var out []string
	for _, at := range p.chains {
		value, there := f.lookup(at)
		if !there {
			out = append(out, at.String()+" is not there")
			continue
		}
		out = append(out, at.String()+" is "+describe(value, true))
	}
	return strings.Join(out, ", ")
}

func (f *Facts) lookup(at chain) (ref.Val, bool) {
	value := types.DefaultTypeAdapter.NativeToValue(f.values[at[0]])
	for _, key := range at[1:] {
		switch v := value.(type) {
		case traits.Mapper:
			next, there := v.Find(types.String(key))
			if !there {
				return nil, false
			}
			value = next
		case traits.Indexer:
			value = v.Get(types.String(key))
		default:
			return nil, false
		}
		if value == nil || types.IsError(value) {
			return nil, false
		}
	}
	return value, true
}

// describe writes a value in a few words; what is long is counted.
func describe(v ref.Val, deep bool) string {
	switch v := v.(type) {
	case types.String:
		return strconv.Quote(shorten(string(v)))
	case types.Int, types.Uint, types.Double, types.Bool:
		return fmt.Sprint(v.Value())
	case types.Null:
		return "null"
	case traits.Mapper:
		return fmt.Sprintf("a mapping of %d keys", length(v))
	case traits.Lister:
		n := length(v)
		if n == 0 {
			return "[]"
		}
		if !deep || n > limits.ConditionFound {
			return fmt.Sprintf("a list of %d", n)
		}
		var elements []string
		for it := v.Iterator(); it.HasNext() == types.True; {
			elements = append(elements, describe(it.Next(), false))
		}
		return "[" + strings.Join(elements, ", ") + "]"
	}
	return "a " + v.Type().TypeName()
}
