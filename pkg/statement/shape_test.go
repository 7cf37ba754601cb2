package statement_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/statement"
)

// One document of each type that has all that is looked at.
var whole = map[string]string{
	artifacttypes.PredicateSLSAProvenanceV1: `{"buildDefinition":{"buildType":"https://example.com/b","externalParameters":{"a":1},
		"internalParameters":{},"resolvedDependencies":[{"uri":"git+https://example.com/r","digest":{"gitCommit":"0000000000000000000000000000000000000001"}}]},
		"runDetails":{"builder":{"id":"https://example.com/ci","version":{"ci":"1"}},"metadata":{"invocationId":"1","startedOn":"2026-01-02T03:04:05Z"},
		"byproducts":[{"name":"log","content":"aGk="}]}}`,
	artifacttypes.PredicateSLSAProvenanceV02: `{"builder":{"id":"https://example.com/ci"},"buildType":"https://example.com/b",
		"invocation":{"configSource":{"uri":"git+https://example.com/r","digest":{"sha1":"00000000"},"entryPoint":"e"}},
		"metadata":{"buildStartedOn":"2026-01-02T03:04:05Z"},"materials":[{"uri":"git+https://example.com/r","digest":{"sha1":"00000000"}}]}`,
	artifacttypes.PredicateLink: `{"name":"train","command":["python"],"materials":[],"byproducts":{},"environment":{}}`,
	artifacttypes.PredicateOpenVEX: `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://example.com/vex/1","author":"A","timestamp":"2026-01-02T03:04:05Z","version":1,
		"statements":[{"vulnerability":{"name":"CVE-2026-1"},"status":"not_affected","justification":"component_not_present"},
		{"vulnerability":{"name":"CVE-2026-2"},"status":"affected","action_statement":"update"}]}`,
	artifacttypes.PredicateVuln: `{"invocation":{},"scanner":{"uri":"https://example.com/s"},"metadata":{"scanStartedOn":"2026-01-02T03:04:05Z"}}`,
	artifacttypes.PredicateCycloneDX: `{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"serialNumber":"urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
		"metadata":{"timestamp":"2026-01-02T03:04:05Z","component":{"bom-ref":"model","type":"machine-learning-model","name":"m",
		"modelCard":{"modelParameters":{"approach":{"type":"supervised"},"task":"t"}}}},
		"components":[{"bom-ref":"a","type":"file","name":"a","hashes":[{"alg":"SHA-256","content":"` + hex64 + `"}],"components":[{"bom-ref":"b","type":"data","name":"b"}]}],
		"dependencies":[{"ref":"model","dependsOn":["a"]}]}`,
	artifacttypes.PredicateSPDX: `{"spdxVersion":"SPDX-2.3","dataLicense":"CC0-1.0","SPDXID":"SPDXRef-DOCUMENT","name":"m","documentNamespace":"https://example.com/m",
		"creationInfo":{"created":"2026-01-02T03:04:05Z","creators":["Tool: t"]},
		"packages":[{"SPDXID":"SPDXRef-m","name":"m","downloadLocation":"NOASSERTION"}],
		"files":[{"SPDXID":"SPDXRef-f","fileName":"./f","checksums":[{"algorithm":"SHA256","checksumValue":"` + hex64 + `"}]}],
		"relationships":[{"spdxElementId":"SPDXRef-DOCUMENT","relatedSpdxElement":"SPDXRef-m","relationshipType":"DESCRIBES"}]}`,
	artifacttypes.PredicateSPDX3: `{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[
		{"type":"CreationInfo","@id":"_:c","specVersion":"3.0.1","created":"2026-01-02T03:04:05Z","createdBy":["https://example.com/me"]},
		{"type":"SpdxDocument","spdxId":"https://example.com/d","creationInfo":"_:c"}]}`,
	artifacttypes.PredicateScan: `{"scanner":{"name":"modseal","version":"1.0.0","rules":{"sha256":"` + hex64 + `"}},"allowed":["argparse.Namespace"],
		"result":{"verdict":"suspicious","critical":0,"high":0,"medium":1,"low":0,"rules":{"pickle-unknown-global":1}},
		"files":[{"path":"m.pt","size":9,"digest":{"sha256":"` + hex64 + `"},"format":"zip","verdict":"suspicious"}],
		"findings":[{"rule":"pickle-unknown-global","severity":"medium","path":"m.pt","offset":2,"message":"it is on no list"}],"omitted":0}`,
	artifacttypes.PredicateModelCard: `{"modelParameters":{"task":"text-generation","inputs":[{"format":"text"}]},"considerations":{"users":["all"]}}`,
}

