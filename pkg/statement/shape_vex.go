package statement

import "github.com/modseal/modseal/pkg/internal/lazyregexp"

var (
	openVEXContext = lazyregexp.New(`^https://openvex\.dev/ns(/v[0-9]+(\.[0-9]+)*)?$`)
	digits         = lazyregexp.New(`^[1-9][0-9]*$`)
)

// openVEX follows the JSON schema of OpenVEX 0.2.0
// (https://github.com/openvex/spec/blob/main/openvex_json_schema.json). Before 0.2.0
// a vulnerability was its name, and the version a text.
var openVEX = object(
	need("@context", form(openVEXContext, "a context of OpenVEX such as https://openvex.dev/ns/v0.2.0")),
	need("@id", uri),
	need("author", text),
	need("timestamp", timestamp),
	need("version", func(v any, path string) error {
		if _, old := v.(string); old {
			return form(digits, "a whole number from 1")(v, path)
		}
		return count(v, path)
	}),
	need("statements", some(vexStatement)),
)

func vexStatement(v any, path string) error {
	if err := vexFields(v, path); err != nil {
		return err
	}
	// What status demands beside itself.
	switch o, _ := v.(map[string]any); o["status"] {
	case "not_affected":
		if o["justification"] == nil && o["impact_statement"] == nil {
			return invalid("%s is not_affected, and has neither justification nor impact_statement", path)
		}
	case "affected":
		if o["action_statement"] == nil {
			return invalid("%s is affected, and has no action_statement", path)
		}
	}
	return nil
}

var vexFields = object(
	need("vulnerability", func(v any, path string) error {
		if _, old := v.(string); old {
			return text(v, path)
		}
		return object(need("name", text))(v, path)
	}),
	need("status", oneOf("not_affected", "affected", "fixed", "under_investigation")),
	may("justification", oneOf("component_not_present", "vulnerable_code_not_present", "vulnerable_code_not_in_execute_path",
		"vulnerable_code_cannot_be_controlled_by_adversary", "inline_mitigations_already_exist")),
	may("impact_statement", text), may("action_statement", text),
	may("timestamp", timestamp), may("products", list(anything)),
)

// vuln follows
// https://github.com/sigstore/cosign/blob/v3.0.0/specs/COSIGN_VULN_ATTESTATION_SPEC.md.
var vuln = object(
	may("invocation", object()),
	need("scanner", object(need("uri", text))),
	need("metadata", object(may("scanStartedOn", timestamp), may("scanFinishedOn", timestamp))),
)
