package policy

import (
	"fmt"
	"math"
	"math/bits"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/functions"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// cel-go counts the cost of a call after it was made, and knows that of some
// functions only. Both is not enough where a stranger chooses how long the
// arguments are: "".replace("", s) of two long texts never returns. So every call
// is weighed before it is made ([meter.guard]), and counted by the same weight
// ([meter.CallCost]).

// runesPerStep is how much text counts as one step, as in cel-go.
const runesPerStep = 10

// costOptions bound what an evaluation takes. Memory needs no bound of its own:
// every element and every ten bytes of text that a call makes is a step.
func costOptions(regexps map[string]uint64) ([]cel.ProgramOption, error) {
	m := meter{regexps: regexps, sizes: types.NewSizeCalculator(
		// The defaults take every deeper or larger value for one of endless size.
		types.SizeCalculatorMaxDepth(limits.ConditionSizeDepth),
		types.SizeCalculatorMaxTraversal(limits.ConditionCost),
	)}
	guarded, err := m.guardAll()
	if err != nil {
		return nil, err
	}
	return []cel.ProgramOption{
		cel.EvalOptions(cel.OptOptimize),
		cel.Functions(guarded...), //nolint:staticcheck // SA1019: what is to replace it declares functions, and cannot wrap those of a library
		cel.CustomDecoratorV2(m.guardEquals),
		cel.CostTracking(m),
		cel.CostLimit(limits.ConditionCost),
		cel.InterruptCheckFrequency(limits.ConditionInterrupt),
	}, nil
}

// guardEquals weighs comparisons, which cel-go does not look up among the
// functions. A value that has itself twice, and that again, is small and takes
// for ever to be compared.
func (m meter) guardEquals(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	call, ok := i.(interpreter.InterpretableCall)
	if !ok {
		return i, nil
	}
	name := call.Function()
	if name != operators.Equals && name != operators.NotEquals {
		return i, nil
	}
	return interpreter.NewCall(call.ID(), name, call.OverloadID(), call.Args(), func(values ...ref.Val) ref.Val {
		m.check(name, values)
		equal := types.Equal(values[0], values[1])
		if name == operators.NotEquals {
			return types.Bool(equal != types.True)
		}
		return equal
	}), nil
}

// meter weighs calls.
type meter struct {
	regexps map[string]uint64 // instructions by pattern
	sizes   *types.SizeCalculator
}

// CallCost counts a call that was made.
func (m meter) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	cost := m.weigh(function, args)
	// What a call makes is paid for, so that the whole cost bounds the memory.
	switch result.(type) {
	case types.String, types.Bytes:
		cost = add(cost, length(result))
	case traits.Lister:
		if function == "_+_" { // takes the first list as it is: map and filter add to theirs
			result = args[len(args)-1]
		}
		cost = add(cost, length(result))
	}
	return &cost
}

// binding is what runs when a function is called.
type binding struct {
	function string
	overload *functions.Overload
}

// bindings are those of all functions that expressions may call.
var bindings = sync.OnceValues(func() ([]binding, error) {
	env, err := environment()
	if err != nil {
		return nil, err
	}
	var out []binding
	for name, declaration := range env.Functions() {
		overloads, err := declaration.Bindings()
		if err != nil {
			return nil, fmt.Errorf("function %s: %w", name, err)
		}
		for _, o := range overloads {
			out = append(out, binding{name, o})
		}
	}
	return out, nil
})

// guardAll returns every function in a form that refuses arguments that would
// take too long.
func (m meter) guardAll() ([]*functions.Overload, error) {
	all, err := bindings()
	if err != nil {
		return nil, err
	}
	var out []*functions.Overload
	for _, b := range all {
		out = append(out, m.guard(b.function, b.overload))
	}
	return out, nil
}

func (m meter) guard(function string, o *functions.Overload) *functions.Overload {
	guarded := *o
	if unary := o.Unary; unary != nil {
		guarded.Unary = func(v ref.Val) ref.Val { m.check(function, []ref.Val{v}); return unary(v) }
	}
	if binary := o.Binary; binary != nil {
		guarded.Binary = func(l, r ref.Val) ref.Val { m.check(function, []ref.Val{l, r}); return binary(l, r) }
	}
	if several := o.Function; several != nil {
		guarded.Function = func(args ...ref.Val) ref.Val { m.check(function, args); return several(args...) }
	}
	return &guarded
}

