package pack

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	modelschema "github.com/modelpack/model-spec/schema"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	modelspec "github.com/modelpack/model-spec/specs-go/v1"
)

// Configs are judged as the specification's own validator judges them.
func TestValidateConfig(t *testing.T) {
	const fs = `"modelfs":{"type":"layers","diffIds":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}`
	refused := 0
	for _, config := range []string{
		`{"descriptor":{"name":"x"},"config":{"paramSize":"7b"},` + fs + `}`,
		`{"descriptor":{},"config":{},` + fs + `}`,
		`{"descriptor":{"createdAt":"2026-01-02T03:04:05Z"},"config":{"capabilities":{"inputTypes":["text"]}},` + fs + `}`,
		`{"descriptor":{"createdAt":"yesterday"},"config":{},` + fs + `}`,
		`{"descriptor":{},"config":{"capabilities":{"inputTypes":["smell"]}},` + fs + `}`,
		`{"descriptor":{"name":5},"config":{},` + fs + `}`,
		`{"descriptor":{},"config":{"unheardOf":1},` + fs + `}`,
		`{"descriptor":{},"config":{},"modelfs":{"type":"tar","diffIds":[]}}`,
		`{"descriptor":{},"config":{}}`,
		`{"config":7}`,
		`{"paramSize":7}`,
		`[]`,
		`{`,
		``,
	} {
		err := validateConfig([]byte(config))
		theirs := modelschema.Validator(modelspec.MediaTypeModelConfig).Validate(bytes.NewReader([]byte(config)))
		if (err == nil) != (theirs == nil) {
			t.Errorf("%s: %v, and the validator says %v", config, err, theirs)
		}
		if err != nil {
			refused++
		}
	}
	if refused < 8 {
		t.Errorf("only %d are refused", refused)
	}
}

// What is packed is named from its root: where the process stands, and whether that is
// still there, is of no matter.
func TestConfigInADirectoryThatIsGone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows keeps directories that a process stands in")
	}
	dir := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := encodeConfig(&modelspec.Model{}, []ocispec.Descriptor{{Digest: digest.FromString("")}}); err != nil {
		t.Error(err)
	}
}