const hex64 = "0000000000000000000000000000000000000000000000000000000000000001"

func attest(predicateType, predicate string) error {
	_, err := statement.Attestation(digest.FromString("m"), predicateType, []byte(predicate))
	return err
}

func TestShapesTakeWhatIsWhole(t *testing.T) {
	t.Parallel()
	for predicateType, predicate := range whole {
		if err := attest(predicateType, predicate); err != nil {
			t.Errorf("%s: %v", predicateType, err)
		}
	}
	for _, spdx := range []string{whole[artifacttypes.PredicateSPDX3], strings.Replace(whole[artifacttypes.PredicateSPDX], "2.3", "2.2", 1)} {
		if err := attest(artifacttypes.PredicateSPDX, spdx); err != nil {
			t.Errorf("SPDX by its old name: %v", err)
		}
	}
	const old = `{"@context":"https://openvex.dev/ns","@id":"https://example.com/1","author":"A","timestamp":"2026-01-02T03:04:05Z","version":"1","statements":[{"vulnerability":"CVE-2026-1","status":"fixed"}]}`
	if err := attest(artifacttypes.PredicateOpenVEX, old); err != nil {
		t.Errorf("OpenVEX before 0.2.0: %v", err)
	}
}

// Each row changes a whole document in one place.
var misshapen = []struct{ predicateType, from, to, want string }{
	{artifacttypes.PredicateSLSAProvenanceV1, `"https://example.com/b"`, `"b"`, `buildDefinition.buildType "b" is no absolute URI`},
	{artifacttypes.PredicateSLSAProvenanceV1, `"https://example.com/ci"`, `"ci"`, `runDetails.builder.id "ci" is no absolute URI`},
	{artifacttypes.PredicateSLSAProvenanceV1, `"internalParameters":{}`, `"internalParameters":[]`, "buildDefinition.internalParameters is no object"},
	{artifacttypes.PredicateSLSAProvenanceV1, `"2026-01-02T03:04:05Z"`, `"yesterday"`, `runDetails.metadata.startedOn "yesterday" is no time`},
	{artifacttypes.PredicateSLSAProvenanceV1, `"uri":"git+https://example.com/r","digest":{"gitCommit":"0000000000000000000000000000000000000001"}`, `"name":"r"`, "buildDefinition.resolvedDependencies[0] has none of uri, digest, content"},
	{artifacttypes.PredicateSLSAProvenanceV1, `"content":"aGk="`, `"digest":{"sha256":1}`, "runDetails.byproducts[0].digest.sha256 is empty, or no text"},
	{artifacttypes.PredicateSLSAProvenanceV02, `"materials":[{`, `"materials":[1,{`, "materials[0] is no object"},
	{artifacttypes.PredicateSLSAProvenanceV02, `"materials":[{"uri":"git+https://example.com/r","digest":{"sha1":"00000000"}}]`, `"materials":[{"digest":{"sha1":"XY"}}]`, `materials[0].digest.sha1 "XY" is not a digest`},
	{artifacttypes.PredicateSLSAProvenanceV02, `"entryPoint":"e"`, `"entryPoint":{}`, "invocation.configSource.entryPoint is empty, or no text"},
	{artifacttypes.PredicateLink, `"name":"train"`, `"Name":"train"`, `name is missing (there is "Name")`},
	{artifacttypes.PredicateLink, `"command":["python"]`, `"command":"python"`, "command is no list"},
	{artifacttypes.PredicateOpenVEX, `"https://openvex.dev/ns/v0.2.0"`, `"https://example.com"`, "@context"},
	{artifacttypes.PredicateOpenVEX, `"version":1`, `"version":0`, "version 0 is no whole number from 1"},
	{artifacttypes.PredicateOpenVEX, `"version":1`, `"version":1.5`, "version 1.5 is no whole number from 1"},
	{artifacttypes.PredicateOpenVEX, `"version":1`, `"version":"one"`, `version "one" is not a whole number`},
	{artifacttypes.PredicateOpenVEX, `"author":"A"`, `"author":null`, "author is empty, or no text"},
	{artifacttypes.PredicateOpenVEX, `"status":"affected"`, `"status":"maybe"`, `statements[1].status "maybe" is none of`},
	{artifacttypes.PredicateOpenVEX, `,"justification":"component_not_present"`, ``, "statements[0] is not_affected, and has neither"},
	{artifacttypes.PredicateOpenVEX, `,"action_statement":"update"`, ``, "statements[1] is affected, and has no action_statement"},
	{artifacttypes.PredicateVuln, `"scanner":{"uri":"https://example.com/s"}`, `"scanner":{}`, "scanner.uri is missing"},
	{artifacttypes.PredicateVuln, `,"metadata":{"scanStartedOn":"2026-01-02T03:04:05Z"}`, ``, "metadata is missing"},
	{artifacttypes.PredicateCycloneDX, `"CycloneDX"`, `"cyclonedx"`, `bomFormat "cyclonedx" is none of CycloneDX`},
	{artifacttypes.PredicateCycloneDX, `"specVersion":"1.6"`, `"specVersion":1.6`, "specVersion 1.6 is not a version"},
	{artifacttypes.PredicateCycloneDX, `"specVersion":"1.6"`, `"specVersion":"2.0"`, `specVersion "2.0" is not a version`},
	{artifacttypes.PredicateCycloneDX, `urn:uuid:`, `uuid:`, "serialNumber"},
	{artifacttypes.PredicateCycloneDX, `"type":"machine-learning-model"`, `"type":"model"`, `metadata.component.type "model" is none of`},
	{artifacttypes.PredicateCycloneDX, `"type":"supervised"`, `"type":"hard"`, "metadata.component.modelCard.modelParameters.approach.type"},
	{artifacttypes.PredicateCycloneDX, `"type":"data","name":"b"`, `"type":"data"`, "components[0].components[0].name is missing"},
	{artifacttypes.PredicateCycloneDX, hex64, "abc", `components[0].hashes[0].content "abc" is not a digest`},
	{artifacttypes.PredicateCycloneDX, `"bom-ref":"b"`, `"bom-ref":"model"`, `components[0].components[0].bom-ref "model" is that of metadata.component, too`},
	{artifacttypes.PredicateCycloneDX, `"ref":"model",`, ``, "dependencies[0].ref is missing"},
	{artifacttypes.PredicateSPDX, `"SPDX-2.3"`, `"SPDX-3.0"`, "spdxVersion"},
	{artifacttypes.PredicateSPDX, `"CC0-1.0"`, `"MIT"`, "dataLicense"},
	{artifacttypes.PredicateSPDX, `"SPDXRef-DOCUMENT","name"`, `"DOCUMENT","name"`, "SPDXID"},
	{artifacttypes.PredicateSPDX, `"https://example.com/m"`, `"m"`, "documentNamespace"},
	{artifacttypes.PredicateSPDX, `["Tool: t"]`, `[]`, "creationInfo.creators is empty"},
	{artifacttypes.PredicateSPDX, `["Tool: t"]`, `["t"]`, `creationInfo.creators[0] "t" is not a creator`},
	{artifacttypes.PredicateSPDX, `,"downloadLocation":"NOASSERTION"`, ``, "packages[0].downloadLocation is missing"},
	{artifacttypes.PredicateSPDX, `"SPDXRef-f"`, `"f"`, "files[0].SPDXID"},
	{artifacttypes.PredicateSPDX, `"relationshipType":"DESCRIBES"`, `"relationshipType":""`, "relationships[0].relationshipType is empty"},
	{artifacttypes.PredicateSPDX, `"DESCRIBES"`, `"KNOWS"`, `relationships[0].relationshipType "KNOWS" is no relationship that SPDX 2.3 has`},
	{artifacttypes.PredicateSPDX, `"SHA256"`, `"SHA-256"`, `files[0].checksums[0].algorithm "SHA-256" is none of`},
	{artifacttypes.PredicateCycloneDX, `"SHA-256"`, `"SHA256"`, `components[0].hashes[0].alg "SHA256" is none of`},
	{artifacttypes.PredicateSPDX3, `"3.0.1"`, `"three"`, `@graph[0].specVersion "three" is not a version of SPDX 3.0`},
	{artifacttypes.PredicateSPDX3, `["https://example.com/me"]`, `["me"]`, `@graph[0].createdBy[0] "me"`},
	{artifacttypes.PredicateSPDX3, `"creationInfo":"_:c"`, `"creationInfo":{}`, "@graph[1].creationInfo.type is missing"},
	{artifacttypes.PredicateSPDX3, `"type":"SpdxDocument"`, `"type":"a document"`, `@graph[1].type "a document" is not the name of a class`},
	{artifacttypes.PredicateSPDX3, `"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld"`, `"@context":[]`, "@context (a list) is not a context"},
	{artifacttypes.PredicateSPDX3, `"type":"SpdxDocument"`, `"type":"software_Sbom"`, "@graph has 0 elements of type SpdxDocument"},
	{artifacttypes.PredicateSPDX3, `"specVersion":"3.0.1",`, ``, "@graph[0].specVersion is missing"},
	{artifacttypes.PredicateSPDX3, `,"creationInfo":"_:c"`, ``, "@graph[1].creationInfo is missing"},
	{artifacttypes.PredicateSPDX3, `"https://example.com/d"`, `"d"`, "@graph[1].spdxId"},
	{artifacttypes.PredicateScan, `"verdict":"suspicious","critical"`, `"verdict":"fine","critical"`, `result.verdict "fine" is none of clean, suspicious, incomplete, dangerous`},
	{artifacttypes.PredicateScan, `"verdict":"suspicious","critical"`, `"Verdict":"clean","critical"`, `result.verdict is missing (there is "Verdict")`},
	{artifacttypes.PredicateScan, `"high":0,`, ``, "result.high is missing"},
	{artifacttypes.PredicateScan, `"medium":1`, `"medium":-1`, "result.medium -1 is no whole number from 0"},
	{artifacttypes.PredicateScan, `"rules":{"pickle-unknown-global":1}`, `"rules":["pickle"]`, "result.rules is no object"},
	{artifacttypes.PredicateScan, `"digest":{"sha256":"` + hex64 + `"}`, `"digest":{"sha1":"00"}`, "files[0].digest.sha256 is missing"},
	{artifacttypes.PredicateScan, `"format":"zip","verdict":"suspicious"`, `"format":"zip"`, "files[0].verdict is missing"},
	{artifacttypes.PredicateScan, `"severity":"medium"`, `"severity":"MEDIUM"`, "findings[0].severity"},
	{artifacttypes.PredicateScan, `"verdict":"suspicious","critical"`, `"verdict":"clean","critical"`, `result.verdict is "clean", and result.medium is 1`},
	{artifacttypes.PredicateScan, `"high":0,"medium":1`, `"high":1,"medium":0`, `result.verdict is "suspicious", and result.high is 1`},
	{artifacttypes.PredicateScan, `"critical":0`, `"critical":1000000000000000000000000000000`, `result.verdict is "suspicious", and result.critical is 1000000000000000000000000000000`},
	{artifacttypes.PredicateScan, `"format":"zip","verdict":"suspicious"`, `"format":"zip","verdict":"incomplete"`, `result.verdict is "suspicious", and files[0].verdict is "incomplete"`},
	{artifacttypes.PredicateScan, `"medium":1,"low":0`, `"medium":0,"low":1`, "findings has 1 of severity medium, and result.medium is 0"},
	{artifacttypes.PredicateScan, `"rules":{"pickle-unknown-global":1}`, `"rules":{}`, `findings[0].rule is "pickle-unknown-global", which result.rules does not count`},
	{artifacttypes.PredicateScan, `"omitted":0`, `"omitted":1`, "result counts 1 findings, and findings and omitted are 2"},
	{artifacttypes.PredicateScan, `"omitted":0`, `"omitted":null`, "omitted null is no whole number"},
	{artifacttypes.PredicateModelCard, `"task":"text-generation"`, `"task":1`, "modelParameters.task is empty, or no text"},
	{artifacttypes.PredicateModelCard, `"users":["all"]`, `"users":"all"`, "considerations.users is no list"},
}