// check ends the evaluation when a call would take too long. It does not return an
// error as a value, which could be lost in an ||.
func (m meter) check(function string, args []ref.Val) {
	if m.weigh(function, args) > limits.ConditionCost {
		panic(interpreter.EvalCancelledError{Cause: interpreter.CostLimitExceeded, Message: "the arguments of " + function + " are too long"})
	}
}

// weigh returns how many steps a call takes at most, in the order of magnitude.
func (m meter) weigh(function string, args []ref.Val) uint64 {
	var sum uint64 = 1
	for _, a := range args {
		sum = add(sum, m.size(function, a))
	}
	if len(args) == 0 {
		return sum
	}
	first := m.size(function, args[0])
	switch function {
	case "matches":
		if len(args) > 1 {
			return add(sum, multiply(first, m.instructions(args[1])/runesPerStep+1))
		}
	case "replace", "join", "indexOf", "lastIndexOf":
		// A result of a copy of one argument for every rune or element of another,
		// or a search that begins anew at every rune.
		for _, a := range args[1:] {
			sum = add(sum, multiply(add(elements(args[0]), 1), elements(a))/runesPerStep)
		}
		return sum
	case "split":
		return add(sum, elements(args[0]))
	case "distinct":
		return add(sum, multiply(length(args[0]), first))
	case "sort", "@sortByAssociatedKeys":
		return add(sum, multiply(first, uint64(bits.Len64(length(args[0])))))
	case "sets.contains", "sets.intersects", "sets.equivalent", "hasOnly", "hasAny", "hasAll", "hasExactly":
		if len(args) > 1 {
			other := m.size(function, args[1])
			return add(sum, add(multiply(length(args[0]), other), multiply(length(args[1]), first)))
		}
	case "lists.range":
		if n, ok := args[0].(types.Int); ok && n > 0 {
			return add(sum, uint64(n))
		}
	}
	return sum
}

// size is how much of v a function may have to look at.
func (m meter) size(function string, v ref.Val) uint64 {
	switch v.(type) {
	case types.String, types.Bytes:
		return length(v)
	case traits.Mapper, traits.Lister:
		if shallow(function) {
			return 1
		}
		return uint64(m.sizes.AggregateSize(v))
	}
	return 1
}

// shallow functions do not walk the lists and maps they are given.
func shallow(function string) bool {
	switch function {
	case "size", "_[_]", "_[?_]", "_?._", "_+_", "type", "dyn", "first", "last", "hasValue", "value", "or", "orValue", "optional.of", "optional.ofNonZeroValue":
		return true
	}
	return false
}

func (m meter) instructions(pattern ref.Val) uint64 {
	if s, ok := pattern.(types.String); ok {
		if n, known := m.regexps[string(s)]; known {
			return n
		}
	}
	return limits.RegexpInstructions
}

// length is that of a text in steps, or the number of elements.
func length(v ref.Val) uint64 {
	switch v := v.(type) {
	case types.String:
		return uint64(len(v)+runesPerStep-1) / runesPerStep
	case types.Bytes:
		return uint64(len(v)+runesPerStep-1) / runesPerStep
	case traits.Sizer:
		if n, ok := v.Size().(types.Int); ok && n > 0 {
			return uint64(n)
		}
		return 0
	}
	return 1
}

// elements is the number of bytes of a text, or of elements.
func elements(v ref.Val) uint64 {
	switch v := v.(type) {
	case types.String:
		return uint64(len(v))
	case types.Bytes:
		return uint64(len(v))
	}
	return length(v)
}

func add(a, b uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return math.MaxUint64
	}
	return sum
}

func multiply(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	if high != 0 {
		return math.MaxUint64
	}
	return low
}

func costMessage(e interpreter.EvalCancelledError) string {
	if e.Cause == interpreter.CostLimitExceeded {
		return fmt.Sprintf("it costs more than %d steps", limits.ConditionCost)
	}
	return e.Message
}
