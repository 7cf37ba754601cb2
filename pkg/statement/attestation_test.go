package statement_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/statement"
)

const customType = "https://example.com/evaluation/v1"

func TestAttestationKeepsThePredicateByteByByte(t *testing.T) {
	t.Parallel()
	d := digest.FromString("manifest")
	const predicate = "{ \"z\": 1.50e0,\n\t\"a\": 12345678901234567890123, \"s\": \"<\\u0041>\\/\" }"
	got, err := statement.Attestation(d, customType, []byte("\r\n "+predicate+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + d.Encoded() +
		`"}}],"predicateType":"` + customType + `","predicate":` + predicate + `}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s, err := statement.Parse(got)
	if err != nil {
		t.Fatal(err)
	}
	if string(s.Predicate) != predicate || s.PredicateType != customType || !s.Names(d) {
		t.Errorf("read back: %+v, predicate %s", s.Header, s.Predicate)
	}
}

func TestParseFindsThePredicate(t *testing.T) {
	t.Parallel()
	const head = `"_type":"https://in-toto.io/Statement/v0.1","subject":[{"digest":{"sha256":"00"}}],"predicateType":"p"`
	for _, row := range []struct{ payload, want string }{
		{`{` + head + `}`, ""},
		{`{"predicate":{"a":[1,{"b":2}]},` + head + `}`, `{"a":[1,{"b":2}]}`},
		{"{\"predicate\" \n:\t{ } , " + head + `}`, `{ }`},
		{`{` + head + `,"predicate":"SPDXVersion: SPDX-2.3"}`, `"SPDXVersion: SPDX-2.3"`},
		{`{` + head + `,"predicate": -1.5e3 }`, `-1.5e3`},
		{`{` + head + `,"predicate":null}`, `null`},
		{`{` + head + `,"predicate":[[],{}],"more":{}}`, `[[],{}]`},
	} {
		s, err := statement.Parse([]byte(row.payload))
		if err != nil {
			t.Errorf("%s: %v", row.payload, err)
			continue
		}
		if string(s.Predicate) != row.want {
			t.Errorf("%s: predicate %q, want %q", row.payload, s.Predicate, row.want)
		}
	}
	for name, payload := range map[string]string{
		"a key twice, below": `{` + head + `,"predicate":{"a":{"b":1,"b":2}}}`,
		"two predicates":     `{` + head + `,"predicate":{},"predicate":{"a":1}}`,
		"no type":            `{"predicate":{}}`,
	} {
		if s, err := statement.Parse([]byte(payload)); !errors.Is(err, statement.ErrInvalid) || s != nil {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}

func TestPredicateType(t *testing.T) {
	t.Parallel()
	// The names and what they stand for are cosign's.
	for name, want := range map[string]string{
		"slsaprovenance":       "https://slsa.dev/provenance/v0.2",
		"slsaprovenance02":     "https://slsa.dev/provenance/v0.2",
		"slsaprovenance1":      "https://slsa.dev/provenance/v1",
		"cyclonedx":            "https://cyclonedx.org/bom",
		"spdx":                 "https://spdx.dev/Document",
		"spdxjson":             "https://spdx.dev/Document",
		"vuln":                 "https://cosign.sigstore.dev/attestation/vuln/v1",
		"openvex":              "https://openvex.dev/ns",
		"link":                 "https://in-toto.io/Link/v1",
		"custom":               "https://cosign.sigstore.dev/attestation/v1",
		"vsa":                  "https://slsa.dev/verification_summary/v1",
		customType:             customType,
		"urn:example:a":        "urn:example:a",
		"HTTPS://Example.com/": "HTTPS://Example.com/",
	} {
		if got, err := statement.PredicateType(name); err != nil || got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if names := statement.PredicateTypeNames(); !slices.Contains(names, "vsa") || !slices.Contains(names, "modelcard") {
		t.Errorf("names: %v", names)
	}
}

var refusedTypes = map[string][2]string{
	"nothing":              {"", "is empty"},
	"an unknown name":      {"Custom", "neither"},
	"a path":               {"/a/b", "neither"},
	"a scheme alone":       {"https://", "neither"},
	"a scheme and a path":  {"file:///etc/passwd", "neither"},
	"white space":          {"https://example.com/a b", "characters"},
	"a line break":         {"https://example.com/a\n", "characters"},
	"not ASCII":            {"https://example.com/ä", "characters"},
	"too long":             {"https://example.com/" + strings.Repeat("a", limits.PredicateTypeBytes), "more than"},
	"the signature's":      {artifacttypes.PredicateCosignSign, "modseal sign"},
	"that of OMS":          {artifacttypes.PredicateOMS, "modseal sign"},
	"that of a later OMS":  {"https://model_signing/signature/v1.9", "modseal sign"},
	"that of an older OMS": {"https://model_signing/Digests/v0.1", "modseal sign"},
}

func TestPredicateTypeRefuses(t *testing.T) {
	t.Parallel()
	for name, row := range refusedTypes {
		_, err := statement.PredicateType(row[0])
		if !errors.Is(err, statement.ErrPredicateType) || !strings.Contains(err.Error(), row[1]) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := statement.Attestation(digest.FromString("m"), row[0], []byte("{}")); !errors.Is(err, statement.ErrPredicateType) {
			t.Errorf("%s: attested: %v", name, err)
		}
	}
}

const (
	provenanceV1 = `{"buildDefinition":{"buildType":"https://example.com/b","externalParameters":{}},"runDetails":{"builder":{"id":"https://example.com/ci"}}}`
	vsa          = `{"verifier":{"id":"https://example.com/v"},"timeVerified":"2026-01-02T03:04:05Z","resourceUri":"oci://r/m","policy":{"uri":"https://example.com/p"},"verificationResult":"PASSED","verifiedLevels":["SLSA_BUILD_LEVEL_2"],"inputAttestations":[{"digest":{"sha256":"00"}}]}`
	provenance02 = `{"builder":{"id":"https://example.com/ci"},"buildType":"https://example.com/b"}`
)

func TestAttestationRefuses(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"a":`, limits.JSONDepth-1) + "1" + strings.Repeat("}", limits.JSONDepth-1)
	if _, err := statement.Attestation(digest.FromString("m"), customType, []byte(deep)); err != nil {
		t.Fatalf("as deep as may be: %v", err)
	}
	for name, row := range map[string][3]string{
		"nothing":               {customType, " \n", "is empty"},
		"not JSON":              {customType, `{"a":}`, "not JSON"},
		"two documents":         {customType, `{} {}`, "not JSON"},
		"a way out":             {customType, `{}},"predicateType":"x","y":{`, "not JSON"},
		"a list":                {customType, `[1]`, "not an object"},
		"a text":                {customType, `"SPDXVersion: SPDX-2.3"`, "not an object"},
		"a key twice":           {customType, `{"a":1,"a":2}`, "twice"},
		"a key twice, below":    {customType, `{"x":[{"a":1,"a":2}]}`, `"x"`},
		"bad UTF-8":             {customType, "{\"a\":\"\xff\"}", "UTF-8"},
		"a byte order mark":     {customType, "\ufeff{}", "not JSON"},
		"too deep":              {customType, `{"a":` + deep + `}`, "deep"},
		"too deep as a part":    {customType, strings.Repeat(`{"a":`, limits.JSONDepth) + "1" + strings.Repeat("}", limits.JSONDepth), "deep"},
		"too large":             {customType, `{"a":"` + strings.Repeat("x", limits.PredicateBytes) + `"}`, "more than"},
		"v1 without type":       {artifacttypes.PredicateSLSAProvenanceV1, strings.Replace(provenanceV1, `"buildType":"https://example.com/b",`, "", 1), "buildDefinition.buildType is missing"},
		"v1 without parameters": {artifacttypes.PredicateSLSAProvenanceV1, strings.Replace(provenanceV1, `,"externalParameters":{}`, "", 1), "externalParameters is missing"},
		"v1 parameters a list":  {artifacttypes.PredicateSLSAProvenanceV1, strings.Replace(provenanceV1, `"externalParameters":{}`, `"externalParameters":[]`, 1), "no object"},
		"v1 without builder":    {artifacttypes.PredicateSLSAProvenanceV1, strings.Replace(provenanceV1, `"builder"`, `"Builder"`, 1), `there is "Builder"`},
		"v1 builder a text":     {artifacttypes.PredicateSLSAProvenanceV1, strings.Replace(provenanceV1, `{"id":"https://example.com/ci"}`, `"me"`, 1), "runDetails.builder is no object"},
		"v0.2 as v1":            {artifacttypes.PredicateSLSAProvenanceV1, provenance02, "buildDefinition is missing"},
		"v1 as v0.2":            {artifacttypes.PredicateSLSAProvenanceV02, provenanceV1, "builder is missing"},
		"v0.2 with an empty id": {artifacttypes.PredicateSLSAProvenanceV02, strings.Replace(provenance02, "https://example.com/ci", "", 1), "builder.id is empty"},
		"VSA without result":    {artifacttypes.PredicateVSA, strings.Replace(vsa, `"verificationResult":"PASSED",`, "", 1), "verificationResult is missing"},
		"VSA passed":            {artifacttypes.PredicateVSA, strings.Replace(vsa, "PASSED", "passed", 1), "neither PASSED nor FAILED"},
		"VSA at no time":        {artifacttypes.PredicateVSA, strings.Replace(vsa, "2026-01-02T03:04:05Z", "yesterday", 1), "no time"},
		"VSA without levels":    {artifacttypes.PredicateVSA, strings.Replace(vsa, `"verifiedLevels":["SLSA_BUILD_LEVEL_2"],`, "", 1), "verifiedLevels"},
		"VSA with level 2":      {artifacttypes.PredicateVSA, strings.Replace(vsa, `"SLSA_BUILD_LEVEL_2"`, "2", 1), "verifiedLevels"},
		"VSA of something":      {artifacttypes.PredicateVSA, strings.Replace(vsa, `{"digest":{"sha256":"00"}}`, `{"uri":"x"}`, 1), "inputAttestations 0"},
		"VSA without policy":    {artifacttypes.PredicateVSA, strings.Replace(vsa, `{"uri":"https://example.com/p"}`, `{}`, 1), "policy.uri is missing"},
	} {
		payload, err := statement.Attestation(digest.FromString("m"), row[0], []byte(row[1]))
		if !errors.Is(err, statement.ErrInvalid) || !strings.Contains(err.Error(), row[2]) || payload != nil {
			t.Errorf("%s: %d bytes, %v", name, len(payload), err)
		}
	}
	if _, err := statement.Attestation("sha256:zz", customType, []byte("{}")); err == nil {
		t.Error("attests about a digest that is none")
	}
}

