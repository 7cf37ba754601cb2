package statement

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/internal/slsa"
)

// ParseVSA reads a statement whose predicate is a verification summary v1. Errors
// wrap [ErrInvalid].
func ParseVSA(payload []byte) (*VSA, error) {
	s, err := Parse(payload)
	if err != nil {
		return nil, err
	}
	if s.PredicateType != artifacttypes.PredicateVSA {
		return nil, invalid("its predicate type is %q, and that of a verification summary is %s", shorten(s.PredicateType), artifacttypes.PredicateVSA)
	}
	return ReadVSA(s.Predicate)
}

// ReadVSA reads the predicate of a verification summary v1, as any verifier may
// have written it. Fields that nobody has defined are passed over, as the
// specification demands; those that it has defined must be what it says. Keys are
// compared in their letter case, and none may stand there twice. Errors wrap
// [ErrInvalid].
func ReadVSA(predicate []byte) (*VSA, error) {
	if len(predicate) > limits.VSABytes {
		return nil, invalid("the verification summary has more than %d bytes", limits.VSABytes)
	}
	r, err := newReader(predicate)
	if err != nil {
		return nil, err
	}
	if err := r.object("the verification summary", func(string) error { return r.skip() }); err != nil {
		return nil, err
	}
	var doc jsonObject
	if err := json.Unmarshal(predicate, &doc); err != nil {
		return nil, invalid("%w", err)
	}
	f := &fieldReader{}
	v := f.vsa(doc)
	return v, f.err
}

// jsonObject is one level of a JSON object without duplicate keys.
type jsonObject map[string]json.RawMessage

// fieldReader reads the fields of a predicate by their paths. It keeps the first
// error, after which what it returns means nothing.
type fieldReader struct{ err error }

func (f *fieldReader) fail(format string, args ...any) {
	if f.err == nil {
		f.err = invalid(format, args...)
	}
}

func (f *fieldReader) vsa(doc jsonObject) *VSA {
	verifier := f.object(doc, "verifier", required)
	v := &VSA{
		Verifier:     f.text(verifier, "verifier.id", required),
		Version:      f.texts(verifier, "verifier.version", limits.VSALevels),
		TimeVerified: f.time(doc, "timeVerified"),
		Resource:     f.text(doc, "resourceUri", required),
		Inputs:       f.inputs(doc, "inputAttestations"),
		Result:       f.text(doc, "verificationResult", required),
		Levels:       f.levels(doc, "verifiedLevels"),
		Dependencies: f.counts(doc, "dependencyLevels"),
		SLSAVersion:  f.text(doc, "slsaVersion", optional),
	}
	policy := f.object(doc, "policy", required)
	v.Policy = ResourceDescriptor{URI: f.text(policy, "policy.uri", required), Digest: f.texts(policy, "policy.digest", limits.SubjectDigests)}
	switch {
	case v.Result != ResultPassed && v.Result != ResultFailed:
		f.fail("verificationResult %q is neither %s nor %s", shorten(v.Result), ResultPassed, ResultFailed)
	case v.Passed() && slices.Contains(v.Levels, slsa.Failed):
		f.fail("verificationResult is %s, and verifiedLevels has %s: it contradicts itself", ResultPassed, slsa.Failed)
	}
	return v
}

// Whether a field must be there.
const (
	required = true
	optional = false
)

// value returns what is at path, whose last part is the key in in; nil when it is
// absent. null is the same as absent, as in the JSON of protocol buffers.
func (f *fieldReader) value(in jsonObject, path string, need bool) json.RawMessage {
	key := path[strings.LastIndexByte(path, '.')+1:]
	v := in[key]
	if string(v) == "null" {
		v = nil
	}
	if v == nil && need {
		f.fail("%s is missing%s", path, otherCase(in, key))
	}
	return v
}

func (f *fieldReader) text(in jsonObject, path string, need bool) string {
	raw := f.value(in, path, need)
	if raw == nil {
		return ""
	}
	return f.textOf(raw, path, need)
}