func TestShapesRefuse(t *testing.T) {
	t.Parallel()
	for _, row := range misshapen {
		changed := strings.Replace(whole[row.predicateType], row.from, row.to, 1)
		if changed == whole[row.predicateType] {
			t.Fatalf("%s: %s is not there", row.predicateType, row.from)
		}
		if err := attest(row.predicateType, changed); !errors.Is(err, statement.ErrInvalid) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s with %s: %v\n\twant %s", row.predicateType, row.to, err, row.want)
		}
	}
	for predicateType, want := range map[string]string{
		artifacttypes.PredicateModelCard: "it has none of modelParameters",
		artifacttypes.PredicateSPDX:      "spdxVersion is missing",
		artifacttypes.PredicateSPDX3:     "@context is missing",
	} {
		if err := attest(predicateType, "{}"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s of nothing: %v", predicateType, err)
		}
	}
}

// What was not read to its end has findings of high severity, and a worse verdict than
// its counts is no better one.
func TestScanOfOtherVerdicts(t *testing.T) {
	t.Parallel()
	for _, row := range [][2]string{
		{`"verdict":"suspicious","critical":0,"high":0,"medium":1`, `"verdict":"incomplete","critical":0,"high":3,"medium":1`},
		{`"verdict":"suspicious","critical":0`, `"verdict":"dangerous","critical":0`},
	} {
		predicate := strings.Replace(whole[artifacttypes.PredicateScan], row[0], row[1], 1)
		if strings.Contains(row[1], `"high":3`) {
			predicate = strings.Replace(predicate, `"omitted":0`, `"omitted":3`, 1)
		}
		if predicate == whole[artifacttypes.PredicateScan] {
			t.Fatalf("%s is not there", row[0])
		}
		if err := attest(artifacttypes.PredicateScan, predicate); err != nil {
			t.Errorf("%s: %v", row[1], err)
		}
	}
}

