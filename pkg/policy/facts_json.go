package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// readJSON makes values of CEL. Whole numbers that fit become int, all others
// double; an object with a key twice is refused, because two readers could see
// two different ones.
//
// The values are those of CEL and not of Go, so that their sizes are found once
// and not at every use.
func readJSON(data []byte, maxBytes int) (ref.Val, error) {
	if len(data) > maxBytes {
		return nil, fmt.Errorf("it has %d bytes, more than the %d that conditions read", len(data), maxBytes)
	}
	if !utf8.Valid(data) {
		return nil, errors.New("it is not valid UTF-8")
	}
	// The token reader below sees well-formed JSON only, with nothing behind it.
	if !json.Valid(data) {
		return nil, errors.New("it is not JSON")
	}
	r := jsonReader{dec: json.NewDecoder(bytes.NewReader(data))}
	r.dec.UseNumber()
	return r.value(0)
}

type jsonReader struct {
	dec    *json.Decoder
	values int
}

func (r *jsonReader) value(depth int) (ref.Val, error) {
	if r.values++; r.values > limits.ConditionValues {
		return nil, fmt.Errorf("it has more than %d values", limits.ConditionValues)
	}
	if depth > limits.JSONDepth {
		return nil, fmt.Errorf("it is nested more than %d deep", limits.JSONDepth)
	}
	token, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '{' {
			return r.object(depth)
		}
		return r.array(depth)
	case string:
		return types.String(t), nil
	case bool:
		return types.Bool(t), nil
	case json.Number:
		return number(t)
	}
	return types.NullValue, nil
}

func (r *jsonReader) object(depth int) (ref.Val, error) {
	members := map[ref.Val]ref.Val{}
	for r.dec.More() {
		token, err := r.dec.Token()
		if err != nil {
			return nil, err
		}
		text, _ := token.(string)
		key := types.String(text)
		if _, twice := members[key]; twice {
			return nil, fmt.Errorf("the key %q stands there twice", text)
		}
		if members[key], err = r.value(depth + 1); err != nil {
			return nil, err
		}
	}
	if _, err := r.dec.Token(); err != nil {
		return nil, err
	}
	return types.NewRefValMap(types.DefaultTypeAdapter, members), nil
}

func (r *jsonReader) array(depth int) (ref.Val, error) {
	elements := []ref.Val{}
	for r.dec.More() {
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		elements = append(elements, v)
	}
	if _, err := r.dec.Token(); err != nil {
		return nil, err
	}
	return types.NewRefValList(types.DefaultTypeAdapter, elements), nil
}

func number(n json.Number) (ref.Val, error) {
	if i, err := strconv.ParseInt(n.String(), 10, 64); err == nil {
		return types.Int(i), nil
	}
	d, err := n.Float64()
	if err != nil {
		return nil, fmt.Errorf("the number %s is out of range", shorten(n.String()))
	}
	return types.Double(d), nil
}

// lifted are the fields of a model config that expressions find at its top, too:
// config.licenses is config.descriptor.licenses
// (https://github.com/modelpack/model-spec/blob/v0.0.7/docs/config.md).
var lifted = map[string][]string{
	"descriptor": {
		"createdAt", "authors", "family", "name", "docURL", "sourceURL", "version", "revision", "vendor", "licenses", "title", "description",
	},
	"config": {"architecture", "format", "paramSize", "precision", "quantization", "capabilities"},
}

func liftConfig(config ref.Val) ref.Val {
	top, ok := config.(traits.Mapper)
	if !ok {
		return config
	}
	members := map[ref.Val]ref.Val{}
	for it := top.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		members[key] = top.Get(key)
	}
	for section, fields := range lifted {
		value, found := top.Find(types.String(section))
		inner, ok := value.(traits.Mapper)
		if !found || !ok {
			continue
		}
		for _, field := range fields {
			if v, found := inner.Find(types.String(field)); found {
				members[types.String(field)] = v
			}
		}
	}
	return types.NewRefValMap(types.DefaultTypeAdapter, members)
}
