package provenance_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	slsa "github.com/in-toto/attestation/go/predicates/provenance/v1"
	"github.com/opencontainers/go-digest"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/provenance"
	"github.com/modseal/modseal/pkg/statement"
)

const (
	commit1 = "c27d339ee6075c1f744c5d4b200f7901aad2c369"
	commit2 = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"
)

// What the systems give their jobs: the variables that are read, and some that hold
// secrets.
var (
	github = map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "example/llama", "GITHUB_REF": "refs/heads/main",
		"GITHUB_SHA": commit1, "GITHUB_RUN_ID": "1536140711", "GITHUB_RUN_ATTEMPT": "2", "GITHUB_EVENT_NAME": "push", "GITHUB_JOB": "train",
		"GITHUB_REPOSITORY_ID": "1296269", "GITHUB_REPOSITORY_OWNER_ID": "583231", "RUNNER_ENVIRONMENT": "github-hosted",
		"GITHUB_WORKFLOW_REF": "example/llama/.github/workflows/train.yml@refs/heads/main", "GITHUB_WORKFLOW_SHA": commit1,
		"GITHUB_TOKEN": "SECRET-1", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "SECRET-2", "INPUT_PASSWORD": "SECRET-3",
	}
	gitlab = map[string]string{
		"GITLAB_CI": "true", "CI_PROJECT_URL": "https://user:SECRET@gitlab.example.com/team/llama", "CI_RUNNER_ID": "12270831", "CI_JOB_URL": "https://gitlab.example.com/team/llama/-/jobs/7?token=SECRET",
		"CI_COMMIT_SHA": commit1, "CI_COMMIT_REF_NAME": "main", "CI_JOB_NAME": "train", "CI_CONFIG_PATH": ".gitlab-ci.yml", "CI_PIPELINE_SOURCE": "push",
		"CI_PIPELINE_ID": "5", "CI_PROJECT_ID": "3", "CI_JOB_ID": "7", "CI_JOB_STARTED_AT": "2026-01-02T03:04:05Z",
		"CI_JOB_TOKEN": "SECRET-1", "CI_REPOSITORY_URL": "https://gitlab-ci-token:SECRET-2@gitlab.example.com/team/llama.git",
	}
	tekton = map[string]string{
		"TEKTON_TASK_RUN": "train-x7", "TEKTON_TASK_RUN_UID": "1b4e28ba-2fa1-11d2-883f-0016d3cca427", "TEKTON_TASK": "train", "TEKTON_PIPELINE": "models", "TEKTON_PIPELINE_RUN": "models-9",
		"TEKTON_NAMESPACE": "ml", "TEKTON_SOURCE_URL": "https://git.example.com/team/llama", "TEKTON_SOURCE_COMMIT": commit1,
	}
	argo = map[string]string{
		"ARGO_NODE_ID": "train-abc-123", "ARGO_CONTAINER_NAME": "main", "ARGO_WORKFLOW_NAME": "train-abc", "ARGO_WORKFLOW_NAMESPACE": "ml", "ARGO_WORKFLOW_UID": "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
		"ARGO_TEMPLATE": `{"name":"train","inputs":{"parameters":[{"name":"token","value":"SECRET"}]}}`,
	}
	jenkins = map[string]string{
		"JENKINS_URL": "https://ci.example.com/", "BUILD_URL": "https://ci.example.com/job/train/12/", "JOB_NAME": "team/train", "BUILD_NUMBER": "12", "NODE_NAME": "gpu-1",
		"GIT_URL": "git@git.example.com:team/llama.git", "GIT_COMMIT": commit1, "GIT_BRANCH": "origin/main", "GIT_PASSWORD": "SECRET",
	}
)

func with(env map[string]string, changes ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(changes); i += 2 {
			if changes[i] == name {
				return changes[i+1]
			}
		}
		return env[name]
	}
}

