package provenance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// maxNumber bounds the digits of a number, which gets into the predicate as it is.
const maxNumber = 32

// numbers returns the numbers and truth values of a JSON object, at its top level
// alone, under the names that name returns; an empty one passes over it. All else is
// passed over, however much it is.
func numbers(content []byte, name func(key string) string) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(content))
	dec.UseNumber()
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		return nil, errors.New("it is no JSON object")
	}
	said := map[string]any{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, notJSON(err)
		}
		key, _ := token.(string)
		value, err := scalar(dec)
		if err != nil {
			return nil, notJSON(err)
		}
		as := name(key)
		if as == "" || value == nil {
			continue
		}
		if len(said) >= limits.TrainingValues {
			return nil, fmt.Errorf("it has more than %d values", limits.TrainingValues)
		}
		said[as] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, notJSON(err)
	}
	return said, nil
}

func notJSON(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("it is not JSON: %w", err)
}

// scalar reads the value that comes next, and returns it when it is a number or a
// truth value.
func scalar(dec *json.Decoder) (any, error) {
	depth := 0
	for {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case json.Delim:
			if t == '{' || t == '[' {
				depth++
			} else {
				depth--
			}
			if depth > limits.JSONDepth {
				return nil, fmt.Errorf("it is nested more than %d deep", limits.JSONDepth)
			}
		case json.Number:
			if depth == 0 && len(t) <= maxNumber {
				return t, nil
			}
		case bool:
			if depth == 0 {
				return t, nil
			}
		}
		if depth == 0 {
			return nil, nil //nolint:nilnil // a value that is not told
		}
	}
}
