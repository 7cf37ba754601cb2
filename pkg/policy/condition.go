package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// Condition is a CEL expression that must be true. [ArtifactCondition],
// [AttestationCondition] and [Parse] make one that can be evaluated; any other
// fails.
type Condition struct {
	Name       string // for messages; empty: the expression
	Expression string

	program *program
}

// ConditionError says that a condition does not hold, or that nobody can tell.
// Both refuse.
type ConditionError struct {
	Condition Condition
	// False says that the expression was evaluated, to false. Otherwise it has no
	// value, as when it asks for what is not there, or costs too much.
	False bool
	Why   string // when False is not set
	// Found says what the facts have where the expression looks, such as
	// config.licenses is ["MIT"]; empty when it looks at no single thing.
	Found string
}

func (e *ConditionError) Error() string {
	if e.False {
		if e.Found != "" {
			return fmt.Sprintf("%s is false: %s", e.Condition, e.Found)
		}
		return fmt.Sprintf("%s is false", e.Condition)
	}
	return fmt.Sprintf("%s cannot be decided: %s", e.Condition, e.Why)
}

// ArtifactCondition compiles a condition about the artifact. The error says what
// is wrong with the expression.
func ArtifactCondition(name, expression string) (Condition, error) {
	return newCondition(name, expression, artifactVariables)
}

// AttestationCondition compiles a condition about an attestation of one of the
// predicate types.
func AttestationCondition(name, expression string, predicateTypes ...string) (Condition, error) {
	about := attestationVariables
	if len(predicateTypes) > 0 && !slices.ContainsFunc(predicateTypes, notProvenance) {
		about = provenanceVariables
	}
	return newCondition(name, expression, about)
}

func notProvenance(predicateType string) bool {
	return !strings.HasPrefix(predicateType, "https://slsa.dev/provenance/")
}

func newCondition(name, expression string, about variableSet) (Condition, error) {
	p, err := compile(expression, about)
	if err != nil {
		return Condition{}, err
	}
	return Condition{Name: name, Expression: expression, program: p}, nil
}

// String is the name in quotes, or the expression.
func (c Condition) String() string {
	if c.Name != "" {
		return fmt.Sprintf("condition %q", c.Name)
	}
	return "condition " + shorten(strings.Join(strings.Fields(c.Expression), " "))
}

// Equal compares what was written.
func (c Condition) Equal(other Condition) bool {
	return c.Name == other.Name && c.Expression == other.Expression
}

// NeedsConfig reports whether the expression asks for the config of the model.
func (c Condition) NeedsConfig() bool {
	return c.program != nil && slices.Contains(c.program.uses, varConfig)
}

// needsManifest reports whether the expression asks for what a signature of the
// manifest binds and an OMS statement does not.
func (c Condition) needsManifest() bool {
	return c.NeedsConfig() || c.program != nil && slices.Contains(c.program.uses, varAnnotations)
}

// Eval returns nil when the condition holds for the facts. Otherwise the error is
// a [*ConditionError], or that of ctx when it is done. What an expression may cost
// is bounded by the Condition limits of pkg/internal/limits, whatever the facts.
func (c Condition) Eval(ctx context.Context, f *Facts) error {
	refuse := func(format string, args ...any) error {
		return &ConditionError{Condition: c, Why: fmt.Sprintf(format, args...)}
	}
	switch {
	case c.program == nil:
		return refuse("it was not compiled")
	case f == nil:
		return refuse("there are no facts")
	}
	for _, name := range c.program.uses {
		if _, ok := f.values[name]; !ok {
			return refuse("%s", f.missing(name))
		}
	}
	value, _, err := c.program.ContextEval(ctx, f.values)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var cancelled interpreter.EvalCancelledError
	switch {
	case errors.As(err, &cancelled):
		return refuse("%s", costMessage(cancelled))
	case err != nil:
		return refuse("%s", shorten(err.Error()))
	case value == types.True:
		return nil
	case value == types.False:
		return &ConditionError{Condition: c, False: true, Found: c.program.found(f)}
	}
	return refuse("its value is no truth but a %s", value.Type().TypeName())
}

func shorten(s string) string {
	if len(s) <= limits.ConditionMessageBytes {
		return s
	}
	return strings.ToValidUTF8(s[:limits.ConditionMessageBytes], "") + "…"
}

// program is an expression that is ready to be evaluated.
type program struct {
	cel.Program
	uses   []string // variables that it names
	chains []chain  // what of them it asks for
}