func predicateOf(t *testing.T, getenv func(string) string, p provenance.Parts) string {
	t.Helper()
	run, err := provenance.FromEnvironment(getenv)
	if err != nil {
		t.Fatal(err)
	}
	p.Run = run
	text, err := provenance.New(p).JSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func indented(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(text), "", " "); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestFromEnvironment(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		env   map[string]string
		parts provenance.Parts
		want  string
	}{
		"GitHub": {github, provenance.Parts{Parameters: map[string]string{"epochs": "3"}}, `{"buildDefinition":{"buildType":"https://modseal.dev/build/github-actions/v1",
			"externalParameters":{"parameters":{"epochs":"3"},"source":{"ref":"refs/heads/main","uri":"git+https://github.com/example/llama"},
			 "workflow":{"path":".github/workflows/train.yml","ref":"refs/heads/main","repository":"https://github.com/example/llama"}},
			"internalParameters":{"github":{"event_name":"push","job":"train","repository_id":"1296269","repository_owner_id":"583231","runner_environment":"github-hosted"}},
			"resolvedDependencies":[{"name":"source","uri":"git+https://github.com/example/llama@refs/heads/main","digest":{"gitCommit":"` + commit1 + `"}}]},
			"runDetails":{"builder":{"id":"https://github.com/actions/runner/github-hosted"},"metadata":{"invocationId":"https://github.com/example/llama/actions/runs/1536140711/attempts/2"}}}`},
		"GitLab, times asked for": {gitlab, provenance.Parts{Times: true, Finished: time.Date(2026, 1, 2, 4, 0, 0, 0, time.FixedZone("", 3600))}, `{"buildDefinition":{"buildType":"https://modseal.dev/build/gitlab-ci/v1",
			"externalParameters":{"config":".gitlab-ci.yml","entryPoint":"train","source":{"ref":"refs/heads/main","uri":"git+https://gitlab.example.com/team/llama"}},
			"internalParameters":{"gitlab":{"job_id":"7","pipeline_id":"5","pipeline_source":"push","project_id":"3"}},
			"resolvedDependencies":[{"name":"source","uri":"git+https://gitlab.example.com/team/llama@refs/heads/main","digest":{"gitCommit":"` + commit1 + `"}}]},
			"runDetails":{"builder":{"id":"https://gitlab.example.com/team/llama/-/runners/12270831"},"metadata":{"invocationId":"https://gitlab.example.com/team/llama/-/jobs/7","startedOn":"2026-01-02T03:04:05Z","finishedOn":"2026-01-02T03:00:00Z"}}}`},
		"Tekton": {tekton, provenance.Parts{BuilderID: "https://tekton.example.com/cluster-1"}, `{"buildDefinition":{"buildType":"https://modseal.dev/build/tekton/v1",
			"externalParameters":{"pipeline":"models","source":{"uri":"git+https://git.example.com/team/llama"},"task":"train"},
			"internalParameters":{"tekton":{"namespace":"ml","pipelineRun":"models-9","taskRun":"train-x7"}},
			"resolvedDependencies":[{"name":"source","uri":"git+https://git.example.com/team/llama","digest":{"gitCommit":"` + commit1 + `"}}]},
			"runDetails":{"builder":{"id":"https://tekton.example.com/cluster-1"},"metadata":{"invocationId":"1b4e28ba-2fa1-11d2-883f-0016d3cca427"}}}`},
		"Argo": {argo, provenance.Parts{}, `{"buildDefinition":{"buildType":"https://modseal.dev/build/argo-workflows/v1",
			"externalParameters":{"source":{},"workflow":"train-abc"},
			"internalParameters":{"argo":{"container":"main","namespace":"ml","node":"train-abc-123"}}},
			"runDetails":{"builder":{"id":"https://modseal.dev/builders/argo-workflows"},"metadata":{"invocationId":"1b4e28ba-2fa1-11d2-883f-0016d3cca427/train-abc-123"}}}`},
		"Jenkins": {jenkins, provenance.Parts{}, `{"buildDefinition":{"buildType":"https://modseal.dev/build/jenkins/v1",
			"externalParameters":{"job":"team/train","source":{"ref":"origin/main","uri":"git+ssh://git.example.com/team/llama.git"}},
			"internalParameters":{"jenkins":{"build":"12","node":"gpu-1"}},
			"resolvedDependencies":[{"name":"source","uri":"git+ssh://git.example.com/team/llama.git@origin/main","digest":{"gitCommit":"` + commit1 + `"}}]},
			"runDetails":{"builder":{"id":"https://ci.example.com/"},"metadata":{"invocationId":"https://ci.example.com/job/train/12/"}}}`},
		"a plain machine": {nil, provenance.Parts{Times: true}, `{"buildDefinition":{"buildType":"https://modseal.dev/build/local/v1","externalParameters":{"source":{}}},
			"runDetails":{"builder":{"id":"https://modseal.dev/builders/local"}}}`},
	} {
		got := predicateOf(t, with(row.env), row.parts)
		if diff := cmp.Diff(indented(t, row.want), indented(t, got)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
		if again := predicateOf(t, with(row.env), row.parts); again != got {
			t.Errorf("%s: made twice, it is not the same", name)
		}
		// What is written is what the specification's own validator and the rules by
		// which it will be signed accept.
		var p slsa.Provenance
		if err := protojson.Unmarshal([]byte(got), &p); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if err := p.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := statement.Attestation(digest.FromString("m"), artifacttypes.PredicateSLSAProvenanceV1, []byte(got)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(got, "SECRET") {
			t.Errorf("%s: a secret got into %s", name, got)
		}
	}
}

// Whatever other variables hold, nothing of it is told: a job may have any secret
// under any name.
func TestOfTheEnvironmentOnlyWhatIsNamed(t *testing.T) {
	t.Parallel()
	for name, env := range map[string]map[string]string{"GitHub": github, "GitLab": gitlab, "Tekton": tekton, "Argo": argo, "Jenkins": jenkins, "plain": {}} {
		asked := map[string]bool{}
		got := predicateOf(t, func(variable string) string {
			asked[variable] = true
			return env[variable]
		}, provenance.Parts{Times: true})
		for _, secret := range []string{
			"GITHUB_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_RUNTIME_TOKEN", "CI_JOB_TOKEN", "CI_REPOSITORY_URL", "CI_REGISTRY_PASSWORD",
			"ARGO_TEMPLATE", "MODSEAL_PASSWORD", "COSIGN_PASSWORD", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "GIT_PASSWORD", "USER", "HOSTNAME", "HOME",
		} {
			if asked[secret] {
				t.Errorf("%s: %s was read", name, secret)
			}
		}
		if strings.Contains(got, "SECRET") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestFromEnvironmentVariants(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		getenv func(string) string
		want   string
	}{
		"a called workflow of elsewhere": {
			with(github, "GITHUB_WORKFLOW_REF", "shared/flows/.github/workflows/a@b.yml@refs/tags/v1@2", "GITHUB_WORKFLOW_SHA", commit2),
			`{"name":"workflow","uri":"git+https://github.com/shared/flows@refs/tags/v1@2","digest":{"gitCommit":"` + commit2 + `"}}`,
		},
		"Forgejo":                          {with(github, "GITHUB_SERVER_URL", "https://forge.example.com/", "RUNNER_ENVIRONMENT", ""), `"id":"https://forge.example.com/actions/runner/self-hosted"`},
		"a tag of GitLab":                  {with(gitlab, "CI_COMMIT_TAG", "v1"), `@refs/tags/v1"`},
		"a merge request of GitLab":        {with(gitlab, "CI_MERGE_REQUEST_REF_PATH", "refs/merge-requests/1/head"), `@refs/merge-requests/1/head"`},
		"Jenkins with a login in its URL":  {with(jenkins, "GIT_URL", "https://bob:SECRET@git.example.com/llama"), `"git+https://git.example.com/llama@origin/main"`},
		"Jenkins without a checkout":       {with(jenkins, "GIT_COMMIT", ""), `"source":{}`},
		"SHA-256 of git":                   {with(gitlab, "CI_COMMIT_SHA", strings.Repeat("A", 64)), strings.Repeat("a", 64)},
		"Tekton without a UID":             {with(tekton, "TEKTON_TASK_RUN_UID", ""), `"invocationId":"train-x7"`},
		"GitHub inside another's runner":   {with(jenkins, "GITHUB_ACTIONS", "false"), `build/jenkins/v1`},
		"Jenkins that does not say where":  {with(jenkins, "BUILD_URL", ""), `build/local/v1`},
		"workflow and source are the same": {with(github, "GITHUB_WORKFLOW_SHA", ""), `"resolvedDependencies":[{"name":"source","uri":"git+https://github.com/example/llama@refs/heads/main","digest":{"gitCommit":"` + commit1 + `"}}]`},
	} {
		if got := predicateOf(t, row.getenv, provenance.Parts{}); !strings.Contains(got, row.want) || strings.Contains(got, "SECRET") {
			t.Errorf("%s: %s\n\twant %s", name, got, row.want)
		}
	}
}

func TestFromEnvironmentRefuses(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		getenv func(string) string
		want   string
	}{
		"no commit":                    {with(github, "GITHUB_SHA", ""), "GITHUB_SHA is not set"},
		"no repository":                {with(github, "GITHUB_REPOSITORY", ""), "GITHUB_REPOSITORY is not set"},
		"no run":                       {with(github, "GITHUB_RUN_ID", ""), "GITHUB_RUN_ID is not set"},
		"a commit that is a name":      {with(github, "GITHUB_SHA", "main"), `GITHUB_SHA "main" is no commit ID`},
		"a short commit":               {with(gitlab, "CI_COMMIT_SHA", "c27d339"), "CI_COMMIT_SHA"},
		"a server that is a path":      {with(github, "GITHUB_SERVER_URL", "/etc"), "GITHUB_SERVER_URL is no URL"},
		"a workflow without ref":       {with(github, "GITHUB_WORKFLOW_REF", "a/b/c"), "GITHUB_WORKFLOW_REF"},
		"control characters":           {with(github, "GITHUB_JOB", "a\x1b[2J"), "GITHUB_JOB"},
		"a line break":                 {with(gitlab, "CI_JOB_NAME", "a\nb"), "CI_JOB_NAME"},
		"too long":                     {with(tekton, "TEKTON_TASK", strings.Repeat("x", 1<<20)), "TEKTON_TASK has 1048576 bytes"},
		"no time":                      {with(gitlab, "CI_JOB_STARTED_AT", "now"), "CI_JOB_STARTED_AT"},
		"a repository of this machine": {with(jenkins, "GIT_URL", "/srv/git/llama"), "GIT_URL is no URL"},
		"no runner":                    {with(gitlab, "CI_RUNNER_ID", ""), "CI_RUNNER_ID is not set"},
		"no job":                       {with(jenkins, "JOB_NAME", ""), "JOB_NAME is not set"},
	} {
		run, err := provenance.FromEnvironment(row.getenv)
		if !errors.Is(err, provenance.ErrEnvironment) || !strings.Contains(err.Error(), row.want) || run != nil {
			t.Errorf("%s: %v, %v", name, run, err)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Errorf("%s: %q is not harmless", name, err)
		}
	}
}

func FuzzFromEnvironment(f *testing.F) {
	f.Add(0, "GITHUB_SHA", commit1)
	f.Add(1, "CI_PROJECT_URL", "https://a:b@example.com/x?y#z")
	f.Add(4, "GIT_URL", "git@example.com:a/b")
	f.Add(2, "TEKTON_TASK", "\xff\x00")
	environments := []map[string]string{github, gitlab, tekton, argo, jenkins}
	f.Fuzz(func(t *testing.T, which int, name, value string) {
		run, err := provenance.FromEnvironment(with(environments[uint(which)%uint(len(environments))], name, value))
		if err != nil {
			if !errors.Is(err, provenance.ErrEnvironment) {
				t.Fatal(err)
			}
			return
		}
		text, err := provenance.New(provenance.Parts{Run: run, Times: true}).JSON()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := statement.Attestation(digest.FromString("m"), artifacttypes.PredicateSLSAProvenanceV1, text); err != nil {
			t.Fatal(fmt.Errorf("%s=%q: %s: %w", name, value, text, err))
		}
	})
}
