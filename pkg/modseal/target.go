package modseal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/archive"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/materialize"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/store"
	"github.com/modseal/modseal/pkg/transfer"
)

// TargetKind says where a target lies.
type TargetKind int

// The kinds of targets.
const (
	KindRegistry  TargetKind = iota // host/repository[:tag|@digest]
	KindLayout                      // oci:PATH[:TAG|@DIGEST]
	KindDirectory                   // ./PATH, ../PATH, /PATH or dir:PATH
	KindArchive                     // archive:FILE[:NAME|@DIGEST]
)

// Target is what a command works on, parsed but not opened.
type Target struct {
	Kind      TargetKind
	Registry  registry.Reference // KindRegistry
	Path      string             // KindLayout, KindDirectory, KindArchive
	Reference string             // tag or digest, in an archive also the full name; empty when none was given
}

// ErrUsage is wrapped when a call makes no sense whatever the world looks like.
var ErrUsage = errors.New("usage")

// ParseTarget parses the grammar of targets. A text without a prefix that does
// not begin with ".", "/" or "~" is a registry reference.
func ParseTarget(s string) (Target, error) {
	switch {
	case s == "":
		return Target{}, fmt.Errorf("%w: the target is empty", ErrUsage)
	case strings.HasPrefix(s, "oci:"):
		return parseLayout(strings.TrimPrefix(s, "oci:"))
	case strings.HasPrefix(s, "archive:"):
		return parseArchive(strings.TrimPrefix(s, "archive:"))
	case strings.HasPrefix(s, "dir:"):
		return parseDirectory(strings.TrimPrefix(s, "dir:"))
	case s == "." || s == ".." || filepath.IsAbs(s) || hasAnyPrefix(s, "./", "../", "/", `.\`, `..\`):
		return parseDirectory(s)
	}
	ref, err := remote.ParseReference(s)
	if err != nil {
		if _, missing := os.Lstat(s); missing == nil {
			return Target{}, fmt.Errorf("%w: %w; for what is here, write ./%s", ErrUsage, err, s)
		}
		return Target{}, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return Target{Kind: KindRegistry, Registry: ref, Reference: ref.Reference}, nil
}

func hasAnyPrefix(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

func parseDirectory(path string) (Target, error) {
	if path == "" {
		return Target{}, fmt.Errorf("%w: the path of the directory is empty", ErrUsage)
	}
	return Target{Kind: KindDirectory, Path: path}, nil
}

// parseLayout splits PATH[:TAG|@DIGEST]. The tag is what follows the last colon
// when no path separator does, so that oci:C:\x and oci:./a:b/c stay paths.
func parseLayout(s string) (Target, error) {
	t := Target{Kind: KindLayout, Path: s}
	if i := strings.LastIndex(s, "@sha"); i > 0 && strings.Contains(s[i:], ":") && !strings.ContainsAny(s[i:], `/\`) {
		t.Path, t.Reference = s[:i], s[i+1:]
		if err := artifacttypes.ValidateDigest(digest.Digest(t.Reference)); err != nil {
			return Target{}, fmt.Errorf("%w: oci:%s: %w", ErrUsage, s, err)
		}
	} else if i := strings.LastIndexByte(s, ':'); i > 0 && !strings.ContainsAny(s[i:], `/\`) {
		t.Path, t.Reference = s[:i], s[i+1:]
		if err := (registry.Reference{Reference: t.Reference}).ValidateReferenceAsTag(); err != nil {
			return Target{}, fmt.Errorf("%w: oci:%s: %q is not a valid tag", ErrUsage, s, t.Reference)
		}
	}
	if t.Path == "" {
		return Target{}, fmt.Errorf("%w: oci:%s: the path of the layout is empty", ErrUsage, s)
	}
	return t, nil
}

// parseArchive splits FILE[:NAME|@DIGEST] at the first colon, as other tools do
// for archives, since a name has colons itself; not at that of C:\x.
func parseArchive(s string) (Target, error) {
	t := Target{Kind: KindArchive, Path: s}
	drive := len(filepath.VolumeName(s))
	if i := strings.Index(s, "@sha"); i > 0 && !strings.Contains(s[drive:i], ":") {
		t.Path, t.Reference = s[:i], s[i+1:]
		if err := artifacttypes.ValidateDigest(digest.Digest(t.Reference)); err != nil {
			return Target{}, fmt.Errorf("%w: archive:%s: %w", ErrUsage, s, err)
		}
	} else if path, name, ok := strings.Cut(s[drive:], ":"); ok {
		t.Path, t.Reference = s[:drive]+path, name
		if name == "" {
			return Target{}, fmt.Errorf("%w: archive:%s: the name after the colon is empty", ErrUsage, s)
		}
	}
	if t.Path == "" {
		return Target{}, fmt.Errorf("%w: archive:%s: the path of the archive is empty", ErrUsage, s)
	}
	return t, nil
}

// String returns the target as it can be parsed again.
func (t Target) String() string {
	switch t.Kind {
	case KindLayout:
		return "oci:" + t.Path + t.suffix()
	case KindDirectory:
		return "dir:" + t.Path
	case KindArchive:
		return "archive:" + t.Path + t.suffix()
	case KindRegistry:
	}
	return t.Registry.Registry + "/" + t.Registry.Repository + t.suffix()
}

func (t Target) suffix() string {
	switch {
	case t.Reference == "":
		return ""
	case artifacttypes.ValidateDigest(digest.Digest(t.Reference)) == nil:
		return "@" + t.Reference
	}
	return ":" + t.Reference
}

// Scope returns the name by which policies know the target: host/repository,
// oci:/absolute/path, archive:/absolute/path or dir:/absolute/path. What an archive
// calls its artifacts is no such name: whoever made it chose that.
func (t Target) Scope() string {
	if t.Kind == KindRegistry {
		return t.Registry.Registry + "/" + t.Registry.Repository
	}
	abs, err := filepath.Abs(t.Path)
	if err != nil {
		abs = t.Path
	}
	switch t.Kind {
	case KindLayout:
		return "oci:" + filepath.ToSlash(abs)
	case KindArchive:
		return "archive:" + filepath.ToSlash(abs)
	default:
		return "dir:" + filepath.ToSlash(abs)
	}
}

// at returns the target with the digest in the place of its tag: what people
// need to say again what was decided.
func (t Target) at(d ocispec.Descriptor) string {
	t.Reference = d.Digest.String()
	return t.String()
}

// repository is what a repository of a registry and a layout have in common.
type repository interface {
	Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error)
	Fetch(ctx context.Context, target ocispec.Descriptor) (io.ReadCloser, error)
	Exists(ctx context.Context, target ocispec.Descriptor) (bool, error)
	Push(ctx context.Context, expected ocispec.Descriptor, content io.Reader) error
	Tag(ctx context.Context, desc ocispec.Descriptor, reference string) error
	Tags(ctx context.Context, last string, fn func(tags []string) error) error
	Referrers(ctx context.Context, desc ocispec.Descriptor, artifactType string, fn func([]ocispec.Descriptor) error) error
}

// location is an opened target.
type location struct {
	Target
	repository
	blobs   materialize.Source // where layers are read from
	archive *archive.Archive   // nil for everything else
	// ingester returns where new layers go.
	ingester func(o transfer.UploadOptions) ingest.Ingester
}

// open opens a registry or layout target. create is for what is written to: it
// makes a layout that is not there yet, and asks a registry itself, whose tags
// and referrers a mirror may have of yesterday.
func (c *Client) open(ctx context.Context, t Target, create bool) (*location, error) {
	return c.openAs(ctx, t, create, create)
}

func (c *Client) openAs(ctx context.Context, t Target, create, direct bool) (*location, error) {
	switch t.Kind {
	case KindLayout:
		open := store.Open
		if create {
			open = store.Create
		}
		layout, err := open(t.Path)
		if err != nil {
			return nil, err
		}
		return &location{
			Target: t, repository: layout, blobs: layout,
			ingester: func(transfer.UploadOptions) ingest.Ingester { return layout.Reporting(c.o.Progress) },
		}, nil
	case KindRegistry:
		repo, err := c.registry.Repository(t.Registry)
		if err != nil {
			return nil, err
		}
		if direct {
			repo = repo.Direct()
		}
		return &location{
			Target: t, repository: repo,
			blobs: transfer.NewFetcher(repo).Reporting(c.o.Progress),
			ingester: func(o transfer.UploadOptions) ingest.Ingester {
				o.StateDir, o.Profiles, o.Progress = c.o.StateDir, c.profiles, c.o.Progress
				return transfer.NewUploader(repo, o)
			},
		}, nil
	case KindArchive:
		if create || direct {
			return nil, fmt.Errorf("%w: %s: %w", ErrUsage, t, archive.ErrReadOnly)
		}
		return c.openArchive(ctx, t)
	case KindDirectory:
	}
	return nil, fmt.Errorf("%w: %s is a directory; a registry reference (host/repository:tag), an OCI layout (oci:PATH:TAG) or an archive (archive:FILE) is needed", ErrUsage, t)
}

// openTarget opens what must be there already: what most verbs begin with.
func (c *Client) openTarget(ctx context.Context, target string) (*location, error) {
	t, err := parseThere(target)
	if err != nil {
		return nil, err
	}
	l, err := c.open(ctx, t, false)
	if err != nil {
		return nil, err
	}
	return l, l.chooseArtifact(ctx)
}

// parseThere parses the name of what must be there already. Whoever gives the bare
// name of a file means an archive, and is told how one is named.
func parseThere(target string) (Target, error) {
	t, err := ParseTarget(target)
	path := t.Path
	if err != nil {
		path = target
	}
	if err == nil && t.Kind != KindDirectory {
		return t, nil
	}
	if info, statErr := os.Stat(path); statErr == nil && info.Mode().IsRegular() {
		return Target{}, fmt.Errorf("%w: %s is a file; an archive is named archive:%s", ErrUsage, path, path)
	}
	return t, err
}

// artifact is a resolved model: from here on everything goes by digest.
type artifact struct {
	*location
	descriptor ocispec.Descriptor
	manifest   []byte
	model      *artifacttypes.Model
	// lies is what people look at to see it, while it is not where it is named yet.
	lies string
}

// ManifestError says that what a reference names is not a model that modseal
// would act on: not a model at all, malformed, or with unsafe paths.
type ManifestError struct {
	Reference string
	Err       error
}

func (e *ManifestError) Error() string { return e.Reference + ": refused: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *ManifestError) Unwrap() error { return e.Err }

// resolve resolves the target's reference, once, and reads its manifest.
func (l *location) resolve(ctx context.Context) (*artifact, error) {
	desc, err := l.find(ctx)
	if err != nil {
		return nil, err
	}
	raw, err := fetchManifest(ctx, l, desc)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.Target, err)
	}
	if isIndex(desc.MediaType) {
		return nil, &ManifestError{l.String(), fmt.Errorf("%w: it is an index of several manifests; name one by its digest:%s", artifacttypes.ErrNotAModel, children(l.Target, raw))}
	}
	model, err := artifacttypes.ParseManifest(raw)
	if err != nil {
		return nil, &ManifestError{l.at(desc), err}
	}
	return &artifact{location: l, descriptor: desc, manifest: raw, model: model}, nil
}
