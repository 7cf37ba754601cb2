package policy

import (
	"bytes"
	"encoding/json"
	"strings"
)

// SchemaID names the JSON Schema of the document.
const SchemaID = "https://raw.githubusercontent.com/modseal/modseal/main/docs/policy.schema.json"

// Schema returns the JSON Schema of the document (draft 2020-12), for editors. It
// knows keys, types and forms. What one part of a document says about another,
// expressions and prefixes are left to [Parse].
func Schema() ([]byte, error) {
	sections := Sections()
	defs := map[string]any{}
	for _, s := range sections[1:] {
		defs[s.ID] = s.schema()
	}
	document := sections[0].schema()
	document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	document["$id"] = SchemaID
	document["title"] = "modseal policy"
	document["$defs"] = defs
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(document); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (s Section) schema() map[string]any {
	properties := map[string]any{}
	var required []string
	for _, f := range s.Fields {
		properties[f.Name] = f.schema()
		if f.Required {
			required = append(required, f.Name)
		}
	}
	out := map[string]any{
		"type": "object", "description": plain(s.Doc),
		"properties": properties, "additionalProperties": false,
	}
	if len(required) > 0 {
		out["required"] = required
	}
	if s.AnyOf {
		out["minProperties"] = 1
	}
	var groups []any
	for _, group := range s.OneOf {
		var one []any
		for _, name := range group {
			one = append(one, map[string]any{"required": []string{name}})
		}
		groups = append(groups, map[string]any{"oneOf": one})
	}
	if len(groups) > 0 {
		out["allOf"] = groups
	}
	return out
}

func (f Field) schema() map[string]any {
	out := f.valueSchema()
	out["description"] = plain(f.description())
	return out
}

// description is what the field means, and what its absence does.
func (f Field) description() string {
	if f.Default == "" {
		return f.Doc
	}
	return f.Doc + " Default: " + f.Default + "."
}

func (f Field) valueSchema() map[string]any {
	switch f.Type {
	case TypeInteger:
		if f.Min == f.Max {
			return map[string]any{"const": f.Min}
		}
		return map[string]any{"type": "integer", "minimum": f.Min, "maximum": f.Max}
	case TypeBoolean:
		return map[string]any{"type": "boolean"}
	case TypeSize:
		return map[string]any{"anyOf": []any{
			map[string]any{"type": "string", "pattern": f.Pattern},
			map[string]any{"type": "integer", "minimum": 1, "maximum": f.Max},
		}}
	case TypeTexts:
		return f.array(f.textSchema())
	case TypeTextsOrAny:
		return map[string]any{"anyOf": []any{map[string]any{"const": "any"}, f.array(f.textSchema())}}
	case TypeTextsOrWord:
		return map[string]any{"anyOf": []any{map[string]any{"enum": f.Words}, f.array(f.textSchema())}}
	case TypeTextMap:
		return map[string]any{
			"type": "object", "minProperties": f.Min, "maxProperties": f.Max,
			"propertyNames":        map[string]any{"enum": f.Values},
			"additionalProperties": map[string]any{"type": "string", "pattern": patternFilled},
		}
	case TypeObject:
		return reference(f.Section)
	case TypeObjects:
		return f.array(reference(f.Section))
	case TypeConditions:
		return f.array(map[string]any{"anyOf": []any{
			map[string]any{"type": "string", "pattern": patternFilled},
			reference(f.Section),
		}})
	}
	return f.textSchema()
}

func (f Field) textSchema() map[string]any {
	switch {
	case len(f.Values) == 1:
		return map[string]any{"const": f.Values[0]}
	case len(f.Values) > 1:
		return map[string]any{"enum": f.Values}
	}
	return map[string]any{"type": "string", "pattern": f.Pattern}
}

func (f Field) array(items map[string]any) map[string]any {
	out := map[string]any{"type": "array", "items": items, "maxItems": f.Max}
	if f.Min > 0 {
		out["minItems"] = f.Min
	}
	if f.Type == TypeTexts || f.Type == TypeTextsOrAny || f.Type == TypeTextsOrWord {
		out["uniqueItems"] = true
	}
	return out
}

func reference(section string) map[string]any {
	return map[string]any{"$ref": "#/$defs/" + section}
}

// plain takes the marks of Markdown away.
func plain(text string) string {
	return strings.NewReplacer("`", "", "[CEL](https://cel.dev)", "CEL (https://cel.dev)").Replace(text)
}
