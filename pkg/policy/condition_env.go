package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// Variables of expressions.
const (
	varReference     = "reference"
	varSubject       = "subject"
	varDigest        = "digest"
	varAnnotations   = "annotations"
	varConfig        = "config"
	varFiles         = "files"
	varNow           = "now"
	varPredicate     = "predicate"
	varPredicateType = "predicateType"
	varProvenance    = "provenance"
	varSigner        = "signer"
)

// Names that the types of files and signers have in error messages.
const (
	typeFile   = "file"
	typeSigner = "signerType"
)

// variableSet is what expressions of one kind may name. Its environment is made
// once, which takes longer than to compile an expression.
type variableSet struct {
	names []string
	env   func() (*cel.Env, error)
}

func newVariableSet(names ...string) variableSet {
	return variableSet{names: names, env: sync.OnceValues(func() (*cel.Env, error) {
		env, err := environment()
		if err != nil {
			return nil, err
		}
		var variables []cel.EnvOption
		for _, name := range names {
			variables = append(variables, cel.Variable(name, variableTypes[name]))
		}
		return env.Extend(variables...)
	})}
}

var (
	artifactVariables    = newVariableSet(varReference, varSubject, varDigest, varAnnotations, varConfig, varFiles, varNow)
	attestationVariables = newVariableSet(append(artifactVariables.names, varPredicate, varPredicateType, varSigner)...)
	provenanceVariables  = newVariableSet(append(attestationVariables.names, varProvenance)...)
)

var variableTypes = map[string]*cel.Type{
	varReference:     cel.StringType,
	varSubject:       cel.StringType,
	varDigest:        cel.StringType,
	varAnnotations:   cel.MapType(cel.StringType, cel.StringType),
	varConfig:        cel.DynType,
	varFiles:         cel.ListType(cel.ObjectType(typeFile)),
	varNow:           cel.TimestampType,
	varPredicate:     cel.DynType,
	varPredicateType: cel.StringType,
	varProvenance:    cel.DynType,
	varSigner:        cel.ObjectType(typeSigner),
}

// environment is CEL with the functions and types that expressions may use, and
// without variables. Sets, lists, strings and math are the extensions of cel-go;
// what is left out has no use here or would let expressions grow: bindings,
// protos, encoders, comprehensions over two variables.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	fieldNames := types.ParseStructTag("cel")
	return cel.NewEnv(
		cel.Types(
			types.NativeTypeFor[File](cel.NativeTypeAlias(typeFile), fieldNames),
			types.NativeTypeFor[SignerFacts](cel.NativeTypeAlias(typeSigner), fieldNames),
		),
		cel.OptionalTypes(),
		ext.Strings(ext.StringsMaxPrecision(limits.ConditionPrecision)),
		ext.Lists(ext.ListsMaxRangeSize(limits.ConditionRange)),
		ext.Sets(),
		ext.Math(),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(limits.ConditionRunes),
		cel.ParserRecursionLimit(limits.ConditionDepth),
		cel.ParserErrorRecoveryLimit(1),
		cel.ExpressionNodeLimit(limits.ConditionNodes),
		cel.RegexProgramSizeLimit(limits.RegexpInstructions),
		cel.ASTValidators(
			cel.ValidateDurationLiterals(),
			cel.ValidateTimestampLiterals(),
			cel.ValidateRegexLiterals(),
			cel.ValidateHomogeneousAggregateLiterals(),
		),
	)
})

// compile checks the expression and readies it.
func compile(expression string, about variableSet) (*program, error) {
	env, err := about.env()
	if err != nil {
		return nil, err
	}
	checked, issues := env.Compile(expression)
	if issues.Err() != nil {
		return nil, compileError(issues)
	}
	if t := checked.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("it is no condition: its value is a %s, and not true or false", cel.FormatCELType(t))
	}
	regexps, err := regexpSizes(checked.NativeRep())
	if err != nil {
		return nil, err
	}
	options, err := costOptions(regexps)
	if err != nil {
		return nil, err
	}
	ready, err := env.Program(checked, options...)
	if err != nil {
		return nil, errors.New(shorten(err.Error()))
	}
	return &program{Program: ready, uses: used(checked.NativeRep(), about.names), chains: chains(checked.NativeRep(), about.names)}, nil
}

// ExpressionError says what is wrong with an expression, and where in it.
type ExpressionError struct {
	Line, Column int // of the expression, from 1
	Message      string
}

func (e *ExpressionError) Error() string {
	return fmt.Sprintf("line %d, column %d of the expression: %s", e.Line, e.Column, e.Message)
}

// compileError is the first thing that CEL says, in one line.
func compileError(issues *cel.Issues) error {
	all := issues.Errors()
	if len(all) == 0 {
		return errors.New(shorten(issues.Err().Error()))
	}
	first := all[0]
	message := strings.Join(strings.Fields(first.Message), " ")
	// Expressions have no container, and what CEL guesses is about its own types.
	message, _, _ = strings.Cut(message, " (in container '')")
	message, _, _ = strings.Cut(message, " (did you mean ")
	return &ExpressionError{Line: first.Location.Line(), Column: first.Location.Column() + 1, Message: shorten(message)}
}

// used returns the variables that the expression names.
func used(a *ast.AST, about []string) []string {
	var out []string
	for _, reference := range a.ReferenceMap() {
		if slices.Contains(about, reference.Name) && !slices.Contains(out, reference.Name) {
			out = append(out, reference.Name)
		}
	}
	slices.Sort(out)
	return out
}

// regexpSizes returns how many instructions every regular expression has. Those
// that are not there to be read are refused: what a stranger writes into a
// predicate must not be one, and they are compiled once.
func regexpSizes(a *ast.AST) (map[string]uint64, error) {
	sizes := map[string]uint64{}
	var err error
	ast.PreOrderVisit(a.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != overloads.Matches {
			return
		}
		args := e.AsCall().Args()
		last := args[len(args)-1]
		pattern, literal := "", last.Kind() == ast.LiteralKind
		if literal {
			pattern, literal = last.AsLiteral().Value().(string)
		}
		if !literal {
			err = errors.New("the regular expression of matches must be a text in quotes, not something that is computed")
			return
		}
		size, bad := types.RegexProgramSize(pattern)
		if bad != nil {
			err = bad
			return
		}
		sizes[pattern] = uint64(size)
	}))
	return sizes, err
}
