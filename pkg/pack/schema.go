package pack

import (
	"encoding/json"
	"fmt"

	modelschema "github.com/modelpack/model-spec/schema"
	modelspec "github.com/modelpack/model-spec/specs-go/v1"
	"github.com/santhosh-tekuri/jsonschema/v5"
)

// configSchemaURL is the name that model-spec v0.0.7 gives to its schema of configs.
const configSchemaURL = "https://github.com/modelpack/model-spec/config"

// validateConfig judges a config as [modelschema.Validator] does, by the same schema
// and with the same library. That one registers the schema under a relative name,
// which the library resolves in the working directory: it fails where that was
// removed, in words about a file that nobody asked for.
func validateConfig(config []byte) error {
	if err := json.Unmarshal(config, &modelspec.ModelConfig{}); err != nil {
		return fmt.Errorf("config format mismatch: %w", err)
	}
	file, err := modelschema.FileSystem().Open("config-schema.json")
	if err != nil {
		return err
	}
	defer file.Close()
	c := jsonschema.NewCompiler()
	if err := c.AddResource(configSchemaURL, file); err != nil {
		return err
	}
	schema, err := c.Compile(configSchemaURL)
	if err != nil {
		return err
	}
	var v any
	if err := json.Unmarshal(config, &v); err != nil {
		return err
	}
	return schema.Validate(v)
}