func TestAttestationTakesWhatItsTypeDemands(t *testing.T) {
	t.Parallel()
	for predicateType, predicate := range map[string]string{
		artifacttypes.PredicateSLSAProvenanceV1:  provenanceV1,
		artifacttypes.PredicateSLSAProvenanceV02: provenance02,
		artifacttypes.PredicateVSA:               vsa,
	} {
		if _, err := statement.Attestation(digest.FromString("m"), predicateType, []byte(predicate)); err != nil {
			t.Errorf("%s: %v", predicateType, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(examplePayload))
	f.Add([]byte(`{"predicate" : {"a":[{}]} ,"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"00"}}],"predicateType":"p"}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		s, err := statement.Parse(payload)
		h, headerErr := statement.ParseHeader(payload)
		if (err == nil) != (headerErr == nil) {
			t.Fatalf("Parse %v, ParseHeader %v", err, headerErr)
		}
		if err != nil {
			return
		}
		if diff := cmp.Diff(h, &s.Header); diff != "" {
			t.Fatal(diff)
		}
		// encoding/json sees the same predicate.
		var doc map[string]json.RawMessage
		if err := json.Unmarshal(payload, &doc); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(doc["predicate"], s.Predicate) {
			t.Fatalf("predicate %q, encoding/json has %q", s.Predicate, doc["predicate"])
		}
	})
}

func FuzzAttestation(f *testing.F) {
	f.Add(customType, []byte(`{"a":1}`))
	f.Add(artifacttypes.PredicateSLSAProvenanceV1, []byte(provenanceV1))
	f.Add(artifacttypes.PredicateSLSAProvenanceV02, []byte(provenance02))
	f.Add(artifacttypes.PredicateVSA, []byte(vsa))
	f.Fuzz(func(t *testing.T, predicateType string, predicate []byte) {
		d := digest.FromString("m")
		payload, err := statement.Attestation(d, predicateType, predicate)
		if err != nil {
			if !errors.Is(err, statement.ErrInvalid) && !errors.Is(err, statement.ErrPredicateType) {
				t.Fatal(err)
			}
			return
		}
		s, err := statement.Parse(payload)
		if err != nil {
			t.Fatalf("%s: %v", payload, err)
		}
		if s.PredicateType != predicateType || len(s.Subjects) != 1 || !s.Names(d) || !bytes.Equal(s.Predicate, bytes.TrimSpace(predicate)) {
			t.Fatalf("%q became %+v with %q", predicate, s.Header, s.Predicate)
		}
	})
}
