package ci_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

// header is the first document of a template (https://docs.gitlab.com/ci/inputs/).
type header struct {
	Spec struct {
		Inputs map[string]struct {
			Description string  `json:"description"`
			Default     *string `json:"default"`
		} `json:"inputs"`
	} `json:"spec"`
}

var interpolation = regexp.MustCompile(`\$\[\[ inputs\.([a-z_]+) \]\]`)

// The templates are jobs by GitLab's own schema, once their inputs are filled in; and
// what they say of inputs is what they use.
func TestGitLab(t *testing.T) {
	schema := gitlabSchema(t)
	files, err := filepath.Glob("gitlab/templates/*/template.yml")
	if err != nil || len(files) == 0 {
		t.Fatal("no templates", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		head, body, ok := strings.Cut(string(text), "\n---\n")
		if !ok {
			t.Fatalf("%s has no two documents", file)
		}
		var h header
		if err := yaml.UnmarshalStrict([]byte(head), &h); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		used := map[string]bool{}
		filled := interpolation.ReplaceAllStringFunc(body, func(m string) string {
			name := interpolation.FindStringSubmatch(m)[1]
			used[name] = true
			in, declared := h.Spec.Inputs[name]
			switch {
			case !declared:
				t.Errorf("%s uses the input %s, which it does not declare", file, name)
			case in.Default != nil:
				return *in.Default
			}
			return "value"
		})
		for name, in := range h.Spec.Inputs {
			if !used[name] || in.Description == "" {
				t.Errorf("%s: the input %s is not used, or not described", file, name)
			}
		}
		raw, err := yaml.YAMLToJSONStrict([]byte(filled))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(document); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		// The schema must be one that can refuse.
		broken := bytes.Replace(raw, []byte(`"exit_codes":[7]`), []byte(`"exit_codez":[7]`), 1)
		if document, err = jsonschema.UnmarshalJSON(bytes.NewReader(broken)); err != nil {
			t.Fatal(err)
		}
		if schema.Validate(document) == nil {
			t.Errorf("%s: a field that nobody knows is accepted", file)
		}
	}
}

func gitlabSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	const file = "../../bin/ci/gitlab-ci.json"
	raw, err := os.ReadFile(file)
	if os.IsNotExist(err) && os.Getenv("MODSEAL_E2E_REQUIRE_ALL") == "" {
		t.Skip("GitLab's schema is missing (hack/ci/tools.sh)")
	}
	if err != nil {
		t.Fatal(err)
	}
	var document any
	if err := json.Unmarshal(raw, &document); err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(file, document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(file)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}
