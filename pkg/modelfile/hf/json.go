package hf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Bounds on a JSON document.
const (
	MaxJSONSize  = 16 << 20
	MaxJSONDepth = 64
)

// object is a JSON object with its place, for errors. encoding/json matches the
// keys of a struct ignoring case, which would let two spellings name one field;
// a map does not.
type object struct {
	path    string // "" or "a.b."
	members map[string]json.RawMessage
}

// parseObject checks the document and splits its topmost object.
func parseObject(data []byte) (object, error) {
	if len(data) > MaxJSONSize {
		return object{}, fmt.Errorf("%d bytes are more than %d", len(data), MaxJSONSize)
	}
	if !utf8.Valid(data) {
		return object{}, errors.New("not valid UTF-8")
	}
	var o object
	var raw json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		if bad, ok := errors.AsType[*json.SyntaxError](err); ok {
			return o, fmt.Errorf("byte %d: %w", bad.Offset, err)
		}
		return o, err
	}
	if raw[0] != '{' {
		return o, errors.New("not a JSON object")
	}
	if err := checkTree(data); err != nil {
		return o, err
	}
	return o, json.Unmarshal(data, &o.members)
}

// checkTree walks a valid document and refuses duplicate keys and deep
// nesting.
func checkTree(data []byte) error {
	type level struct {
		keys map[string]struct{} // nil in an array
		key  bool                // the next token is a key
	}
	var stack []level
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	for {
		token, err := d.Token()
		if err != nil {
			return fmt.Errorf("byte %d: %w", d.InputOffset(), err)
		}
		if token == json.Delim('}') || token == json.Delim(']') {
			stack = stack[:len(stack)-1]
			if len(stack) == 0 {
				return nil
			}
			continue
		}
		top := len(stack) - 1
		if top >= 0 && stack[top].key {
			key := token.(string) // a valid document has only strings for keys
			if _, dup := stack[top].keys[key]; dup {
				return fmt.Errorf("byte %d: duplicate key %q", d.InputOffset(), key)
			}
			stack[top].keys[key] = struct{}{}
			stack[top].key = false
			continue
		}
		if top >= 0 && stack[top].keys != nil {
			stack[top].key = true // after this value
		}
		switch token {
		case json.Delim('{'):
			stack = append(stack, level{map[string]struct{}{}, true})
		case json.Delim('['):
			stack = append(stack, level{})
		}
		if len(stack) > MaxJSONDepth {
			return fmt.Errorf("byte %d: nested deeper than %d", d.InputOffset(), MaxJSONDepth)
		}
	}
}

// has reports whether key is there with a value other than null, which writers
// use for "not set".
func (o object) has(key string) bool {
	raw, ok := o.members[key]
	return ok && string(raw) != "null"
}

func (o object) wrong(key, want string) error {
	return fmt.Errorf("field %q is not %s", o.path+key, want)
}

// str returns a string, "" when it is not set.
func (o object) str(key string) (string, error) {
	if !o.has(key) {
		return "", nil
	}
	var s string
	if err := json.Unmarshal(o.members[key], &s); err != nil {
		return "", o.wrong(key, "a string")
	}
	return CleanText(s, MaxTextSize), nil
}

// strs returns a list of strings, or a string as a list of one.
func (o object) strs(key string) ([]string, error) {
	if !o.has(key) {
		return nil, nil
	}
	if o.members[key][0] == '"' {
		s, err := o.str(key)
		return []string{s}, err
	}
	var list []*string
	if err := json.Unmarshal(o.members[key], &list); err != nil {
		return nil, o.wrong(key, "a list of strings")
	}
	var out []string
	for _, s := range list {
		if s == nil {
			return nil, o.wrong(key, "a list of strings")
		}
		out = append(out, CleanText(*s, MaxTextSize))
	}
	return out, nil
}

// uint returns an unsigned integer, 0 when it is not set.
func (o object) uint(key string) (uint64, error) {
	if !o.has(key) {
		return 0, nil
	}
	n, err := strconv.ParseUint(string(o.members[key]), 10, 64)
	if err != nil {
		return 0, o.wrong(key, "an unsigned integer")
	}
	return n, nil
}

// maxUint returns an unsigned integer, or the largest of a list of them: models
// with stages have one value for each.
func (o object) maxUint(key string) (uint64, error) {
	if !o.has(key) || o.members[key][0] != '[' {
		return o.uint(key)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(o.members[key], &list); err != nil {
		return 0, o.wrong(key, "a list of unsigned integers")
	}
	var largest uint64
	for _, item := range list {
		n, err := strconv.ParseUint(string(item), 10, 64)
		if err != nil {
			return 0, o.wrong(key, "a list of unsigned integers")
		}
		largest = max(largest, n)
	}
	return largest, nil
}

func (o object) bool(key string) (bool, error) {
	if !o.has(key) {
		return false, nil
	}
	switch string(o.members[key]) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, o.wrong(key, "true or false")
}

// object returns a nested object, an empty one when it is not set.
func (o object) object(key string) (object, error) {
	inner := object{path: o.path + key + "."}
	if !o.has(key) {
		return inner, nil
	}
	if o.members[key][0] != '{' {
		return inner, o.wrong(key, "an object")
	}
	return inner, json.Unmarshal(o.members[key], &inner.members)
}
