package statement

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/modseal/modseal/artifacttypes"
)

// checkShape demands of a predicate what the specification of its type requires.
// predicate is a JSON object without duplicate keys. Other types pass.
func checkShape(predicateType string, predicate []byte) error {
	shape := shapes[predicateType]
	if shape == nil {
		return nil
	}
	var doc map[string]any
	if err := json.Unmarshal(predicate, &doc); err != nil {
		return invalid("%w", err)
	}
	return shape(doc)
}

var shapes = map[string]func(map[string]any) error{
	artifacttypes.PredicateSLSAProvenanceV1:  checkProvenanceV1,
	artifacttypes.PredicateSLSAProvenanceV02: checkProvenanceV02,
	artifacttypes.PredicateVSA:               checkVSA,
}

// checkProvenanceV1 follows https://slsa.dev/spec/v1.1/provenance.
func checkProvenanceV1(doc map[string]any) error {
	return firstError(
		text(doc, "buildDefinition", "buildType"),
		members(doc, "buildDefinition", "externalParameters"),
		text(doc, "runDetails", "builder", "id"),
	)
}

// checkProvenanceV02 follows https://slsa.dev/spec/v0.2/provenance.
func checkProvenanceV02(doc map[string]any) error {
	return firstError(text(doc, "builder", "id"), text(doc, "buildType"))
}

// checkVSA follows https://slsa.dev/spec/v1.1/verification_summary.
func checkVSA(doc map[string]any) error {
	err := firstError(
		text(doc, "verifier", "id"),
		text(doc, "timeVerified"),
		text(doc, "resourceUri"),
		text(doc, "policy", "uri"),
		text(doc, "verificationResult"),
	)
	if err != nil {
		return err
	}
	if t, _ := doc["timeVerified"].(string); !isTime(t) {
		return invalid("timeVerified %q is no time such as 2026-01-02T15:04:05Z", shorten(t))
	}
	if r, _ := doc["verificationResult"].(string); r != "PASSED" && r != "FAILED" {
		return invalid("verificationResult %q is neither PASSED nor FAILED", shorten(r))
	}
	levels, ok := doc["verifiedLevels"].([]any)
	if !ok {
		return invalid("verifiedLevels is missing, or no list")
	}
	if slices.ContainsFunc(levels, func(l any) bool { s, ok := l.(string); return !ok || s == "" }) {
		return invalid("verifiedLevels has an entry that is no text")
	}
	return checkInputs(doc["inputAttestations"])
}

// checkInputs demands a digest of each attestation that a summary rests on.
func checkInputs(v any) error {
	if v == nil {
		return nil
	}
	inputs, ok := v.([]any)
	if !ok {
		return invalid("inputAttestations is no list")
	}
	for i, input := range inputs {
		doc, _ := input.(map[string]any)
		if digests, _ := doc["digest"].(map[string]any); len(digests) == 0 {
			return invalid("inputAttestations %d has no digest", i)
		}
	}
	return nil
}

func isTime(s string) bool {
	_, err := time.Parse(time.RFC3339, s)
	return err == nil
}

// text demands that there is a text at path that is not empty.
func text(doc map[string]any, path ...string) error {
	v, err := at(doc, path)
	if err != nil {
		return err
	}
	if s, ok := v.(string); !ok || s == "" {
		return invalid("%s is empty, or no text", strings.Join(path, "."))
	}
	return nil
}

// members demands that there is an object at path.
func members(doc map[string]any, path ...string) error {
	v, err := at(doc, path)
	if err != nil {
		return err
	}
	if _, ok := v.(map[string]any); !ok {
		return invalid("%s is no object", strings.Join(path, "."))
	}
	return nil
}

func at(doc map[string]any, path []string) (any, error) {
	var v any = doc
	for i, key := range path {
		object, ok := v.(map[string]any)
		if !ok {
			return nil, invalid("%s is no object", strings.Join(path[:i], "."))
		}
		if v, ok = object[key]; !ok {
			return nil, invalid("%s is missing%s", strings.Join(path[:i+1], "."), otherCase(object, key))
		}
	}
	return v, nil
}

// otherCase helps who wrote a key in another case, which makes it another key.
func otherCase(object map[string]any, key string) string {
	for k := range object {
		if strings.EqualFold(k, key) {
			return fmt.Sprintf(" (there is %q)", shorten(k))
		}
	}
	return ""
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
