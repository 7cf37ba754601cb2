package provenance

import "strings"

// readGitHub reads the default variables of GitHub Actions
// (https://docs.github.com/en/actions/reference/workflows-and-actions/variables),
// which Gitea and Forgejo give their jobs, too. The names are those of GitHub's own
// build type (https://github.com/actions/buildtypes/tree/main/workflow/v1), as far as
// they mean the same.
func readGitHub(e *environment) *Run {
	server := strings.TrimSuffix(e.url("GITHUB_SERVER_URL"), "/")
	repository := e.need("GITHUB_REPOSITORY")
	runner := e.text("RUNNER_ENVIRONMENT")
	if runner == "" {
		runner = "self-hosted" // others than GitHub do not say
	}
	r := &Run{
		BuildType:  buildTypes + "github-actions/v1",
		Builder:    server + "/actions/runner/" + runner,
		Invocation: server + "/" + repository + "/actions/runs/" + e.need("GITHUB_RUN_ID"),
		Source:     Source{Repository: server + "/" + repository, Ref: e.need("GITHUB_REF"), Commit: e.commit("GITHUB_SHA")},
		Internal: map[string]any{"github": e.texts(
			"event_name", "GITHUB_EVENT_NAME", "repository_id", "GITHUB_REPOSITORY_ID", "repository_owner_id", "GITHUB_REPOSITORY_OWNER_ID",
			"job", "GITHUB_JOB", "runner_environment", "RUNNER_ENVIRONMENT",
		)},
	}
	if attempt := e.text("GITHUB_RUN_ATTEMPT"); attempt != "" {
		r.Invocation += "/attempts/" + attempt
	}
	// GITHUB_WORKFLOW_REF is owner/repository/path@ref; path and ref may have an @.
	if workflow := e.text("GITHUB_WORKFLOW_REF"); workflow != "" {
		path, ref, ok := strings.Cut(workflow, "@refs/")
		parts := strings.SplitN(path, "/", 3)
		if !ok || len(parts) != 3 {
			e.fail("GITHUB_WORKFLOW_REF %q is not OWNER/REPOSITORY/PATH@REF", workflow)
			return r
		}
		definition := Source{Repository: server + "/" + parts[0] + "/" + parts[1], Ref: "refs/" + ref}
		r.External = map[string]any{"workflow": map[string]string{
			"repository": definition.Repository, "ref": definition.Ref, "path": parts[2],
		}}
		if e.text("GITHUB_WORKFLOW_SHA") != "" {
			definition.Commit = e.commit("GITHUB_WORKFLOW_SHA")
		} else if definition.uri() == r.Source.uri() {
			definition.Commit = r.Source.Commit
		}
		if definition != r.Source {
			d := definition.Resource()
			d.Name = NameWorkflow
			r.Dependencies = append(r.Dependencies, d)
		}
	}
	return r
}

// readGitLab reads the predefined variables of GitLab CI/CD
// (https://docs.gitlab.com/ci/variables/predefined_variables/). CI_REPOSITORY_URL has
// a token in it, and is not among them.
func readGitLab(e *environment) *Run {
	project := e.url("CI_PROJECT_URL")
	r := &Run{
		BuildType:  buildTypes + "gitlab-ci/v1",
		Builder:    project + "/-/runners/" + e.need("CI_RUNNER_ID"), // as GitLab Runner names itself
		Invocation: e.url("CI_JOB_URL"),
		Source:     Source{Repository: project, Ref: gitLabRef(e), Commit: e.commit("CI_COMMIT_SHA")},
		External:   map[string]any{"entryPoint": e.need("CI_JOB_NAME")},
		Internal: map[string]any{"gitlab": e.texts(
			"pipeline_source", "CI_PIPELINE_SOURCE", "pipeline_id", "CI_PIPELINE_ID", "project_id", "CI_PROJECT_ID", "job_id", "CI_JOB_ID",
			"environment", "CI_ENVIRONMENT_NAME",
		)},
		Started: e.time("CI_JOB_STARTED_AT"),
	}
	if config := e.text("CI_CONFIG_PATH"); config != "" {
		r.External["config"] = config
	}
	return r
}

