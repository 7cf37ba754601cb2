package provenance

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/modseal/modseal/pkg/internal/lazyregexp"
)

// ErrMaterial is wrapped when a text names nothing that something can be made from.
var ErrMaterial = errors.New("no name of a model or data set")

// hubName is the name of a model or data set on the Hugging Face hub, with a
// revision or without: NAME, ORGANISATION/NAME
// (https://huggingface.co/docs/huggingface_hub/package_reference/utilities#huggingface_hub.utils.validate_repo_id).
var hubName = lazyregexp.New(`^([A-Za-z0-9][A-Za-z0-9._-]{0,95}/)?[A-Za-z0-9][A-Za-z0-9._-]{0,95}(@[A-Za-z0-9._/-]{1,255})?$`)

// digestSuffix is a digest behind a URI: @algorithm:hex, of an algorithm that
// in-toto names (https://github.com/in-toto/attestation/blob/v1.2.0/spec/v1/digest_set.md).
var digestSuffix = lazyregexp.New(`@(sha256|sha384|sha512|sha1|gitCommit|blake2b):([0-9a-f]{8,128})$`)

var absolute = lazyregexp.New(`^[A-Za-z][A-Za-z0-9+.-]*:\S+$`)

// hexBytes is how many digits digests have.
var hexDigits = map[string][]int{
	"sha256": {64}, "sha384": {96}, "sha512": {128}, "sha1": {40}, "gitCommit": {40, 64}, "blake2b": {64, 128},
}

// Hub returns the resource that a name of the Hugging Face hub stands for, as a
// package URL
// (https://github.com/package-url/purl-spec/blob/main/types-doc/huggingface-definition.md).
// It has a digest only when the revision is a commit: what a branch holds today,
// nobody has asked. Data sets have no package URL of their own type, and get the URL
// of the hub. Errors wrap [ErrMaterial].
func Hub(as, name string) (Resource, error) {
	if !hubName.MatchString(name) || strings.Contains(name, "..") {
		return Resource{}, fmt.Errorf("%w: %q", ErrMaterial, name)
	}
	id, revision, _ := strings.Cut(name, "@")
	r := Resource{Name: as}
	if as == NameDataset {
		r.URI = "git+https://huggingface.co/datasets/" + id
	} else {
		r.URI = "pkg:huggingface/" + id
	}
	if revision == "" {
		return r, nil
	}
	if lower := strings.ToLower(revision); commit.MatchString(lower) {
		revision = lower
		r.Digest = map[string]string{"gitCommit": revision}
	}
	r.URI += "@" + strings.ReplaceAll(revision, "/", "%2F")
	return r, nil
}

// Material returns the resource that a URI stands for: with a digest behind it, such
// as https://example.com/data.tar@sha256:…, or without. Logins are
// dropped, and queries and fragments of web addresses. It reports false for what is no absolute URI. Errors
// wrap [ErrMaterial].
func Material(as, uri string) (r Resource, ok bool, err error) {
	if !absolute.MatchString(uri) || uri != cleanText(uri) {
		return Resource{}, false, nil
	}
	r = Resource{Name: as, URI: uri}
	if m := digestSuffix.FindStringSubmatchIndex(uri); m != nil {
		algorithm, value := uri[m[2]:m[3]], uri[m[4]:m[5]]
		fits := false
		for _, n := range hexDigits[algorithm] {
			fits = fits || n == len(value)
		}
		if !fits {
			return Resource{}, true, fmt.Errorf("%w: %q: a %s digest has not %d digits", ErrMaterial, uri, algorithm, len(value))
		}
		r.URI, r.Digest = uri[:m[0]], map[string]string{algorithm: value}
	}
	if r.URI, err = withoutLogin(r.URI); err != nil {
		return Resource{}, true, err
	}
	return r, true, nil
}

// withoutLogin returns a URI without what may be a secret in it. One that might have
// a login and cannot be read is refused, and not shown.
func withoutLogin(uri string) (string, error) {
	git, isGit := strings.CutPrefix(uri, "git+")
	prefix := ""
	if isGit {
		prefix = "git+"
	}
	if web, ok := plainURL(git); ok {
		return prefix + web, nil
	}
	u, unreadable := url.Parse(git)
	switch {
	case unreadable != nil && strings.Contains(uri, "@"):
		return "", fmt.Errorf("%w: it is no URI that can be read", ErrMaterial)
	case unreadable != nil, u.User == nil:
		return uri, nil //nolint:nilerr // there is no login in what has no @
	}
	u.User = nil
	return prefix + u.String(), nil
}

// Pinned reports whether there is no doubt about which bytes the resource is.
func (r Resource) Pinned() bool { return len(r.Digest) > 0 }
