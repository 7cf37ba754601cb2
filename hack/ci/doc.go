// Package ci checks by the types and schemas of those who read them what this
// directory has for Tekton, Argo Workflows, GitLab and Kubernetes. It is a module of
// its own, so that none of them is a dependency of modseal. What the files do is told in
// e2e/testdata/ci_*.txtar, where they are run.
package ci