func (f *fieldReader) textOf(raw json.RawMessage, what string, need bool) string {
	var s string
	switch err := json.Unmarshal(raw, &s); {
	case raw[0] != '"' || err != nil || s == "" && need:
		f.fail("%s is empty, or no text", what)
	case len(s) > limits.VSATextBytes:
		f.fail("%s has %d bytes, more than %d", what, len(s), limits.VSATextBytes)
	}
	return s
}

func (f *fieldReader) object(in jsonObject, path string, need bool) jsonObject {
	raw := f.value(in, path, need)
	if raw == nil {
		return nil
	}
	var out jsonObject
	if raw[0] != '{' || json.Unmarshal(raw, &out) != nil {
		f.fail("%s is no object", path)
	}
	return out
}

// texts reads an object whose values are texts; nil when there is none.
func (f *fieldReader) texts(in jsonObject, path string, most int) map[string]string {
	object := f.object(in, path, optional)
	if object == nil {
		return nil
	}
	if len(object) > most {
		f.fail("%s has %d entries, more than %d", path, len(object), most)
		return nil
	}
	out := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		out[f.name(key, path)] = f.textOf(object[key], path+"."+shorten(key), required)
	}
	return out
}

// name bounds a key that whoever wrote the predicate has chosen.
func (f *fieldReader) name(key, path string) string {
	if len(key) > limits.VSATextBytes {
		f.fail("%s has a name of %d bytes, more than %d", path, len(key), limits.VSATextBytes)
	}
	return key
}

func (f *fieldReader) array(in jsonObject, path string, need bool, most int) []json.RawMessage {
	raw := f.value(in, path, need)
	if raw == nil {
		return nil
	}
	var out []json.RawMessage
	switch {
	case raw[0] != '[' || json.Unmarshal(raw, &out) != nil:
		f.fail("%s is no list", path)
	case len(out) > most:
		f.fail("%s has %d entries, more than %d", path, len(out), most)
	default:
		return out
	}
	return nil
}

func (f *fieldReader) time(in jsonObject, path string) time.Time {
	text := f.text(in, path, optional)
	if text == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.IsZero() {
		f.fail("%s %q is no time such as 2026-01-02T15:04:05Z", path, shorten(text))
	}
	return t
}

func (f *fieldReader) levels(in jsonObject, path string) []string {
	var out []string
	for i, raw := range f.array(in, path, required, limits.VSALevels) {
		out = append(out, f.textOf(raw, path+" "+strconv.Itoa(i), required))
	}
	return out
}

// inputs demands a digest of each attestation that a summary rests on.
func (f *fieldReader) inputs(in jsonObject, path string) []ResourceDescriptor {
	var out []ResourceDescriptor
	for i, raw := range f.array(in, path, optional, limits.VSAInputs) {
		what := path + " " + strconv.Itoa(i)
		var input jsonObject
		if raw[0] != '{' || json.Unmarshal(raw, &input) != nil {
			f.fail("%s is no object", what)
			return nil
		}
		d := ResourceDescriptor{URI: f.text(input, what+".uri", optional), Digest: f.texts(input, what+".digest", limits.SubjectDigests)}
		if len(d.Digest) == 0 {
			f.fail("%s has no digest", what)
		}
		out = append(out, d)
	}
	return out
}

// counts reads whole numbers, which the JSON of protocol buffers has as texts.
func (f *fieldReader) counts(in jsonObject, path string) map[string]uint64 {
	object := f.object(in, path, optional)
	if object == nil {
		return nil
	}
	if len(object) > limits.VSALevels {
		f.fail("%s has %d entries, more than %d", path, len(object), limits.VSALevels)
		return nil
	}
	out := map[string]uint64{}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		n, err := strconv.ParseUint(strings.Trim(string(object[key]), `"`), 10, 64)
		if err != nil {
			f.fail("%s.%s is no number of dependencies", path, shorten(key))
		}
		out[f.name(key, path)] = n
	}
	return out
}
