package policy

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/modseal/modseal/pkg/internal/lazyregexp"
)

// localSchemes are the kinds of subjects that are no registry references.
var localSchemes = []string{"oci:", "dir:", "archive:"}

// NoScopeError says that no scope of a policy matches a subject, so that the
// policy's default decides: reject.
type NoScopeError struct {
	Policy   string
	Subject  string
	Remapped string // the name that scopes were compared with
	Default  string
}

func (e *NoScopeError) Error() string {
	if e.Remapped != "" && e.Remapped != normalize(e.Subject) {
		return fmt.Sprintf("%s: no scope of policy %s matches %s, which it is remapped to, and its default is %s", e.Subject, e.Policy, e.Remapped, e.Default)
	}
	return fmt.Sprintf("%s: no scope of policy %s matches it, and its default is %s", e.Subject, e.Policy, e.Default)
}

// Next says what the user can do about it.
func (e *NoScopeError) Next() string {
	name := e.Remapped
	if name == "" {
		name = normalize(e.Subject)
	}
	return fmt.Sprintf("add a scope with prefix %q, or the beginning of it, to %s; modseal policy check %s --for %s shows which scope applies",
		name, e.Policy, e.Policy, e.Subject)
}

// Rules returns the requirements for subject: the name of a repository
// (host/repository, without tag and digest) or oci:PATH, dir:PATH with an
// absolute path. The subject is first remapped; the scope is that of the new
// name. Without a matching scope the error is a [*NoScopeError].
func (p *Policy) Rules(subject string) (Rules, error) {
	name := p.remapped(normalize(subject))
	best := -1
	for i, s := range p.Scopes {
		if s.matches(name) && (best < 0 || len(s.Prefix) > len(p.Scopes[best].Prefix) || p.Scopes[best].Prefix == Any) {
			best = i
		}
	}
	if best < 0 {
		return Rules{}, &NoScopeError{Policy: p.Name, Subject: subject, Remapped: name, Default: p.Default}
	}
	s := p.Scopes[best]
	return Rules{
		Name:         fmt.Sprintf("%s scope %s", p.called(), s.Prefix),
		Scope:        s.Prefix,
		Mode:         s.Mode,
		Requirements: s.Requirements,
		TrustedRoots: p.rootsOf(s.Requirements),
		Limits:       p.Limits,
		Subject:      name,
	}, nil
}

// called is the name of the policy in reports.
func (p *Policy) called() string {
	if p.Title != "" {
		return fmt.Sprintf("%s (%s)", p.Title, p.Name)
	}
	return p.Name
}

// remapped returns what the longest remap that matches makes of name. It applies
// once: what one remap says is not the beginning of another.
func (p *Policy) remapped(name string) string {
	best := -1
	for i, r := range p.Remaps {
		if covers(r.From, name) && (best < 0 || len(r.From) > len(p.Remaps[best].From)) {
			best = i
		}
	}
	if best < 0 {
		return name
	}
	return p.Remaps[best].To + strings.TrimPrefix(name, p.Remaps[best].From)
}

// rootsOf returns the trusted roots that the requirements name.
func (p *Policy) rootsOf(reqs []Requirement) []TrustedRoot {
	named := map[string]bool{}
	for _, req := range reqs {
		named[req.Witness().TrustedRoot] = true
		for _, s := range req.Signers() {
			if s.Keyless != nil {
				named[s.Keyless.TrustedRoot] = true
			}
		}
	}
	var out []TrustedRoot
	for _, r := range p.TrustedRoots {
		if named[r.Name] {
			out = append(out, r)
		}
	}
	return out
}

func (s Scope) matches(name string) bool { return s.Prefix == Any || covers(s.Prefix, name) }

// covers reports whether name is prefix, or lies below it, in whole components.
func covers(prefix, name string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
	return ok && (rest == "" || rest[0] == '/' || strings.HasSuffix(prefix, ":"))
}

// isLocal reports whether a prefix is one of layouts or directories.
func isLocal(prefix string) bool {
	return slices.ContainsFunc(localSchemes, func(s string) bool { return strings.HasPrefix(prefix, s) })
}

// normalize makes the spellings of one subject equal: the letter case of a host
// means nothing, and a path can be written with detours.
func normalize(subject string) string {
	for _, scheme := range localSchemes {
		if p, ok := strings.CutPrefix(subject, scheme); ok {
			if p == "" {
				return subject
			}
			return scheme + path.Clean(p)
		}
	}
	host, repository, ok := strings.Cut(subject, "/")
	if !ok {
		return strings.ToLower(host)
	}
	return strings.ToLower(host) + "/" + repository
}

// checkPrefix refuses what would never match, or not what its author thinks.
func checkPrefix(prefix string) error {
	if prefix == Any {
		return nil
	}
	for _, scheme := range localSchemes {
		if p, ok := strings.CutPrefix(prefix, scheme); ok {
			if p != "" && (!path.IsAbs(p) || path.Clean(p) != p || p == "/") {
				return fmt.Errorf("the path in prefix %q must be absolute, below /, and without detours", prefix)
			}
			return nil
		}
	}
	host, repository, deeper := strings.Cut(prefix, "/")
	switch {
	case prefix == "":
		return fmt.Errorf("the prefix is empty; %q matches everything", Any)
	case strings.ContainsAny(prefix, "*?[]"):
		return fmt.Errorf("prefix %q has a wildcard; a prefix matches everything below it without one", prefix)
	case strings.Contains(prefix, "://"):
		return fmt.Errorf("prefix %q is a URL; write it as host/repository", prefix)
	case strings.ContainsAny(prefix, " \t\r\n\\"):
		return fmt.Errorf("prefix %q has a blank or a backslash in it", prefix)
	case strings.HasSuffix(prefix, "/") || host == "" || strings.Contains(prefix, "//"):
		return fmt.Errorf("prefix %q has an empty component; write it without / at its ends", prefix)
	case strings.Contains(prefix, "@") || strings.Contains(prefix[len(host):], ":"):
		return fmt.Errorf("prefix %q has a tag or a digest; a scope is about a repository", prefix)
	case strings.HasSuffix(host, ":"):
		return fmt.Errorf("prefix %q has neither a port nor one of %s", prefix, strings.Join(localSchemes, ", "))
	case !isHost(strings.ToLower(host)):
		return fmt.Errorf("%q does not begin with a registry host such as registry.example.com; no reference could match it", prefix)
	case repository != strings.ToLower(repository):
		return fmt.Errorf("prefix %q: the repository must be lower case; write %q", prefix, host+"/"+strings.ToLower(repository))
	case deeper && !repositoryPattern.MatchString(repository):
		return fmt.Errorf("prefix %q: %q is no repository: parts of a-z, 0-9, '.', '_' and '-', separated by '/'", prefix, repository)
	}
	return nil
}

// repositoryPattern is what the distribution specification calls a name. The
// beginning of one, in whole components, is one too.
var repositoryPattern = lazyregexp.New(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)

// isHost tells a registry host from the first component of a path as references
// do: it has a dot, a port, or is localhost.
func isHost(host string) bool {
	name, port, hasPort := strings.Cut(host, ":")
	if name == "" || hasPort && strings.Trim(port, "0123456789") != "" {
		return false
	}
	return hasPort || host == "localhost" || strings.Contains(host, ".")
}