func gitLabRef(e *environment) string {
	if tag := e.text("CI_COMMIT_TAG"); tag != "" {
		return "refs/tags/" + tag
	}
	if ref := e.text("CI_MERGE_REQUEST_REF_PATH"); ref != "" {
		return ref
	}
	return "refs/heads/" + e.need("CI_COMMIT_REF_NAME")
}

// readTekton reads variables that a step gets only when its Task says so, since
// Tekton gives its steps none: docs/provenance.md has the lines.
func readTekton(e *environment) *Run {
	r := &Run{
		BuildType: buildTypes + "tekton/v1", Builder: builders + "tekton", Anonymous: true,
		Invocation: e.need("TEKTON_TASK_RUN"),
		External:   e.texts("task", "TEKTON_TASK", "pipeline", "TEKTON_PIPELINE"),
		Internal: map[string]any{"tekton": e.texts(
			"namespace", "TEKTON_NAMESPACE", "taskRun", "TEKTON_TASK_RUN", "pipelineRun", "TEKTON_PIPELINE_RUN",
		)},
		Source: givenSource(e, "TEKTON_SOURCE_URL", "TEKTON_SOURCE_COMMIT", ""),
	}
	if uid := e.text("TEKTON_TASK_RUN_UID"); uid != "" {
		r.Invocation = uid
	}
	return r
}

// readArgo reads what the executor of Argo Workflows gives its containers, and the
// variables that a template adds: docs/provenance.md has the lines. ARGO_TEMPLATE
// holds the values of parameters, which may be secrets, and is not read.
func readArgo(e *environment) *Run {
	r := &Run{
		BuildType: buildTypes + "argo-workflows/v1", Builder: builders + "argo-workflows", Anonymous: true,
		Invocation: e.need("ARGO_NODE_ID"),
		External:   e.texts("workflow", "ARGO_WORKFLOW_NAME", "template", "ARGO_WORKFLOW_TEMPLATE"),
		Internal: map[string]any{"argo": e.texts(
			"namespace", "ARGO_WORKFLOW_NAMESPACE", "node", "ARGO_NODE_ID", "container", "ARGO_CONTAINER_NAME",
		)},
		Source: givenSource(e, "ARGO_SOURCE_URL", "ARGO_SOURCE_COMMIT", ""),
	}
	if uid := e.text("ARGO_WORKFLOW_UID"); uid != "" {
		r.Invocation = uid + "/" + r.Invocation
	}
	return r
}

// readJenkins reads the variables of Jenkins, and those of its Git plugin where a
// job has a checkout (https://plugins.jenkins.io/git/#plugin-content-environment-variables).
func readJenkins(e *environment) *Run {
	return &Run{
		BuildType: buildTypes + "jenkins/v1", Builder: e.url("JENKINS_URL"),
		Invocation: e.url("BUILD_URL"),
		External:   map[string]any{"job": e.need("JOB_NAME")},
		Internal:   map[string]any{"jenkins": e.texts("build", "BUILD_NUMBER", "node", "NODE_NAME")},
		Source:     givenSource(e, "GIT_URL", "GIT_COMMIT", "GIT_BRANCH"),
	}
}

// givenSource reads a source of which a job may have none.
func givenSource(e *environment, url, commit, ref string) Source {
	if e.get(url) == "" || e.get(commit) == "" {
		return Source{}
	}
	repository, ok := plainRepository(e.text(url))
	if !ok && e.err == nil {
		e.fail("%s is no URL of a repository", url)
	}
	s := Source{Repository: repository, Commit: e.commit(commit)}
	if ref != "" {
		s.Ref = e.text(ref)
	}
	return s
}
