// Package yamlshape refuses YAML whose shape would cost its parser more than
// its content is worth: goccy/go-yaml calls itself for every level of nesting,
// and needs time with the square of the keys of a mapping. It also puts into plain
// words what that decoder finds wrong.
package yamlshape

import (
	"bytes"
	"fmt"
)

// Bounds of a document that people write by hand.
const (
	MaxLines     = 10_000
	MaxLineBytes = 4096
	MaxDepth     = 64 // of brackets, and of sequences begun on one line
)

// Error says what is wrong with a document, and in which line.
type Error struct {
	Line    int
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Message) }

// Check returns an *Error when a document of at most maxBytes, maxLines lines
// and the other bounds above is not what data is.
func Check(data []byte, maxBytes, maxLines int) error {
	if len(data) > maxBytes {
		return &Error{Line: 1, Message: fmt.Sprintf("the document has %d bytes, more than %d", len(data), maxBytes)}
	}
	depth, number := 0, 0
	for line := range bytes.Lines(data) {
		number++
		depth += bytes.Count(line, []byte("[")) + bytes.Count(line, []byte("{"))
		depth -= bytes.Count(line, []byte("]")) + bytes.Count(line, []byte("}"))
		depth = max(depth, 0)
		switch {
		case number > maxLines:
			return &Error{Line: number, Message: fmt.Sprintf("the document has more than %d lines", maxLines)}
		case len(line) > MaxLineBytes:
			return &Error{Line: number, Message: fmt.Sprintf("the line is longer than %d bytes", MaxLineBytes)}
		case depth > MaxDepth || bytes.Count(line, []byte("- ")) > MaxDepth:
			return &Error{Line: number, Message: "the line is nested too deeply"}
		}
	}
	return nil
}
