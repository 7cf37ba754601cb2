package modseal

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"
)

// destinationOf returns where an artifact from src goes. With a slash at its end,
// dst is a prefix, and the repository of src follows it. Otherwise dst is a
// repository or a layout, and names an artifact itself only when that is the one
// that is copied. Without a tag it gets that of src.
func destinationOf(dst string, src Target, many bool) (Target, error) {
	prefix, isPrefix := strings.CutSuffix(dst, "/")
	if isPrefix {
		if src.Kind != KindRegistry {
			return Target{}, fmt.Errorf("%w: %s has no name of a repository to put behind %s; name the destination without a slash at its end", ErrUsage, src, dst)
		}
		dst = prefix + "/" + src.Registry.Repository
		if strings.HasPrefix(prefix, "oci:") {
			return Target{Kind: KindLayout, Path: filepath.Join(prefix[len("oci:"):], filepath.FromSlash(src.Registry.Repository)), Reference: src.Reference}, nil
		}
	}
	t, err := ParseTarget(dst)
	if err != nil {
		return Target{}, err
	}
	if t.Kind != KindRegistry && t.Kind != KindLayout {
		return Target{}, fmt.Errorf("%w: %s is neither a registry nor an OCI layout", ErrUsage, t)
	}
	if many && t.Reference != "" {
		return Target{}, fmt.Errorf("%w: several artifacts cannot all become %s; name a repository, or a prefix with a slash at its end", ErrUsage, t)
	}
	if t.Reference == "" {
		t.Reference = src.Reference
	}
	return t, nil
}

// lane is what destinations have in common whose copies are made one after the
// other, so that what is sent to one of them can be mounted in the next: a registry,
// or a layout.
func (t Target) lane() string {
	if t.Kind == KindRegistry {
		return t.Registry.Host()
	}
	return "oci:" + path.Clean(filepath.ToSlash(t.Path))
}

// place is the same for all names of one tag or digest in one repository or layout.
func (t Target) place() string {
	if t.Kind == KindRegistry {
		return strings.ToLower(t.Registry.Host()) + "/" + t.Registry.Repository + t.suffix()
	}
	return t.Scope() + t.suffix()
}
