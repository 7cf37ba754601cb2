package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/modseal/modseal/pkg/policy"
)

// generatePolicy writes the reference of the policy document into dir, and its
// JSON Schema beside dir.
func generatePolicy(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "policy.md"), policyReference(), 0o644); err != nil {
		return err
	}
	schema, err := policy.Schema()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "..", "policy.schema.json"), schema, 0o644)
}

func policyReference() []byte {
	var out bytes.Buffer
	sections := policy.Sections()
	fmt.Fprintf(&out, `# The fields of a policy

Generated from the parser's own table (%[1]spkg/policy/fields.go%[1]s). [Say whom you trust](../policy.md) explains how they
work together. Editors that know JSON Schema check and complete a policy that begins with

%[1]s%[1]s%[1]syaml
# yaml-language-server: $schema=%[2]s
%[1]s%[1]s%[1]s

Durations are whole numbers of days, hours or minutes: %[1]s90d%[1]s, %[1]s12h%[1]s, %[1]s30m%[1]s. Times are RFC 3339 or a date, which
begins at midnight UTC. Sizes are bytes, with or without %[1]sKiB%[1]s, %[1]sMiB%[1]s or %[1]sGiB%[1]s.
`, "`", policy.SchemaID)
	titles := map[string]string{}
	for _, s := range sections {
		titles[s.ID] = s.Title
	}
	for _, s := range sections {
		writeSection(&out, s, titles)
	}
	return out.Bytes()
}

func writeSection(out *bytes.Buffer, s policy.Section, titles map[string]string) {
	fmt.Fprintf(out, "\n## %s\n\n%s\n", heading(s.Title), s.Doc)
	for _, group := range s.OneOf {
		fmt.Fprintf(out, "\nExactly one of %s must be there.\n", quoted(group))
	}
	if s.AnyOf {
		fmt.Fprint(out, "\nAt least one field must be there.\n")
	}
	fmt.Fprint(out, "\n| field | value | default | meaning |\n|---|---|---|---|\n")
	for _, f := range s.Fields {
		fallback := f.Default
		switch {
		case f.Required:
			fallback = "**required**"
		case fallback == "":
			fallback = "-"
		}
		fmt.Fprintf(out, "| `%s` | %s | %s | %s |\n", f.Name, value(f, titles), fallback, cell(f.Doc))
	}
}

// value says what the value of a field looks like.
func value(f policy.Field, titles map[string]string) string {
	text := string(f.Type)
	switch {
	case f.Type == policy.TypeTextsOrWord:
		return "list of text, or one of " + quoted(f.Words)
	case f.Type == policy.TypeTextMap:
		return text + ", with the names " + quoted(f.Values)
	case len(f.Values) > 0 && f.Type == policy.TypeTexts:
		text = "list of " + quoted(f.Values)
	case len(f.Values) > 0:
		text = quoted(f.Values)
	case f.Type == policy.TypeInteger && f.Min == f.Max:
		return fmt.Sprintf("`%d`", f.Min)
	case f.Type == policy.TypeInteger:
		return fmt.Sprintf("%s, %d to %d", text, f.Min, f.Max)
	case f.Section != "":
		kind := map[policy.FieldType]string{policy.TypeObject: "", policy.TypeObjects: "list: ", policy.TypeConditions: "list of expressions, or: "}[f.Type]
		name := heading(titles[f.Section])
		text = fmt.Sprintf("%s[%s](#%s)", kind, name, strings.ReplaceAll(strings.ToLower(name), " ", "-"))
	}
	return cell(text)
}

// heading is a title without its article, and with a capital.
func heading(title string) string {
	for _, article := range []string{"the ", "an ", "a "} {
		title = strings.TrimPrefix(title, article)
	}
	if title == "oms" || title == "vsa" {
		return strings.ToUpper(title)
	}
	return strings.ToUpper(title[:1]) + title[1:]
}

func quoted(names []string) string {
	var out []string
	for _, n := range names {
		out = append(out, "`"+n+"`")
	}
	if len(out) == 1 {
		return out[0]
	}
	last := len(out) - 1
	return strings.Join(out[:last], ", ") + " and " + out[last]
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
