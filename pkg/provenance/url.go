package provenance

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/hf"
)

// cleanText is s without what a text of one line has not.
func cleanText(s string) string { return hf.CleanText(s, maxVariable) }

// plainURL returns an HTTP URL without what may be a secret in it: login, query and
// fragment.
func plainURL(s string) (string, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return "", false
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	return u.String(), true
}

// scpForm is how git lets people write SSH: [user@]host:path
// (https://git-scm.com/docs/git-clone#_git_urls).
var scpForm = regexp.MustCompile(`^(?:[^/@:]+@)?([^/@:\[\]]+):([^/].*|/.+)$`)

// plainRepository returns the URL of a git repository without login. The login of
// SSH is the one of the service, and goes too: the same repository has one name.
func plainRepository(s string) (string, bool) {
	if s != cleanText(s) || strings.ContainsAny(s, ` \\`) { // C:\repository is a path
		return "", false
	}
	if m := scpForm.FindStringSubmatch(s); m != nil && !strings.Contains(s, "://") && !strings.Contains(m[2], "@") { // with one, m[1] may be a login
		return "ssh://" + m[1] + "/" + strings.TrimPrefix(m[2], "/"), true
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return "", false
	}
	switch u.Scheme {
	case "https", "http", "ssh", "git":
	default:
		return "", false
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	return u.String(), true
}
