package modseal

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/remote"
)

// usagef makes an error of a call that makes no sense.
func usagef(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUsage, fmt.Sprintf(format, args...))
}

// destination says where artifacts go: all of them to one place, or each
// repository to one of its own.
type destination struct {
	text string
	one  *Target
	// Otherwise one of these, to which the path of a repository is added.
	registry string // host or host/prefix
	layouts  string // a directory
}

// parseDestination reads the DST of a load.
func parseDestination(dst string) (destination, error) {
	d := destination{text: dst}
	switch rest, slash := strings.CutSuffix(dst, "/"); {
	case slash && strings.HasPrefix(dst, "oci:"):
		d.layouts = strings.TrimRight(strings.TrimPrefix(rest, "oci:"), "/")
		if d.layouts == "" && !strings.HasPrefix(dst, "oci:/") {
			return d, usagef("%s: the path of the directory is empty", dst)
		}
		if d.layouts == "" {
			d.layouts = "/"
		}
		return d, nil
	case slash && !strings.HasPrefix(dst, "/") && !strings.HasPrefix(dst, "."):
		d.registry = rest
		if ref, err := remote.ParseReference(rest + "/any"); err != nil || ref.Reference != "" {
			return d, usagef("%s is no host, and no host with the beginning of a repository", dst)
		}
		return d, nil
	}
	if info, err := os.Stat(dst); err == nil && info.Mode().IsRegular() {
		return d, usagef("%s is a file; the last argument says where to load to", dst)
	}
	t, err := ParseTarget(dst)
	if err != nil {
		return d, err
	}
	if t.Kind != KindRegistry && t.Kind != KindLayout {
		return d, usagef("%s is neither a registry reference (host/repository:tag) nor an OCI layout (oci:PATH:TAG)", dst)
	}
	d.one = &t
	return d, nil
}

func (d destination) isLayout() bool {
	return d.layouts != "" || d.one != nil && d.one.Kind == KindLayout
}

// of returns where a parcel goes.
func (d destination) of(p parcel) (Target, error) {
	reference := p.tag
	if reference == "" {
		reference = p.desc.Digest.String()
	}
	if d.one != nil {
		t := *d.one
		if t.Reference == "" {
			t.Reference = reference
		}
		if want := digest.Digest(t.Reference); artifacttypes.ValidateDigest(want) == nil && want != p.desc.Digest {
			return t, usagef("%s is to hold %s, and %s is %s", d.text, want, p.name, p.desc.Digest)
		}
		return t, nil
	}
	if p.repository == "" {
		return Target{}, usagef("the archive does not say of which repository %s is: name one as the destination", p.name)
	}
	if d.layouts != "" {
		// The grammar of repositories knows no ".." and no empty part.
		return Target{Kind: KindLayout, Path: filepath.Join(d.layouts, filepath.FromSlash(p.repository)), Reference: reference}, nil
	}
	ref, err := remote.ParseReference(d.registry + "/" + p.repository)
	if err != nil {
		return Target{}, usagef("%v", err)
	}
	ref.Reference = reference
	return Target{Kind: KindRegistry, Registry: ref, Reference: reference}, nil
}

// fits refuses a destination to which not all parcels can go.
func (d destination) fits(all []parcel) error {
	if d.one == nil {
		return nil
	}
	var repositories []string
	for _, p := range all {
		if !slices.Contains(repositories, p.repository) {
			repositories = append(repositories, p.repository)
		}
	}
	if len(repositories) > 1 {
		form := "HOST/ or HOST/PREFIX/"
		if d.isLayout() {
			form = "oci:PATH/"
		}
		return usagef("%s is one place, and the artifacts are of %d repositories (%s); with %s each goes to a place of its own, or choose among them",
			d.text, len(repositories), strings.Join(repositories[:min(len(repositories), 5)], ", "), form)
	}
	if d.one.Reference != "" && len(all) > 1 {
		return usagef("%s is one tag, and there are %d artifacts; leave the tag out, or choose one of them:%s", d.text, len(all), namesOf(all))
	}
	return nil
}

// mayBeLayout refuses a layout within another one, which is there or is to be made:
// an archive could name a repository after the blobs of what was loaded before.
func (l *loading) mayBeLayout(to Target) error {
	top := filepath.Clean(l.to.layouts)
	for dir := filepath.Dir(to.Path); dir != top && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if there(filepath.Join(dir, ocispec.ImageLayoutFile)) {
			return usagef("%s would lie within the layout %s; name another destination for it, or choose others with --artifact", to, dir)
		}
	}
	for _, o := range l.shipments {
		outer, inner := o.to.Path, to.Path
		if len(outer) > len(inner) {
			outer, inner = inner, outer
		}
		if strings.HasPrefix(inner, outer+string(filepath.Separator)) {
			return usagef("%s would lie within the layout %s; load them to different destinations, one after the other", inner, outer)
		}
	}
	return nil
}
