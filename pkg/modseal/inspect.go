package modseal

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/bmatcuk/doublestar/v4"
	modelspec "github.com/modelpack/model-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/modelfile"
)

// InspectOptions say what [Client.Inspect] reads. The zero value reads headers and
// small files, and lists no tensors.
type InspectOptions struct {
	// ManifestOnly reads no file: it shows what the artifact says of itself.
	ManifestOnly bool
	// Tensors lists them. Match, when there is any, are doublestar patterns, of which
	// a name must match one.
	Tensors bool
	Match   []string
}

// InspectResult is what an artifact says of itself, and what its files say. Nobody
// vouches for it: inspecting does not verify.
type InspectResult struct {
	Reference    string            `json:"reference"`
	Digest       string            `json:"digest,omitempty"` // of the manifest; a directory has none
	ArtifactType string            `json:"artifactType,omitempty"`
	Size         int64             `json:"size"` // of all layers or files, in bytes
	Model        *modelspec.Model  `json:"model,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Layers       []InspectLayer    `json:"layers,omitempty"`
	// Facts is what the files say; nil when none was read.
	Facts *modelfile.Facts `json:"facts,omitempty"`
	// Files are all of them, also those in tar layers. Left out when none was read.
	Files []InspectFile `json:"files,omitempty"`
	// Unread are layers whose files nobody can read in parts.
	Unread  []UnreadLayer      `json:"unread,omitempty"`
	Tensors []modelfile.Tensor `json:"tensors,omitempty"` // by file and offset
	// TensorsLeftOut is how many there are beyond limits.InspectTensors.
	TensorsLeftOut uint64         `json:"tensorsLeftOut,omitempty"`
	Fetched        InspectFetched `json:"fetched"`
	Warnings       []string       `json:"warnings,omitempty"`
}

// InspectLayer is one layer: a file, or a tar of several.
type InspectLayer struct {
	Path       string `json:"path"`
	Role       string `json:"role"`
	Encoding   string `json:"encoding"`
	Size       int64  `json:"size"`
	Digest     string `json:"digest"`
	Executable bool   `json:"executable,omitempty"`
}

// InspectFile is one file of the model.
type InspectFile struct {
	Path       string `json:"path"`
	Role       string `json:"role"`
	Size       int64  `json:"size"`
	Digest     string `json:"digest,omitempty"` // empty where reading all of it would tell
	Format     string `json:"format,omitempty"` // of a weight file
	Executable bool   `json:"executable,omitempty"`
}

// InspectFetched is what was read to tell, in bytes: from a registry, what it sent.
type InspectFetched struct {
	Metadata int64 `json:"metadata"` // manifest and config
	Files    int64 `json:"files"`    // parts of files
}

// Total is all of it.
func (f InspectFetched) Total() int64 { return f.Metadata + f.Files }

// Inspect tells what the model is that target names: a registry reference, a layout,
// an archive or a directory.
//
// Of weights the headers are read, of the others small files; from a registry by
// ranges, so that no tensor is fetched. Files up to 64 KiB are compared with their
// digests. Parts of larger ones cannot be: they are what the registry says.
//
// A weight file that breaks the rules of its format, and files that contradict each
// other, are problems in the facts and no error.
func (c *Client) Inspect(ctx context.Context, target string, o InspectOptions) (*InspectResult, error) {
	for _, pattern := range o.Match {
		if !doublestar.ValidatePattern(pattern) {
			return nil, fmt.Errorf("%w: %q is no pattern", ErrUsage, pattern)
		}
	}
	t, err := ParseTarget(target)
	if err != nil {
		return nil, err
	}
	if t.Kind == KindDirectory {
		return c.inspectDirectory(ctx, t, o)
	}
	l, err := c.openTarget(ctx, target)
	if err != nil {
		return nil, err
	}
	var metadata atomic.Int64
	l.repository = &metered{l.repository, &metadata}
	a, err := l.resolve(ctx)
	if err != nil {
		return nil, err
	}
	res, err := a.inspectManifest(ctx)
	if err != nil {
		return nil, err
	}
	if !o.ManifestOnly {
		v, err := c.viewOf(ctx, a)
		if err != nil {
			return nil, err
		}
		if err := res.read(ctx, v, o); err != nil {
			return nil, fmt.Errorf("%s: %w", a.at(a.descriptor), err)
		}
		res.compareConfig()
	}
	res.Fetched.Metadata = metadata.Load()
	return res, nil
}

func (c *Client) inspectDirectory(ctx context.Context, t Target, o InspectOptions) (*InspectResult, error) {
	if o.ManifestOnly {
		return nil, fmt.Errorf("%w: %s is a directory, which has no manifest", ErrUsage, t)
	}
	v, _, err := c.viewTarget(ctx, t.String())
	if err != nil {
		return nil, err
	}
	res := &InspectResult{Reference: t.String(), Size: v.tree.Size()}
	return res, res.read(ctx, v, o)
}

// inspectManifest tells what manifest and config say.
func (a *artifact) inspectManifest(ctx context.Context) (*InspectResult, error) {
	m := a.model.Manifest
	res := &InspectResult{
		Reference: a.String(), Digest: a.descriptor.Digest.String(), ArtifactType: m.ArtifactType,
		Size: a.model.Size(), Annotations: m.Annotations,
	}
	for _, layer := range a.model.Layers {
		res.Layers = append(res.Layers, InspectLayer{
			Path: layer.Path, Role: string(layer.Role), Encoding: string(layer.Encoding),
			Size: layer.Descriptor.Size, Digest: layer.Descriptor.Digest.String(), Executable: layer.Executable,
		})
	}
	if m.Config.MediaType != artifacttypes.MediaTypeModelConfig {
		res.Warnings = append(res.Warnings, fmt.Sprintf("the config is %q, not a ModelPack config", m.Config.MediaType))
		return res, nil
	}
	raw, err := fetchBytes(ctx, a.location, m.Config, limits.ConfigBytes, "config")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.Target, err)
	}
	if err := json.Unmarshal(raw, &res.Model); err != nil {
		res.Model = nil
		res.Warnings = append(res.Warnings, "the config cannot be read: "+err.Error())
	}
	return res, nil
}

// read tells what the files say.
func (r *InspectResult) read(ctx context.Context, v *modelView, o InspectOptions) error {
	options := modelfile.Options{Tolerant: true, Missing: isAbsent}
	if o.Tensors {
		options.Tensor = func(t modelfile.Tensor) error { return r.addTensor(t, o.Match) }
	}
	v.warm(ctx)
	facts, err := modelfile.InspectWith(ctx, v.dirName(), v.files(), options)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	slices.SortFunc(r.Tensors, func(a, b modelfile.Tensor) int {
		return cmp.Or(strings.Compare(a.File, b.File), strings.Compare(a.Member, b.Member), cmp.Compare(a.Offset, b.Offset), strings.Compare(a.Name, b.Name))
	})
	r.Facts, r.Unread, r.Fetched.Files = facts, v.unreadable(), v.fetched()
	formats := map[string]string{}
	for _, w := range facts.Weights {
		formats[w.Path] = w.Format
	}
	for _, e := range v.entries() {
		r.Files = append(r.Files, InspectFile{
			Path: e.Path, Role: string(e.Role), Size: e.Size, Digest: e.Digest.String(), Format: formats[e.Path], Executable: e.Executable,
		})
	}
	return nil
}

func (r *InspectResult) addTensor(t modelfile.Tensor, match []string) error {
	if len(match) > 0 && !slices.ContainsFunc(match, func(p string) bool { return doublestar.MatchUnvalidated(p, t.Name) }) {
		return nil
	}
	if len(r.Tensors) == limits.InspectTensors {
		r.TensorsLeftOut++
		return nil
	}
	t.Shape = slices.Clone(t.Shape)
	r.Tensors = append(r.Tensors, t)
	return nil
}

// compareConfig warns where the config of an artifact says something else than its
// files.
func (r *InspectResult) compareConfig() {
	if r.Model == nil {
		return
	}
	c, f := r.Model.Config, r.Facts
	for _, field := range []struct{ name, said, found string }{
		{"family", r.Model.Descriptor.Family, f.Family},
		{"architecture", c.Architecture, f.Architecture},
		{"format", c.Format, f.Format},
		{"paramSize", c.ParamSize, f.ParamSize},
		{"precision", c.Precision, f.Precision},
		{"quantization", c.Quantization, f.Quantization},
	} {
		if field.said != "" && field.found != "" && !strings.EqualFold(field.said, field.found) {
			r.Warnings = append(r.Warnings, fmt.Sprintf("the config says %s %q, the files say %q", field.name, field.said, field.found))
		}
	}
}