// Of a claim that somebody signed long ago, only what it says twice is compared.
func TestContradiction(t *testing.T) {
	t.Parallel()
	for predicate, want := range map[string]string{
		`{}`:                       "",
		`{"result":"clean"}`:       "",
		`{"result":{"high":1}}`:    "",
		`{"files":7,"findings":7}`: "",
		`{"result":{"verdict":"fine"},"files":[{"verdict":"dangerous"}]}`:  "",
		`{"result":{"verdict":"clean","high":1}}`:                          "result.high is 1",
		`{"result":{"verdict":"clean","high":1.5}}`:                        "result.high 1.5 is no whole number",
		`{"result":{"verdict":"clean"},"findings":[{"severity":"high"}]}`:  `findings has 1 of severity high: a scan`,
		`{"result":{"low":0},"findings":[{"severity":"low"}]}`:             `findings has 1 of severity low, and result.low is 0`,
		`{"result":{"verdict":"clean"},"files":[{"verdict":"dangerous"}]}`: `files[0].verdict is "dangerous"`,
	} {
		err := statement.Contradiction(artifacttypes.PredicateScan, []byte(predicate))
		if (err == nil) != (want == "") || err != nil && (!errors.Is(err, statement.ErrInvalid) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", predicate, err, want)
		}
	}
	if err := statement.Contradiction(artifacttypes.PredicateVuln, []byte(`{"result":{"verdict":"clean","high":1}}`)); err != nil {
		t.Errorf("of another type: %v", err)
	}
}

// The published schema of OpenVEX takes what passes here, and refuses what is
// refused here of a version 0.2.0.
func TestOpenVEXAsItsSchema(t *testing.T) {
	t.Parallel()
	schema, err := jsonschema.NewCompiler().Compile("testdata/openvex_json_schema_0.2.0.json")
	if err != nil {
		t.Fatal(err)
	}
	conforms := func(doc string) error {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(doc))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(v)
	}
	if err := conforms(whole[artifacttypes.PredicateOpenVEX]); err != nil {
		t.Error(err)
	}
	for _, row := range misshapen {
		// Any text is a context to the schema.
		if row.predicateType != artifacttypes.PredicateOpenVEX || row.want == "@context" {
			continue
		}
		if conforms(strings.Replace(whole[row.predicateType], row.from, row.to, 1)) == nil {
			t.Errorf("the schema takes what is refused here: %s", row.to)
		}
	}
	if _, err := os.Stat("testdata/README.md"); err != nil {
		t.Error("testdata does not say where the schema is from")
	}
}
