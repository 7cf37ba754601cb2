package remote

import (
	_ "crypto/sha256" // digests of references are sha256 …
	_ "crypto/sha512" // … or sha512
	"fmt"
	"strings"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/lazyregexp"
)

// Reference names a repository in a registry, and in it a tag, a digest or
// nothing.
type Reference = registry.Reference

// maxReferenceBytes bounds a reference: 255 for the name as registries do, 128
// for a tag, 135 for a sha512 digest.
const maxReferenceBytes = 255 + 1 + 128 + 1 + 135

// ParseReference reads host[:port]/repository[:tag][@digest], the grammar that
// is usual in the field. A host has a dot, a port, or is localhost; no registry
// and no tag is assumed. Of a tag and a digest the digest counts, since it
// names the content.
//
// Every error wraps errdef.ErrInvalidReference and says what to write instead.
func ParseReference(s string) (Reference, error) {
	refuse := func(format string, a ...any) (Reference, error) {
		return Reference{}, fmt.Errorf("%w %.200q: %s", errdef.ErrInvalidReference, s, fmt.Sprintf(format, a...))
	}
	host, rest, ok := strings.Cut(s, "/")
	if strings.Contains(host, "@") && ok {
		// Not quoted: what stands before the @ may be a password.
		return Reference{}, fmt.Errorf("%w: it holds credentials before the host; leave them out and log in to the registry", errdef.ErrInvalidReference)
	}
	switch {
	case s == "":
		return refuse("it is empty; write host/repository:tag or host/repository@digest")
	case len(s) > maxReferenceBytes:
		return refuse("it is longer than %d bytes", maxReferenceBytes)
	case strings.Contains(s, "://"):
		if scheme, after, _ := strings.Cut(s, "://"); strings.Contains(strings.SplitN(after, "/", 2)[0], "@") {
			return Reference{}, fmt.Errorf("%w: it begins with %.20q and holds credentials; write host/repository", errdef.ErrInvalidReference, scheme+"://")
		}
		return refuse("it is a URL; leave out the part up to ://")
	case !ok && onlyHost.MatchString(s):
		return refuse("it names no repository; write %s/repository", s)
	case !ok:
		return refuse("it names no registry; write host/%s", strings.ToLower(s))
	case !isHost(host):
		return refuse("%q is no registry host, which has a dot, a port, or is localhost", host)
	case rest == "":
		return refuse("it names no repository; write %s/repository", host)
	}
	ref, err := registry.ParseReference(s)
	if name, _, pinned := strings.Cut(rest, "@"); err == nil {
		// oras-go takes an empty tag or digest for none, and any tag before a
		// digest.
		_, tag, tagged := strings.Cut(name, ":")
		switch {
		case tagged && (Reference{Reference: tag}).ValidateReferenceAsTag() != nil, pinned && ref.Reference == "":
			return refuse("%s", whyInvalid(host, rest))
		}
	}
	if err == nil && ref.Reference != "" && strings.Contains(rest, "@") {
		err = artifacttypes.ValidateDigest(digestOf(ref))
	}
	if err == nil && len(ref.Repository) > 255 {
		return refuse("the repository is longer than 255 bytes")
	}
	if err != nil {
		return refuse("%s", whyInvalid(host, rest))
	}
	return ref, nil
}

// isHost tells a registry host from the first part of a path as Docker does.
func isHost(host string) bool {
	return host == "localhost" || strings.ContainsAny(host, ".:")
}

// onlyHost are hosts that are no name of a model with a tag: an address or a name with
// dots, and a port; a bare name with dots may be either.
var onlyHost = lazyregexp.New(`^(localhost(:[0-9]+)?|([A-Za-z0-9-]+\.)+[A-Za-z0-9-]+:[0-9]+|\[[0-9a-fA-F:]+\](:[0-9]+)?)$`)

// whyInvalid finds the part of a reference that is wrong. It is only called for
// references that are known to be.
func whyInvalid(host, rest string) string {
	if (Reference{Registry: host}).ValidateRegistry() != nil {
		return fmt.Sprintf("%q is no registry host", host)
	}
	name, dgst, hasDigest := strings.Cut(rest, "@")
	name, tag, hasTag := strings.Cut(name, ":")
	switch {
	case name != strings.ToLower(name):
		return fmt.Sprintf("the repository must be lower case; write %q", strings.ToLower(name))
	case (Reference{Repository: name}).ValidateRepository() != nil:
		return fmt.Sprintf("%q is no repository: parts of a-z, 0-9, '.', '_' and '-', separated by '/'", name)
	case hasTag && tag == "":
		return "the tag after ':' is empty"
	case hasTag && (Reference{Reference: tag}).ValidateReferenceAsTag() != nil:
		return fmt.Sprintf("%q is no tag: up to 128 of letters, digits, '_', '.' and '-', not beginning with '.' or '-'", tag)
	case hasDigest:
		return fmt.Sprintf("%q is no digest; write sha256: and 64 hexadecimal digits", dgst)
	}
	return "it is not host/repository[:tag][@digest]"
}
