package inventory

import "fmt"

// Error says what is wrong with an inventory, and where.
type Error struct {
	Line int    // of the input, from 1; 0 when it is about the whole
	Why  string // in words
	// Perhaps is what the line may have been meant to say; empty when that
	// cannot be told.
	Perhaps string
}

func (e *Error) Error() string {
	text := "inventory"
	if e.Line > 0 {
		text += fmt.Sprintf(", line %d of the text", e.Line)
	}
	text += ": " + e.Why
	if e.Perhaps != "" {
		text += "; " + e.Perhaps
	}
	return text
}

func wrong(format string, a ...any) *Error { return &Error{Why: fmt.Sprintf(format, a...)} }
