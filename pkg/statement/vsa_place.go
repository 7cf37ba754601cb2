package statement

import (
	"encoding/hex"
	"fmt"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/lazyregexp"
)

// Place is where an artifact lies, as a resourceUri names it.
type Place struct {
	// Name is the one by which policies know it: host/repository, oci:/path or
	// archive:/path.
	Name string
	Tag  string // empty when there is none
	// Digest of the artifact; empty when there is none. A tag proves no digest: what
	// a statement is about, its subject says.
	Digest digest.Digest
}

// ResourceURI returns the URI by which modseal names an artifact in a place:
// oci://host/repository@digest for host/repository, and oci:/path@digest for the
// layout oci:/path.
func ResourceURI(name string, d digest.Digest) string {
	if scheme, p, ok := localPlace(name); ok {
		return scheme + escapePath(p) + "@" + d.String()
	}
	return "oci://" + name + "@" + d.String()
}

// ParseResourceURI reads a resourceUri that names a place where OCI artifacts lie,
// as modseal and other verifiers write it:
//
//   - oci://host/repository, docker://host/repository, and host/repository without
//     a scheme, each with :tag, @digest, both or neither;
//   - pkg:oci/name@digest?repository_url=host/repository&tag=tag, where the
//     repository ends with the name
//     (https://github.com/package-url/purl-spec/blob/main/types-doc/oci-definition.md);
//   - oci:/path and archive:/path, layouts and archives on a disk, with @digest or
//     without.
//
// A host has a dot, a port, or is localhost; its letter case means nothing. It
// reports false for everything else: such a URI names no place that could be
// compared, and is equal to itself alone.
func ParseResourceURI(uri string) (Place, bool) {
	if rest, ok := strings.CutPrefix(uri, "pkg:oci/"); ok {
		return parsePackageURL(rest)
	}
	for _, scheme := range []string{"oci://", "docker://"} {
		if rest, ok := strings.CutPrefix(uri, scheme); ok {
			return parsePlace(rest)
		}
	}
	if scheme, p, ok := localPlace(uri); ok {
		return parseLocalPlace(scheme, p)
	}
	return parsePlace(uri)
}

// localPlaces have a path after the colon, and not the two slashes of a host. A line
// feed in a path is a character like others.
var localPlaces = lazyregexp.New(`(?s)^(oci:|archive:)((?:/[^/]|[A-Za-z]:/).*)$`)

func localPlace(name string) (scheme, path string, ok bool) {
	m := localPlaces.FindStringSubmatch(name)
	if m == nil {
		return "", "", false
	}
	return m[1], m[2], true
}

func parseLocalPlace(scheme, escaped string) (Place, bool) {
	var pl Place
	if i := strings.LastIndex(escaped, "@sha"); i > 0 {
		pl.Digest = digest.Digest(escaped[i+1:])
		if artifacttypes.ValidateDigest(pl.Digest) != nil {
			return Place{}, false
		}
		escaped = escaped[:i]
	}
	p, ok := unescape(escaped)
	if !ok || path.Clean(p) != p {
		return Place{}, false
	}
	// What is left before a digest may be no more than the root.
	if _, _, local := localPlace(scheme + p); !local {
		return Place{}, false
	}
	pl.Name = scheme + p
	return pl, true
}

// The grammar of references
// (https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests).
var (
	placeHost       = lazyregexp.New(`^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?$`)
	placeRepository = lazyregexp.New(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	placeTag        = lazyregexp.New(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
)

// parsePlace reads host/repository[:tag][@digest].
func parsePlace(s string) (Place, bool) {
	var pl Place
	s, d, pinned := strings.Cut(s, "@")
	if pl.Digest = digest.Digest(d); pinned && artifacttypes.ValidateDigest(pl.Digest) != nil {
		return Place{}, false
	}
	host, repository, _ := strings.Cut(s, "/")
	repository, tag, tagged := strings.Cut(repository, ":")
	if pl.Tag = tag; tagged && !placeTag.MatchString(tag) {
		return Place{}, false
	}
	host = strings.ToLower(host)
	if !isPlaceHost(host) || !placeRepository.MatchString(repository) {
		return Place{}, false
	}
	pl.Name = host + "/" + repository
	return pl, true
}

// isPlaceHost tells a registry host from the first part of a path, as references
// do.
func isPlaceHost(host string) bool {
	return placeHost.MatchString(host) && (host == "localhost" || strings.ContainsAny(host, ".:"))
}

// parsePackageURL reads a package URL behind its type.
func parsePackageURL(s string) (Place, bool) {
	s, query, _ := strings.Cut(s, "?")
	name, version, versioned := strings.Cut(s, "@")
	qualifiers, ok := packageQualifiers(query)
	if !ok || name == "" || strings.ContainsAny(name, "/#") {
		return Place{}, false
	}
	pl, ok := parsePlace(qualifiers["repository_url"])
	if !ok || pl.Tag != "" || pl.Digest != "" || path.Base(pl.Name) != strings.ToLower(name) {
		return Place{}, false
	}
	if versioned {
		d, ok := unescape(version)
		if pl.Digest = digest.Digest(d); !ok || artifacttypes.ValidateDigest(pl.Digest) != nil {
			return Place{}, false
		}
	}
	if pl.Tag = qualifiers["tag"]; pl.Tag != "" && !placeTag.MatchString(pl.Tag) {
		return Place{}, false
	}
	return pl, true
}

// packageQualifiers reads key=value&key=value. A key that stands there twice, of
// which only one could be meant, makes it none.
func packageQualifiers(query string) (map[string]string, bool) {
	out := map[string]string{}
	if query == "" {
		return out, true
	}
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		value, ok := unescape(value)
		if _, twice := out[key]; twice || !ok || strings.Contains(value, "#") {
			return nil, false
		}
		out[key] = value
	}
	return out, true
}

// pathCharacters are those that a path in a URI has without being escaped, beside
// letters and digits (https://www.rfc-editor.org/rfc/rfc3986#section-3.3).
const pathCharacters = "/-._~:@!$&'()*+,;="

func escapePath(p string) string {
	var b strings.Builder
	for i := range len(p) {
		c := p[i]
		if '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || strings.IndexByte(pathCharacters, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// unescape reports false for an escape that is none.
func unescape(s string) (string, bool) {
	parts := strings.Split(s, "%")
	out := []byte(parts[0])
	for _, part := range parts[1:] {
		if len(part) < 2 {
			return "", false
		}
		c, err := hex.DecodeString(part[:2])
		if err != nil {
			return "", false
		}
		out = append(append(out, c...), part[2:]...)
	}
	return string(out), true
}
