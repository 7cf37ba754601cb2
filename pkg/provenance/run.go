package provenance

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// buildTypes is the beginning of the build types, each of which docs/provenance.md
// describes under its name.
const buildTypes = "https://modseal.dev/build/"

// Builders that nothing in the environment names.
const (
	builders     = "https://modseal.dev/builders/"
	BuilderLocal = builders + "local"
)

// ErrEnvironment is wrapped when a build system gives its job variables that do not
// fit together: provenance of half of them would be wrong.
var ErrEnvironment = errors.New("environment of the build")

// Run is what a build system says of the job that it runs.
type Run struct {
	// System is the name of the build system, such as "GitHub Actions"; BuildType the
	// URI of what its parameters mean.
	System, BuildType string
	Builder           string // URI
	Invocation        string
	External          map[string]any // but the source
	Internal          map[string]any
	Source            Source
	Dependencies      []Resource // besides the source
	Started           time.Time  // zero when it does not say
	// Anonymous means that nothing says which of all builders of the kind it was.
	Anonymous bool
}

// Local reports whether no build system was seen.
func (r *Run) Local() bool { return r.BuildType == buildTypes+"local/v1" }

// Source is the repository that something was built from.
type Source struct {
	Repository string // URL without login, empty when unknown
	Ref        string // full, such as refs/heads/main; empty when unknown
	Commit     string // hexadecimal
	// Checkout means that a directory says so, whose files may differ from the commit.
	Checkout bool
}

// Known reports whether there is anything to say.
func (s Source) Known() bool { return s.Repository != "" || s.Commit != "" }

// uri is the SPDX download location
// (https://spdx.github.io/spdx-spec/v2.3/package-information/#77-package-download-location-field).
func (s Source) uri() string {
	switch {
	case s.Repository == "":
		return ""
	case s.Ref == "":
		return "git+" + s.Repository
	}
	return "git+" + s.Repository + "@" + s.Ref
}

// parameter is the source as it was asked for: not resolved.
func (s Source) parameter() map[string]string {
	out := map[string]string{}
	if s.Repository != "" {
		out["uri"] = "git+" + s.Repository
	}
	if s.Ref != "" {
		out["ref"] = s.Ref
	}
	return out
}

// Resource is the source as a resolved dependency.
func (s Source) Resource() Resource {
	r := Resource{Name: NameSource, URI: s.uri()}
	if s.Commit != "" {
		r.Digest = map[string]string{"gitCommit": s.Commit}
	}
	if s.Checkout {
		r.Annotations = map[string]any{AnnotationWorkTree: "not compared with the commit"}
	}
	return r
}

// commit is a git commit ID by SHA-1 or SHA-256.
var commit = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// A system is a build system that is known.
type system struct {
	name string
	// here reports whether the job is one of the system's.
	here func(e *environment) bool
	read func(e *environment) *Run
}

var systems = []system{
	{"GitHub Actions", func(e *environment) bool { return e.get("GITHUB_ACTIONS") == "true" }, readGitHub},
	{"GitLab CI", func(e *environment) bool { return e.get("GITLAB_CI") == "true" }, readGitLab},
	{"Tekton", func(e *environment) bool { return e.get("TEKTON_TASK_RUN") != "" }, readTekton},
	{"Argo Workflows", func(e *environment) bool { return e.get("ARGO_NODE_ID") != "" }, readArgo},
	{"Jenkins", func(e *environment) bool { return e.get("JENKINS_URL") != "" && e.get("BUILD_URL") != "" }, readJenkins},
}

// FromEnvironment returns what the build system says that runs this job, by the
// variables that getenv returns; of a plain machine, which says nothing, when it
// knows none. Errors wrap [ErrEnvironment], and name the variable.
func FromEnvironment(getenv func(name string) string) (*Run, error) {
	e := &environment{getenv: getenv}
	for _, s := range systems {
		if !s.here(e) {
			continue
		}
		r := s.read(e)
		if e.err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrEnvironment, s.name, e.err)
		}
		r.System = s.name
		return r, nil
	}
	return &Run{
		System: "a plain machine", BuildType: buildTypes + "local/v1", Builder: BuilderLocal, Anonymous: true,
	}, nil
}

// maxVariable bounds a variable: those that are read are names, URLs and numbers.
const maxVariable = 2 << 10

// environment reads variables of strangers. It keeps the first error, after which
// what it returns means nothing.
type environment struct {
	getenv func(string) string
	err    error
}

func (e *environment) fail(format string, args ...any) {
	if e.err == nil {
		e.err = fmt.Errorf(format, args...)
	}
}

// get returns a variable as it is.
func (e *environment) get(name string) string { return e.getenv(name) }

// text returns a variable that may be absent.
func (e *environment) text(name string) string {
	v := e.getenv(name)
	switch {
	case len(v) > maxVariable:
		e.fail("%s has %d bytes, more than %d", name, len(v), maxVariable)
	case v != cleanText(v):
		e.fail("%s %q is no plain text", name, v)
	}
	return v
}

// need returns a variable that must be there.
func (e *environment) need(name string) string {
	v := e.text(name)
	if v == "" {
		e.fail("%s is not set", name)
	}
	return v
}

// url returns the URL in a variable without login, query and fragment.
func (e *environment) url(name string) string {
	v := e.need(name)
	u, ok := plainURL(v)
	if !ok && e.err == nil {
		e.fail("%s is no URL", name) // its text may hold a login
	}
	return u
}

// commit returns the commit ID in a variable that must be there.
func (e *environment) commit(name string) string {
	v := strings.ToLower(e.need(name))
	if e.err == nil && !commit.MatchString(v) {
		e.fail("%s %q is no commit ID", name, v)
	}
	return v
}

// time returns the time in a variable that may be absent.
func (e *environment) time(name string) time.Time {
	v := e.text(name)
	if v == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, v)
	if err != nil {
		e.fail("%s %q is no time", name, v)
	}
	return t
}

// texts returns those of the variables that are set, by the names that the pairs
// give them: NAME, VARIABLE.
func (e *environment) texts(pairs ...string) map[string]any {
	out := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if v := e.text(pairs[i+1]); v != "" {
			out[pairs[i]] = v
		}
	}
	return out
}
