package yamlshape

import (
	"errors"
	"io"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
)

// Explain says in the words of who wrote a document what goccy/go-yaml, which decodes
// it, says in those of Go's types. Text of the document may be in it.
func Explain(err error) *Error {
	if errors.Is(err, io.EOF) {
		return &Error{Line: 1, Message: "the document is empty"}
	}
	message := err.Error()
	var is yaml.Error
	if !errors.As(err, &is) {
		message, _, _ = strings.Cut(message, "\n")
		return &Error{Line: 1, Message: message}
	}
	message = is.GetMessage()
	switch err := is.(type) {
	case *yaml.TypeError:
		message = "here is " + kindWord(err.SrcType) + ", and " + kindWord(err.DstType) + " is needed"
	case *yaml.OverflowError:
		message = "the number " + err.SrcNum + " is too large or below 0"
	case *yaml.UnexpectedNodeTypeError:
		message = "here is " + nodeWord(err.Actual.YAMLName()) + ", and " + nodeWord(err.Expected.YAMLName()) + " is needed"
	}
	line := 1
	if t := is.GetToken(); t != nil && t.Position != nil {
		line = t.Position.Line
	}
	return &Error{Line: line, Message: message}
}

func kindWord(t reflect.Type) string {
	if t == nil {
		return "something else"
	}
	switch t.Kind() { //nolint:exhaustive // the others are no types of a document
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "a mapping"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	return "something else"
}

func nodeWord(name string) string {
	switch name {
	case "string", "literal":
		return "a text"
	case "sequence":
		return "a list"
	case "int":
		return "a whole number"
	case "float":
		return "a number"
	case "boolean":
		return "true or false"
	case "null":
		return "nothing"
	}
	return "a " + name
}
