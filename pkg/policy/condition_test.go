package policy_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modseal/modseal/pkg/policy"
)

const modelConfig = `{
  "descriptor": {"name": "m", "version": "1.2.0", "licenses": ["MIT"], "createdAt": "2026-01-01T00:00:00Z"},
  "config": {"architecture": "transformer", "capabilities": {"reasoning": false}},
  "modelfs": {"type": "layers", "diffIds": ["sha256:00"]}
}`

const provenance = `{
  "buildDefinition": {
    "buildType": "https://ci.example/train/v1",
    "externalParameters": {"source": "git+https://git.example/team/model@refs/heads/main"},
    "resolvedDependencies": [{"uri": "pkg:huggingface/base", "digest": {"sha256": "aa"}}]
  },
  "runDetails": {"builder": {"id": "https://ci.example/runner"}, "metadata": {"finishedOn": "2026-01-01T12:00:00Z"}},
  "score": 7, "ratio": 0.5, "big": 9007199254740993
}`

func artifact() policy.Artifact {
	return policy.Artifact{
		Reference: "mirror.example/team/model:v1", Subject: "registry.example.com/team/model", Digest: "sha256:00",
		Annotations: map[string]string{"org.opencontainers.image.licenses": "MIT"},
		Config:      []byte(modelConfig),
		Files: []policy.File{
			{Name: "model.safetensors", Size: 10, Role: "weight", Digest: "sha256:11", MediaType: "application/vnd.cncf.model.weight.v1.raw"},
			{Name: "config.json", Size: 2, Role: "weight.config"},
		},
		Now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

func facts(t *testing.T, a policy.Artifact) *policy.Facts {
	t.Helper()
	f, err := policy.NewFacts(a)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func about(t *testing.T, predicate string) *policy.Facts {
	t.Helper()
	f, err := facts(t, artifact()).About(policy.Attestation{
		PredicateType: "https://slsa.dev/provenance/v1", Predicate: []byte(predicate),
		Signer: policy.SignerFacts{Name: "ci", Identity: "https://ci.example/runner", Issuer: "https://issuer.example", Extensions: map[string]string{"sourceRepositoryURI": "https://git.example/team/model"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// attested compiles a condition on provenance.
func attested(t *testing.T, expression string) policy.Condition {
	t.Helper()
	c, err := policy.AttestationCondition("", expression, "https://slsa.dev/provenance/v1")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConditionsHold(t *testing.T) {
	t.Parallel()
	for _, expression := range []string{
		"files.all(f, !f.name.endsWith('.pkl'))",
		"files.filter(f, f.role == 'weight').map(f, f.size).exists(s, s == 10)",
		"files.map(f, f.size).size() == 2 && math.greatest(files.map(f, f.size)) == 10",
		"config.licenses.hasOnly(['MIT', 'Apache-2.0'])",
		"sets.contains(['MIT', 'Apache-2.0'], config.licenses)",
		"config.descriptor.version == '1.2.0' && config.version.startsWith('1.')",
		"config.architecture == 'transformer' && !config.capabilities.reasoning && config.modelfs.type == 'layers'",
		"config.?vendor.orValue('nobody') == 'nobody' && !has(config.vendor)",
		"timestamp(config.createdAt) > now - duration('48h')",
		"annotations['org.opencontainers.image.licenses'] == 'MIT'",
		"subject.startsWith('registry.example.com/') && reference.startsWith('mirror.example/') && digest.startsWith('sha256:')",
		"now > timestamp('2026-01-01T00:00:00Z')",
		"predicate.score == 7 && predicate.score > 6.5 && predicate.ratio < 1 && predicate.big == 9007199254740993",
		"provenance.buildDefinition.resolvedDependencies.all(d, has(d.digest.sha256))",
		"provenance.buildDefinition.externalParameters.source.matches('^git[+]https://git[.]example/team/.*$')",
		"provenance == predicate && predicateType == 'https://slsa.dev/provenance/v1'",
		"signer.name == 'ci' && signer.fingerprint == '' && signer.issuer == 'https://issuer.example'",
		"signer.extensions['sourceRepositoryURI'] == 'https://git.example/team/model'",
		"now - timestamp(predicate.runDetails.metadata.finishedOn) < duration('24h')",
		"'a,b'.split(',').join('-') == 'a-b' && 'abc'.replace('b', '').size() == 2",
		"lists.range(3).sort() == [0, 1, 2] && [[1], [2]].flatten().distinct().size() == 2",
	} {
		if err := attested(t, expression).Eval(t.Context(), about(t, provenance)); err != nil {
			t.Errorf("%s: %v", expression, err)
		}
	}
}

func TestConditionsDoNotHold(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		expression string
		isFalse    bool
		want       string
	}{
		"false":                    {"files.exists(f, f.name.endsWith('.pkl'))", true, "is false"},
		"what is not there":        {"config.vendor == 'x'", false, "no such key: vendor"},
		"misspelt key":             {"config.licences.size() > 0", false, "no such key: licences"},
		"index":                    {"config.licenses[7] == 'x'", false, "index out of bounds"},
		"wrong type":               {"config.licenses > 7", false, "no such overload"},
		"no truth":                 {"config.name", false, "no truth"},
		"division":                 {"1 / (config.licenses.size() - 1) == 1", false, "division by zero"},
		"overflow":                 {"9223372036854775807 + files.size() > 0", false, "overflow"},
		"bad time":                 {"timestamp(config.name) < now", false, ""},
		"either is false or wrong": {"config.vendor == 'x' || config.name == 'other'", false, "no such key: vendor"},
		"a double is not its text": {"predicate.ratio == '0.5'", true, "is false"},
		"long text in a message":   {"config.name[predicate.buildDefinition.buildType + '" + strings.Repeat("x", 2000) + "'] == 'x'", false, ""},
	} {
		c := attested(t, row.expression)
		err := c.Eval(t.Context(), about(t, provenance))
		var e *policy.ConditionError
		switch {
		case !errors.As(err, &e):
			t.Errorf("%s: %v", name, err)
		case e.False != row.isFalse || !strings.Contains(err.Error(), row.want) || !e.Condition.Equal(c):
			t.Errorf("%s: %v, false %t", name, err, e.False)
		case len(e.Why) > 600:
			t.Errorf("%s: %d bytes say why", name, len(e.Why))
		}
	}
}

func TestConditionsWithoutWhatTheyAskFor(t *testing.T) {
	t.Parallel()
	bare := artifact()
	bare.Config = nil
	for expression, want := range map[string]string{
		"config.name == 'm'":                   "the config of the model was not read",
		"config.name == 'm' || true":           "the config of the model was not read",
		"files.size() == 2 || config.x.y == 1": "the config of the model was not read",
	} {
		c, err := policy.ArtifactCondition("", expression)
		if err != nil {
			t.Fatal(err)
		}
		if !c.NeedsConfig() {
			t.Errorf("%s: needs no config", expression)
		}
		if err := c.Eval(t.Context(), facts(t, bare)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", expression, err)
		}
	}
	c, err := policy.ArtifactCondition("files", "files.size() == 2")
	if err != nil || c.NeedsConfig() || c.Eval(t.Context(), facts(t, bare)) != nil {
		t.Errorf("a condition on files asks for the config: %v", err)
	}
	// An attestation's conditions need one.
	if err := attested(t, "predicate.score == 7").Eval(t.Context(), facts(t, bare)); err == nil || !strings.Contains(err.Error(), "there is no predicate") {
		t.Errorf("without an attestation: %v", err)
	}
	for name, c := range map[string]policy.Condition{"zero": {}, "not compiled": {Expression: "true"}} {
		if err := c.Eval(t.Context(), facts(t, bare)); err == nil {
			t.Errorf("%s: holds", name)
		}
	}
	if err := c.Eval(t.Context(), nil); err == nil {
		t.Error("without facts: holds")
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Eval(cancelled, facts(t, bare)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestConditionsSayWhatWasFound(t *testing.T) {
	t.Parallel()
	long := strings.Repeat(`"x",`, 11)
	for expression, want := range map[string]string{
		"config.licenses.hasOnly(['Apache-2.0'])":                          `config.licenses is ["MIT"]`,
		"config.architecture == 'x' && config.architecture == 'y'":         `config.architecture is "transformer"`,
		"annotations['org.opencontainers.image.licenses'] == 'x'":          `annotations["org.opencontainers.image.licenses"] is "MIT"`,
		"has(config.vendor) && config.vendor == 'x'":                       "config.vendor is not there",
		"config.?vendor.orValue('') == 'x'":                                "",
		"subject == 'x'":                                                   `subject is "registry.example.com/team/model"`,
		"files.all(f, f.name == 'x')":                                      "",
		"predicate.score > 10 || predicate.runDetails == 7":                "predicate.score is 7, predicate.runDetails is a mapping of 2 keys",
		"signer.name == 'x' || signer.extensions['a'] == 'b'":              "",
		"signer.name == 'x'":                                               `signer.name is "ci"`,
		"predicate.list.size() == 1":                                       "predicate.list is a list of 11",
		"predicate.lists.size() == 1":                                      `predicate.lists is [a list of 2, [], null, true, 0.5, "\""]`,
		"config.licenses.exists(l, l == predicate.buildDefinition.source)": "",
	} {
		predicate := strings.Replace(provenance, `"score": 7`, `"score": 7, "list": [`+strings.TrimSuffix(long, ",")+`], "lists": [[1, 2], [], null, true, 0.5, "\""]`, 1)
		err := attested(t, expression).Eval(t.Context(), about(t, predicate))
		var e *policy.ConditionError
		if !errors.As(err, &e) || e.Found != want || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v, found %q, want %q", expression, err, e.Found, want)
		}
	}
}

func TestFactsAreShared(t *testing.T) {
	t.Parallel()
	f := about(t, provenance)
	holds := attested(t, "predicate.buildDefinition.resolvedDependencies.all(d, d.digest == {'sha256': 'aa'}) && files.size() == 2")
	fails := attested(t, "config.licenses == ['x'] || provenance == config")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if err := holds.Eval(t.Context(), f.As("other.example/x")); err != nil {
				t.Error(err)
			}
			if err := fails.Eval(t.Context(), f); err == nil {
				t.Error("a false condition holds")
			}
		})
	}
	group.Wait()
}

func TestFactsOfAnotherPolicy(t *testing.T) {
	t.Parallel()
	f := facts(t, artifact())
	c, err := policy.ArtifactCondition("name", "subject == 'other.example/x'")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Eval(t.Context(), f.As("other.example/x")); err != nil {
		t.Error(err)
	}
	if err := c.Eval(t.Context(), f); err == nil || err.Error() != `condition "name" is false: subject is "registry.example.com/team/model"` {
		t.Errorf("the first facts changed: %v", err)
	}
}

func TestFactsRefuse(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 70) + strings.Repeat("]", 70)
	for name, row := range map[string]struct{ text, want string }{
		"no JSON":            {`{"a":}`, "not JSON"},
		"nothing":            {``, "not JSON"},
		"two values":         {`{} {}`, "not JSON"},
		"no UTF-8":           {"\"\xff\"", "UTF-8"},
		"a key twice":        {`{"a":{"b":1,"b":2}}`, `"b" stands there twice`},
		"a key twice, coded": {`{"a":1,"\u0061":2}`, `"a" stands there twice`},
		"too deep":           {deep, "nested more than 64 deep"},
		"a huge number":      {`[1e999]`, "out of range"},
		"many values":        {"[" + strings.Repeat("0,", 1_000_000) + "0]", "more than 1000000 values"},
		"many bytes":         {`"` + strings.Repeat("x", 16<<20) + `"`, "more than the 16777216"},
	} {
		if _, err := facts(t, artifact()).About(policy.Attestation{Predicate: []byte(row.text)}); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v", name, err)
		}
		a := artifact()
		a.Config = []byte(row.text)
		if _, err := policy.NewFacts(a); err == nil || !strings.HasPrefix(err.Error(), "config: ") {
			t.Errorf("%s as config: %v", name, err)
		}
	}
}

func TestConditionsThatAreNone(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ expression, want string }{
		"no CEL":              {"files.all(f,", "line 1, column 13 of the expression"},
		"unknown variable":    {"confg.name == 'x'", "undeclared reference to 'confg'"},
		"unknown field":       {"files.all(f, f.nam == 'x')", "undefined field 'nam'"},
		"unknown function":    {"files.count(f) == 1", "undeclared reference to 'count'"},
		"wrong type":          {"files.size() == 'x'", "no matching overload"},
		"no truth":            {"files.size()", "it is no condition: its value is a int"},
		"text":                {"'true'", "it is no condition"},
		"two expressions":     {"true; true", ""},
		"predicate":           {"predicate.x == 1", "undeclared reference to 'predicate'"},
		"signer":              {"signer.name == 'x'", "undeclared reference to 'signer'"},
		"bad regexp":          {"config.name.matches('(')", "invalid matches argument"},
		"computed regexp":     {"config.name.matches(config.version)", "must be a text in quotes"},
		"computed by a sum":   {"config.name.matches('a' + 'b')", "must be a text in quotes"},
		"huge regexp":         {"config.name.matches('((((a{1,99}){1,10}b){1,99}))')", ""},
		"bad time":            {"now > timestamp('yesterday')", ""},
		"mixed list":          {"[1, 'a'].size() == 2", ""},
		"long":                {strings.Repeat("true && ", 600) + "true", "exceeds"},
		"deep":                {strings.Repeat("(", 100) + "true" + strings.Repeat(")", 100), ""},
		"no bindings":         {"cel.bind(x, 1, x == 1)", ""},
		"no encoders":         {"base64.encode(b'x') == ''", ""},
		"huge literal number": {"99999999999999999999 == 1", ""},
		"empty":               {"", ""},
	} {
		c, err := policy.ArtifactCondition("", row.expression)
		switch {
		case err == nil:
			t.Errorf("%s: compiled to %v", name, c)
		case !strings.Contains(err.Error(), row.want) || len(err.Error()) > 700:
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := policy.AttestationCondition("", "provenance.x == 1", "https://cyclonedx.org/bom"); err == nil {
		t.Error("a bill of materials is provenance")
	}
	if _, err := policy.AttestationCondition("", "provenance.x == 1", "https://slsa.dev/provenance/v1", "https://cyclonedx.org/bom"); err == nil {
		t.Error("one of two types is provenance, and both are taken for it")
	}
}
