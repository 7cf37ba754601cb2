package modseal

import (
	"context"
	"encoding/json"
	"fmt"

	modelspec "github.com/modelpack/model-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// InspectResult is what a manifest and its config say. Nobody vouches for it:
// inspecting does not verify.
type InspectResult struct {
	Reference    string            `json:"reference"`
	Digest       string            `json:"digest"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Size         int64             `json:"size"` // of all layers, in bytes
	Model        *modelspec.Model  `json:"model,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Layers       []InspectLayer    `json:"layers"`
	Warnings     []string          `json:"warnings,omitempty"`
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

// Inspect reads manifest and config of what target names; it reads no layer.
func (c *Client) Inspect(ctx context.Context, target string) (*InspectResult, error) {
	l, err := c.openTarget(target)
	if err != nil {
		return nil, err
	}
	a, err := l.resolve(ctx)
	if err != nil {
		return nil, err
	}
	m := a.model.Manifest
	res := &InspectResult{
		Reference: l.String(), Digest: a.descriptor.Digest.String(), ArtifactType: m.ArtifactType,
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
	raw, err := fetchBytes(ctx, l, m.Config, limits.ConfigBytes, "config")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.Target, err)
	}
	if err := json.Unmarshal(raw, &res.Model); err != nil {
		res.Model = nil
		res.Warnings = append(res.Warnings, "the config cannot be read: "+err.Error())
	}
	return res, nil
}
