package policy

// Condition is a CEL expression that must be true.
type Condition struct {
	Name       string // for messages; empty: the expression
	Expression string
}
