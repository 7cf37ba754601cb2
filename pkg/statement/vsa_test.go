package statement_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/statement"
)

// fullVSA says everything that a verification summary can say.
func fullVSA() *statement.VSA {
	return &statement.VSA{
		Verifier:     "https://promoter.example.com/production",
		Version:      map[string]string{"modseal": "v1.2.3", "policy": "7"},
		TimeVerified: time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC),
		Resource:     "oci://registry.example.com/team/demo@" + digest.FromString("m").String(),
		Policy:       statement.ResourceDescriptor{URI: "https://example.com/policy.yaml", Digest: map[string]string{"sha256": "aa"}},
		Inputs: []statement.ResourceDescriptor{
			{URI: "oci://registry.example.com/team/demo@sha256:bb", Digest: map[string]string{"sha256": "bb"}},
			{Digest: map[string]string{"sha256": "cc", "sha512": "dd"}},
		},
		Result:       statement.ResultPassed,
		Levels:       []string{"SLSA_BUILD_LEVEL_3", "MODSEAL_POLICY_PASSED"},
		Dependencies: map[string]uint64{"SLSA_BUILD_LEVEL_3": 5, "SLSA_BUILD_LEVEL_2": 0},
		SLSAVersion:  "1.1",
	}
}

func TestVSAIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	d := digest.FromString("m")
	least := &statement.VSA{
		Verifier: "urn:example:v", Resource: "oci://r.example/m", Policy: statement.ResourceDescriptor{URI: "policy.yaml"},
		Result: statement.ResultFailed, Levels: []string{"FAILED"},
	}
	none := fullVSA()
	none.Dependencies = map[string]uint64{} // says that there are none, which nil does not
	for name, v := range map[string]*statement.VSA{"full": fullVSA(), "least": least, "no dependencies": none} {
		payload, err := v.Payload(d)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		again, err := v.Payload(d)
		if err != nil || !bytes.Equal(payload, again) {
			t.Errorf("%s: other bytes the second time: %v", name, err)
		}
		h, err := statement.ParseHeader(payload)
		if err != nil || h.Type != artifacttypes.StatementTypeV1 || h.PredicateType != artifacttypes.PredicateVSA || !h.Names(d) {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
		got, err := statement.ParseVSA(payload)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(v, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if !v.Same(got) || got.Passed() != (name != "least") {
			t.Errorf("%s: not the same", name)
		}
	}
}

// The wire form, field by field, in the spelling of the specification.
func TestVSAOnTheWire(t *testing.T) {
	t.Parallel()
	got, err := fullVSA().Predicate()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"verifier":{"id":"https://promoter.example.com/production","version":{"modseal":"v1.2.3","policy":"7"}},` +
		`"timeVerified":"2026-01-02T03:04:05.000000678Z",` +
		`"resourceUri":"oci://registry.example.com/team/demo@` + digest.FromString("m").String() + `",` +
		`"policy":{"uri":"https://example.com/policy.yaml","digest":{"sha256":"aa"}},` +
		`"inputAttestations":[{"uri":"oci://registry.example.com/team/demo@sha256:bb","digest":{"sha256":"bb"}},{"digest":{"sha256":"cc","sha512":"dd"}}],` +
		`"verificationResult":"PASSED","verifiedLevels":["SLSA_BUILD_LEVEL_3","MODSEAL_POLICY_PASSED"],` +
		`"dependencyLevels":{"SLSA_BUILD_LEVEL_2":0,"SLSA_BUILD_LEVEL_3":5},"slsaVersion":"1.1"}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What other verifiers write, and the examples of the specification in their
// versions.
func TestReadVSAOfOthers(t *testing.T) {
	t.Parallel()
	const rest = `"resourceUri":"https://example.com/example-1.2.3.tar.gz","policy":{"uri":"https://example.com/example_tarball.policy","digest":{"sha256":"1234..."}},` +
		`"inputAttestations":[{"uri":"https://example.com/provenances/example-1.2.3.tar.gz.intoto.jsonl","digest":{"sha256":"abcd..."}}],` +
		`"verificationResult":"PASSED","verifiedLevels":["SLSA_BUILD_LEVEL_3"],"dependencyLevels":{"SLSA_BUILD_LEVEL_3":5,"SLSA_BUILD_LEVEL_2":7,"SLSA_BUILD_LEVEL_1":1},"slsaVersion":"1.0"}`
	const verifier = `{"verifier":{"id":"https://example.com/publication_verifier"}`
	for name, predicate := range map[string]string{
		"v1.0": verifier + `,"timeVerified":"1985-04-12T23:20:50.52Z",` + rest,
		"v1.1": `{"verifier":{"id":"https://example.com/publication_verifier","version":{"slsa-verifier-linux-amd64":"v2.3.0"}},` + rest, // the time is optional
		"nulls": verifier + `,"timeVerified":null,"dependencyLevels":null,"inputAttestations":null,"slsaVersion":null,` +
			`"resourceUri":"x://y","policy":{"uri":"p","digest":null},"verificationResult":"PASSED","verifiedLevels":[]}`,
		"numbers as texts":     strings.Replace(verifier+","+rest, `"SLSA_BUILD_LEVEL_3":5`, `"SLSA_BUILD_LEVEL_3":"5"`, 1),
		"unknown fields":       strings.Replace(verifier+","+rest, `"slsaVersion"`, `"https://example.com/more":{"a":[1]},"Verifier":{"id":7},"slsaVersion"`, 1),
		"two levels of one":    strings.Replace(verifier+","+rest, `["SLSA_BUILD_LEVEL_3"]`, `["SLSA_BUILD_LEVEL_1","SLSA_BUILD_LEVEL_2","OTHER"]`, 1),
		"a level to come":      strings.Replace(verifier+","+rest, `["SLSA_BUILD_LEVEL_3"]`, `["SLSA_SOMETHING_NEW"]`, 1),
		"a time with a zone":   verifier + `,"timeVerified":"1985-04-12T23:20:50+02:00",` + rest,
		"a failure of a level": strings.Replace(strings.Replace(verifier+","+rest, "PASSED", "FAILED", 1), `["SLSA_BUILD_LEVEL_3"]`, `["SLSA_BUILD_LEVEL_1"]`, 1),
	} {
		v, err := statement.ReadVSA([]byte(predicate))
		if err != nil || v.Verifier != "https://example.com/publication_verifier" {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
	v, err := statement.ReadVSA([]byte(verifier + `,"timeVerified":"1985-04-12T23:20:50.52Z",` + rest))
	if err != nil {
		t.Fatal(err)
	}
	want := &statement.VSA{
		Verifier: "https://example.com/publication_verifier", TimeVerified: time.Date(1985, 4, 12, 23, 20, 50, 520_000_000, time.UTC),
		Resource: "https://example.com/example-1.2.3.tar.gz",
		Policy:   statement.ResourceDescriptor{URI: "https://example.com/example_tarball.policy", Digest: map[string]string{"sha256": "1234..."}},
		Inputs:   []statement.ResourceDescriptor{{URI: "https://example.com/provenances/example-1.2.3.tar.gz.intoto.jsonl", Digest: map[string]string{"sha256": "abcd..."}}},
		Result:   "PASSED", Levels: []string{"SLSA_BUILD_LEVEL_3"},
		Dependencies: map[string]uint64{"SLSA_BUILD_LEVEL_3": 5, "SLSA_BUILD_LEVEL_2": 7, "SLSA_BUILD_LEVEL_1": 1}, SLSAVersion: "1.0",
	}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// edited returns the full predicate with one text exchanged.
func edited(t testing.TB, old, with string) []byte {
	t.Helper()
	text, err := fullVSA().Predicate()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("nothing to replace: %s", old)
	}
	return []byte(strings.Replace(string(text), old, with, 1))
}

func TestReadVSARefuses(t *testing.T) {
	t.Parallel()
	many := func(format string, n int) string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf(format, i))
		}
		return strings.Join(out, ",")
	}
	long := strings.Repeat("x", limits.VSATextBytes+1)
	for name, row := range map[string]struct{ old, with, want string }{
		"no verifier":                {`"verifier":{"id":"https://promoter.example.com/production","version":{"modseal":"v1.2.3","policy":"7"}},`, "", "verifier is missing"},
		"a verifier in capitals":     {`"verifier"`, `"Verifier"`, `verifier is missing (there is "Verifier")`},
		"a verifier as text":         {`"verifier":{"id":"https://promoter.example.com/production","version":{"modseal":"v1.2.3","policy":"7"}}`, `"verifier":"me"`, "verifier is no object"},
		"a verifier without id":      {`"id":"https://promoter.example.com/production",`, "", "verifier.id is missing"},
		"an empty id":                {`"https://promoter.example.com/production"`, `""`, "verifier.id is empty"},
		"an id that is a number":     {`"https://promoter.example.com/production"`, `7`, "verifier.id is empty, or no text"},
		"an id that is null":         {`"https://promoter.example.com/production"`, `null`, "verifier.id is missing"},
		"an id without end":          {`https://promoter.example.com/production`, long, "verifier.id has"},
		"a version as text":          {`{"modseal":"v1.2.3","policy":"7"}`, `"v1"`, "verifier.version is no object"},
		"a version of numbers":       {`"v1.2.3"`, `1`, "verifier.version.modseal is empty, or no text"},
		"too many versions":          {`"modseal":"v1.2.3"`, many(`"p%d":"v"`, limits.VSALevels+1), "more than"},
		"a version of a long name":   {`"modseal":`, `"` + long + `":`, "has a name of"},
		"no time such":               {`"2026-01-02T03:04:05.000000678Z"`, `"yesterday"`, "is no time"},
		"a time of seconds":          {`"2026-01-02T03:04:05.000000678Z"`, `1767322800`, "timeVerified is empty, or no text"},
		"a day":                      {`"2026-01-02T03:04:05.000000678Z"`, `"2026-01-02"`, "is no time"},
		"a time without zone":        {`03:04:05.000000678Z`, `03:04:05`, "is no time"},
		"the beginning of all times": {`2026-01-02T03:04:05.000000678Z`, `0001-01-01T00:00:00Z`, "is no time"},
		"no resource":                {`"resourceUri"`, `"resource"`, "resourceUri is missing"},
		"an empty resource":          {`"oci://registry.example.com/team/demo@` + digest.FromString("m").String() + `"`, `""`, "resourceUri is empty"},
		"a list of resources":        {`"oci://registry.example.com/team/demo@` + digest.FromString("m").String() + `"`, `["a"]`, "resourceUri is empty, or no text"},
		"no policy":                  {`"policy":{"uri"`, `"policies":{"uri"`, "policy is missing"},
		"a policy as text":           {`{"uri":"https://example.com/policy.yaml","digest":{"sha256":"aa"}}`, `"p"`, "policy is no object"},
		"a policy without uri":       {`"uri":"https://example.com/policy.yaml",`, "", "policy.uri is missing"},
		"a digest as text":           {`{"sha256":"aa"}`, `"sha256:aa"`, "policy.digest is no object"},
		"a digest as number":         {`"aa"`, `12`, "policy.digest.sha256 is empty, or no text"},
		"too many digests":           {`"sha256":"aa"`, many(`"d%d":"v"`, limits.SubjectDigests+1), "more than"},
		"inputs as an object":        {`"inputAttestations":[`, `"inputAttestations":{"a":[`, "not JSON"},
		"inputs as text":             {`"inputAttestations":[{"uri":"oci://registry.example.com/team/demo@sha256:bb","digest":{"sha256":"bb"}},{"digest":{"sha256":"cc","sha512":"dd"}}]`, `"inputAttestations":"all"`, "inputAttestations is no list"},
		"an input without digest":    {`{"digest":{"sha256":"cc","sha512":"dd"}}`, `{"uri":"x"}`, "inputAttestations 1 has no digest"},
		"an input of no digests":     {`{"sha256":"cc","sha512":"dd"}`, `{}`, "inputAttestations 1 has no digest"},
		"an input as text":           {`{"digest":{"sha256":"cc","sha512":"dd"}}`, `"sha256:cc"`, "inputAttestations 1 is no object"},
		"an input that is null":      {`{"digest":{"sha256":"cc","sha512":"dd"}}`, `null`, "inputAttestations 1 is no object"},
		"too many inputs":            {`{"digest":{"sha256":"cc","sha512":"dd"}}`, many(`{"digest":{"a":"%d"}}`, limits.VSAInputs), "inputAttestations has"},
		"no result":                  {`"verificationResult":"PASSED",`, "", "verificationResult is missing"},
		"a result in small letters":  {`"PASSED"`, `"passed"`, "neither PASSED nor FAILED"},
		"a result that is true":      {`"PASSED"`, `true`, "verificationResult is empty, or no text"},
		"another result":             {`"PASSED"`, `"WARNED"`, "neither PASSED nor FAILED"},
		"no levels":                  {`"verifiedLevels"`, `"levels"`, "verifiedLevels is missing"},
		"a level as text":            {`["SLSA_BUILD_LEVEL_3","MODSEAL_POLICY_PASSED"]`, `"SLSA_BUILD_LEVEL_3"`, "verifiedLevels is no list"},
		"a level as number":          {`"MODSEAL_POLICY_PASSED"`, `3`, "verifiedLevels 1 is empty, or no text"},
		"an empty level":             {`"MODSEAL_POLICY_PASSED"`, `""`, "verifiedLevels 1 is empty"},
		"too many levels":            {`"MODSEAL_POLICY_PASSED"`, many(`"L%d"`, limits.VSALevels), "verifiedLevels has"},
		"passed and failed":          {`"MODSEAL_POLICY_PASSED"`, `"FAILED"`, "contradicts itself"},
		"dependencies as list":       {`{"SLSA_BUILD_LEVEL_2":0,"SLSA_BUILD_LEVEL_3":5}`, `[5]`, "dependencyLevels is no object"},
		"fewer than no dependencies": {`"SLSA_BUILD_LEVEL_3":5`, `"SLSA_BUILD_LEVEL_3":-5`, "is no number of dependencies"},
		"half a dependency":          {`"SLSA_BUILD_LEVEL_3":5`, `"SLSA_BUILD_LEVEL_3":5.5`, "is no number of dependencies"},
		"endless dependencies":       {`"SLSA_BUILD_LEVEL_3":5`, `"SLSA_BUILD_LEVEL_3":18446744073709551616`, "is no number of dependencies"},
		"too many kinds of them":     {`"SLSA_BUILD_LEVEL_3":5`, many(`"L%d":1`, limits.VSALevels), "dependencyLevels has"},
		"a version as number":        {`"slsaVersion":"1.1"`, `"slsaVersion":1.1`, "slsaVersion is empty, or no text"},
		"a key twice":                {`"verificationResult":"PASSED"`, `"verificationResult":"FAILED","verificationResult":"PASSED"`, "twice"},
		"a key twice, below":         {`"sha256":"aa"`, `"sha256":"aa","sha256":"bb"`, "twice"},
		"a key twice, elsewhere":     {`"slsaVersion"`, `"x":[{"a":1,"a":2}],"slsaVersion"`, "twice"},
		"too deep":                   {`"slsaVersion"`, `"x":` + strings.Repeat("[", limits.JSONDepth) + strings.Repeat("]", limits.JSONDepth) + `,"slsaVersion"`, "nested"},
		"too large":                  {`"slsaVersion"`, `"x":"` + strings.Repeat("x", limits.VSABytes) + `","slsaVersion"`, "more than"},
		"bad UTF-8":                  {`"slsaVersion"`, "\"x\":\"\xff\",\"slsaVersion\"", "UTF-8"},
	} {
		predicate := edited(t, row.old, row.with)
		v, err := statement.ReadVSA(predicate)
		if !errors.Is(err, statement.ErrInvalid) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
		// Whoever signs one is not let write it, either.
		if _, err := statement.Attestation(digest.FromString("m"), artifacttypes.PredicateVSA, predicate); !errors.Is(err, statement.ErrInvalid) {
			t.Errorf("%s: attested: %v", name, err)
		}
	}
	for _, bad := range []string{"", "[]", "null", `"x"`, "{} {}"} {
		if _, err := statement.ReadVSA([]byte(bad)); !errors.Is(err, statement.ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// Whoever signs one is held to all that the specification demands.
func TestVSAIsNotWrittenOtherwise(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		edit func(v *statement.VSA)
		want string
	}{
		"no verifier":         {func(v *statement.VSA) { v.Verifier = "" }, "verifier.id is empty"},
		"a name as verifier":  {func(v *statement.VSA) { v.Verifier = "me" }, `verifier.id "me" is no absolute URI`},
		"a path as verifier":  {func(v *statement.VSA) { v.Verifier = "/v" }, "is no absolute URI"},
		"a verifier of blank": {func(v *statement.VSA) { v.Verifier = "https://a b" }, "is no absolute URI"},
		"no resource":         {func(v *statement.VSA) { v.Resource = "" }, "resourceUri is empty"},
		"a resource of blank": {func(v *statement.VSA) { v.Resource = "oci://r.example/a b" }, "characters that a URI does not have"},
		"no policy":           {func(v *statement.VSA) { v.Policy.URI = "" }, "policy.uri is missing"},
		"no result":           {func(v *statement.VSA) { v.Result = "" }, "verificationResult is empty"},
		"an input of nothing": {func(v *statement.VSA) { v.Inputs = append(v.Inputs, statement.ResourceDescriptor{URI: "x"}) }, "inputAttestations 2 has no digest"},
		"two of one track":    {func(v *statement.VSA) { v.Levels = []string{"SLSA_BUILD_LEVEL_1", "SLSA_BUILD_LEVEL_3"} }, "of one track"},
		"not evaluated, too":  {func(v *statement.VSA) { v.Levels = []string{"SLSA_BUILD_LEVEL_UNEVALUATED", "SLSA_BUILD_LEVEL_3"} }, "of one track"},
		"a level twice":       {func(v *statement.VSA) { v.Levels = []string{"A", "A"} }, "twice"},
		"a level of SLSA's":   {func(v *statement.VSA) { v.Levels = []string{"SLSA_MINE"} }, "SLSA's own"},
		"passed and failed":   {func(v *statement.VSA) { v.Levels = []string{"FAILED"} }, "contradicts itself"},
		"a version of words":  {func(v *statement.VSA) { v.SLSAVersion = "newest" }, "is no version such as 1.1"},
	} {
		v := fullVSA()
		row.edit(v)
		payload, err := v.Payload(digest.FromString("m"))
		if !errors.Is(err, statement.ErrInvalid) || !strings.Contains(err.Error(), row.want) || payload != nil {
			t.Errorf("%s: %d bytes, %v", name, len(payload), err)
		}
	}
	if _, err := fullVSA().Payload("sha256:zz"); err == nil {
		t.Error("a summary about no digest")
	}
	zoned := edited(t, "05.000000678Z", "05+02:00")
	if _, err := statement.Attestation(digest.FromString("m"), artifacttypes.PredicateVSA, zoned); !errors.Is(err, statement.ErrInvalid) || !strings.Contains(err.Error(), "UTC") {
		t.Errorf("a time in another zone: %v", err)
	}
	for _, levels := range [][]string{{"SLSA_BUILD_LEVEL_1", "SLSA_SOURCE_LEVEL_2"}, {"SLSA_BUILD_LEVEL_UNEVALUATED"}, nil} {
		v := fullVSA()
		if v.Levels = levels; levels == nil {
			v.Result = statement.ResultFailed
		}
		if _, err := v.Payload(digest.FromString("m")); err != nil {
			t.Errorf("%v: %v", levels, err)
		}
	}
}

func TestParseVSAWantsItsType(t *testing.T) {
	t.Parallel()
	payload, err := statement.Attestation(digest.FromString("m"), customType, edited(t, "PASSED", "PASSED"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := statement.ParseVSA(payload); !errors.Is(err, statement.ErrInvalid) || !strings.Contains(err.Error(), customType) {
		t.Errorf("another type: %v", err)
	}
	if _, err := statement.ParseVSA([]byte("{}")); !errors.Is(err, statement.ErrInvalid) {
		t.Errorf("no statement: %v", err)
	}
}

func TestVSASame(t *testing.T) {
	t.Parallel()
	same := map[string]func(v *statement.VSA){
		"another time":  func(v *statement.VSA) { v.TimeVerified = time.Now() },
		"no time":       func(v *statement.VSA) { v.TimeVerified = time.Time{} },
		"other order":   func(v *statement.VSA) { v.Inputs[0], v.Inputs[1] = v.Inputs[1], v.Inputs[0] },
		"other levels'": func(v *statement.VSA) { v.Levels[0], v.Levels[1] = v.Levels[1], v.Levels[0] },
	}
	other := map[string]func(v *statement.VSA){
		"verifier":           func(v *statement.VSA) { v.Verifier += "x" },
		"version":            func(v *statement.VSA) { v.Version["modseal"] = "v2" },
		"no version":         func(v *statement.VSA) { v.Version = nil },
		"resource":           func(v *statement.VSA) { v.Resource += "x" },
		"policy":             func(v *statement.VSA) { v.Policy.URI += "x" },
		"policy's digest":    func(v *statement.VSA) { v.Policy.Digest = map[string]string{"sha256": "ab"} },
		"no input":           func(v *statement.VSA) { v.Inputs = nil },
		"one input":          func(v *statement.VSA) { v.Inputs = v.Inputs[:1] },
		"another input":      func(v *statement.VSA) { v.Inputs[1].Digest = map[string]string{"sha256": "cc"} },
		"an input elsewhere": func(v *statement.VSA) { v.Inputs[0].URI = "" },
		"result":             func(v *statement.VSA) { v.Result = statement.ResultFailed },
		"fewer levels":       func(v *statement.VSA) { v.Levels = v.Levels[:1] },
		"another level":      func(v *statement.VSA) { v.Levels[1] = "X" },
		"dependencies":       func(v *statement.VSA) { v.Dependencies["SLSA_BUILD_LEVEL_3"] = 6 },
		"no dependency":      func(v *statement.VSA) { v.Dependencies = map[string]uint64{} },
		"version of SLSA":    func(v *statement.VSA) { v.SLSAVersion = "1.0" },
	}
	for name, edit := range same {
		v := fullVSA()
		if edit(v); !v.Same(fullVSA()) || !fullVSA().Same(v) {
			t.Errorf("%s: another claim", name)
		}
	}
	for name, edit := range other {
		v := fullVSA()
		if edit(v); v.Same(fullVSA()) || fullVSA().Same(v) {
			t.Errorf("%s: the same claim", name)
		}
	}
	unsaid, none := fullVSA(), fullVSA()
	unsaid.Dependencies, none.Dependencies = nil, map[string]uint64{}
	if unsaid.Same(none) || none.Same(unsaid) {
		t.Error("nothing said of dependencies is the same as that there are none")
	}
}

func FuzzReadVSA(f *testing.F) {
	full, err := fullVSA().Predicate()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full)
	f.Add([]byte(vsa))
	f.Add([]byte(`{"verifier":{"id":"a:b"},"resourceUri":"r","policy":{"uri":"p"},"verificationResult":"FAILED","verifiedLevels":["FAILED"],"dependencyLevels":{"x":"7"}}`))
	f.Fuzz(func(t *testing.T, predicate []byte) {
		v, err := statement.ReadVSA(predicate)
		if err != nil {
			if !errors.Is(err, statement.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		// encoding/json sees the same result, in the same letter case.
		var doc map[string]json.RawMessage
		if err := json.Unmarshal(predicate, &doc); err != nil {
			t.Fatal(err)
		}
		var result string
		if err := json.Unmarshal(doc["verificationResult"], &result); err != nil || result != v.Result {
			t.Fatalf("result %q, encoding/json has %q", v.Result, result)
		}
		written, err := v.Predicate()
		if err != nil {
			t.Fatal(err)
		}
		v.TimeVerified = v.TimeVerified.UTC()
		if y := v.TimeVerified.Year(); y < 1 || y > 9999 {
			return // in another zone it is a year of four digits
		}
		again, err := statement.ReadVSA(written)
		if err != nil || !v.Same(again) || !v.TimeVerified.Equal(again.TimeVerified) {
			t.Fatalf("%s: reads as %+v, and before as %+v: %v", written, again, v, err)
		}
	})
}
