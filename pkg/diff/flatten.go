package diff

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Bounds on what [Flatten] takes apart: deeper than that a value is one text, and
// more fields than that are refused. The configs of published models have a few
// hundred fields, three deep.
const (
	MaxFieldDepth = 16
	MaxFields     = 20_000
)

// Flatten takes a JSON object apart into fields, one per value that is no object.
// Members of members are outer.inner, where a dot or a backslash in a name has a
// backslash before it; a list is one value. Numbers stay as they are
// written. The error says why raw is no such object.
func Flatten(source string, raw []byte) ([]Field, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var object map[string]any
	if err := dec.Decode(&object); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("there is more behind the object")
	}
	if object == nil {
		return nil, fmt.Errorf("it is null and no object")
	}
	f := &flattener{source: source}
	if err := f.object("", object, 1); err != nil {
		return nil, err
	}
	return f.fields, nil
}

// escape keeps a dot in a name from looking like one between names, and a backslash
// from looking like that of such a dot: no two values have one name.
var escape = strings.NewReplacer(`\`, `\\`, ".", `\.`)

type flattener struct {
	source string
	fields []Field
}

func (f *flattener) object(prefix string, object map[string]any, depth int) error {
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		path := prefix + escape.Replace(name)
		inner, ok := object[name].(map[string]any)
		if ok && len(inner) > 0 && depth < MaxFieldDepth {
			if err := f.object(path+".", inner, depth+1); err != nil {
				return err
			}
			continue
		}
		if len(f.fields) == MaxFields {
			return fmt.Errorf("it has more than %d fields", MaxFields)
		}
		text, err := Value(object[name])
		if err != nil {
			return err
		}
		f.fields = append(f.fields, Field{Source: f.source, Name: path, Value: text})
	}
	return nil
}

// Value returns v as the value of a [Field].
func Value(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}
