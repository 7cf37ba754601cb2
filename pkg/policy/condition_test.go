package policy_test

import (
	"testing"
	"time"

	"github.com/modseal/modseal/pkg/policy"
)

func testFacts(t *testing.T) *policy.Facts {
	t.Helper()
	f, err := policy.NewFacts(policy.Artifact{
		Reference: "mirror.example/team/model:v1", Subject: "registry.example.com/team/model", Digest: "sha256:00",
		Annotations: map[string]string{"org.opencontainers.image.licenses": "MIT"},
		Config:      []byte(`{"descriptor":{"name":"m","version":"1.2.0","licenses":["MIT"]},"config":{"architecture":"transformer"},"modelfs":{"type":"layers","diffIds":["sha256:00"]}}`),
		Files:       []policy.File{{Name: "model.safetensors", Size: 10, Role: "weight", Digest: "sha256:11"}, {Name: "config.json", Size: 2, Role: "weight.config"}},
		Now:         time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestEval(t *testing.T) {
	t.Parallel()
	for _, e := range []string{
		"files.all(f, !f.name.endsWith('.pkl'))",
		"files.filter(f, f.role == 'weight').map(f, f.size).exists(s, s == 10)",
		"config.licenses.hasOnly(['MIT', 'Apache-2.0'])",
		"config.descriptor.version == '1.2.0' && config.version.startsWith('1.')",
		"config.?vendor.orValue('nobody') == 'nobody'",
		"annotations['org.opencontainers.image.licenses'] == 'MIT'",
		"subject.startsWith('registry.example.com/')",
		"now > timestamp('2026-01-01T00:00:00Z')",
	} {
		c, err := policy.ArtifactCondition("", e)
		if err != nil {
			t.Errorf("%s: %v", e, err)
			continue
		}
		if err := c.Eval(t.Context(), testFacts(t)); err != nil {
			t.Errorf("%s: %v", e, err)
		}
	}
}
