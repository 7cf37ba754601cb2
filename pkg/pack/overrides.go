package pack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	modelspec "github.com/modelpack/model-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/internal/yamlshape"
	"github.com/modseal/modseal/pkg/source"
)

// OverridesFile is the name of the optional file at the top of a model that
// says what its other files do not. It is packed like any other file, so that
// what was pulled packs to the same digest again.
const OverridesFile = "modseal.yaml"

// ErrOverrides is wrapped by every refusal of an override.
var ErrOverrides = errors.New("invalid override")

// Overrides are what the user says of a model, above what its files say.
type Overrides struct {
	Set         map[string]string // keys of [SettableKeys]
	Annotations map[string]string // of the manifest; an empty value removes one
	Roles       []source.RoleRule
	Exclude     []string // doublestar patterns
	// AllowGlobals are Python globals that may stand in the pickles of the model.
	AllowGlobals []string
}

// Merge returns o with more laid over it: what more says wins.
func (o Overrides) Merge(more Overrides) Overrides {
	return Overrides{
		Set:         overlay(o.Set, more.Set),
		Annotations: overlay(o.Annotations, more.Annotations),
		Roles:       slices.Concat(more.Roles, o.Roles),
		Exclude:     slices.Concat(o.Exclude, more.Exclude),

		AllowGlobals: slices.Concat(o.AllowGlobals, more.AllowGlobals),
	}
}

func overlay(under, over map[string]string) map[string]string {
	m := map[string]string{}
	for k, v := range under {
		m[k] = v
	}
	for k, v := range over {
		m[k] = v
	}
	return m
}

// ParseOverrides reads the text of [OverridesFile]. Unknown and doubled keys
// are refused: a typo must not lose what the user meant.
func ParseOverrides(text []byte) (Overrides, error) {
	if err := yamlshape.Check(text, limits.OverridesBytes, limits.OverridesLines); err != nil {
		return Overrides{}, fmt.Errorf("%w: %w", ErrOverrides, err)
	}
	var doc struct {
		Model       map[string]any    `yaml:"model"`
		Annotations map[string]string `yaml:"annotations"`
		Exclude     []string          `yaml:"exclude"`
		Roles       []struct {
			Path string `yaml:"path"`
			Role string `yaml:"role"`
		} `yaml:"roles"`
		Scan struct {
			AllowGlobals []string `yaml:"allowGlobals"`
		} `yaml:"scan"`
	}
	err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&doc)
	var unknown *yaml.UnknownFieldError
	if errors.As(err, &unknown) {
		return Overrides{}, fmt.Errorf("%w: line %d: %s; known are model, annotations, exclude, roles (path, role) and scan (allowGlobals)", ErrOverrides, unknown.GetToken().Position.Line, unknown.GetMessage())
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return Overrides{}, fmt.Errorf("%w: %w", ErrOverrides, yamlshape.Explain(err))
	}
	o := Overrides{Set: map[string]string{}, Annotations: doc.Annotations, Exclude: doc.Exclude, AllowGlobals: doc.Scan.AllowGlobals}
	for k, v := range doc.Model {
		text, err := scalarText(v)
		if err != nil {
			return Overrides{}, fmt.Errorf("%w: model.%s: %w", ErrOverrides, k, err)
		}
		o.Set[k] = text
	}
	for _, r := range doc.Roles {
		role := artifacttypes.Role(r.Role)
		if !role.Valid() {
			return Overrides{}, fmt.Errorf("%w: role %q of %q is none of %v", ErrOverrides, r.Role, r.Path, artifacttypes.Roles())
		}
		o.Roles = append(o.Roles, source.RoleRule{Pattern: r.Path, Role: role})
	}
	return o, o.Validate()
}

func scalarText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int, int64, uint64:
		return fmt.Sprint(v), nil
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			text, ok := item.(string)
			if !ok {
				return "", fmt.Errorf("item %d is not a text", i+1)
			}
			parts[i] = text
		}
		return strings.Join(parts, ","), nil
	}
	return "", fmt.Errorf("a text or a list of texts is needed (put quotes around %v)", v)
}

// Validate checks keys and values.
func (o Overrides) Validate() error {
	var scratch modelspec.Model
	for k, v := range o.Set {
		set, ok := settable[k]
		if !ok {
			return fmt.Errorf("%w: %q cannot be set; known are %s", ErrOverrides, k, strings.Join(SettableKeys(), ", "))
		}
		if err := set(&scratch, v); err != nil {
			return fmt.Errorf("%w: %s=%s: %w", ErrOverrides, k, v, err)
		}
	}
	for k := range o.Annotations {
		if strings.TrimSpace(k) == "" {
			return fmt.Errorf("%w: an annotation has an empty key", ErrOverrides)
		}
	}
	return nil
}

// SettableKeys lists the keys of [Overrides].Set.
func SettableKeys() []string {
	keys := make([]string, 0, len(settable))
	for k := range settable {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

type setter func(m *modelspec.Model, value string) error

// settable maps a key to the field of the ModelPack config that it sets
// (model-spec v0.0.7, config.md).
var settable = map[string]setter{
	"name":         text(func(m *modelspec.Model) *string { return &m.Descriptor.Name }),
	"title":        text(func(m *modelspec.Model) *string { return &m.Descriptor.Title }),
	"description":  text(func(m *modelspec.Model) *string { return &m.Descriptor.Description }),
	"family":       text(func(m *modelspec.Model) *string { return &m.Descriptor.Family }),
	"vendor":       text(func(m *modelspec.Model) *string { return &m.Descriptor.Vendor }),
	"version":      text(func(m *modelspec.Model) *string { return &m.Descriptor.Version }),
	"revision":     text(func(m *modelspec.Model) *string { return &m.Descriptor.Revision }),
	"docURL":       text(func(m *modelspec.Model) *string { return &m.Descriptor.DocURL }),
	"sourceURL":    text(func(m *modelspec.Model) *string { return &m.Descriptor.SourceURL }),
	"authors":      list(func(m *modelspec.Model) *[]string { return &m.Descriptor.Authors }),
	"licenses":     list(func(m *modelspec.Model) *[]string { return &m.Descriptor.Licenses }),
	"architecture": text(func(m *modelspec.Model) *string { return &m.Config.Architecture }),
	"format":       text(func(m *modelspec.Model) *string { return &m.Config.Format }),
	"paramSize":    checked(paramSize, func(m *modelspec.Model) *string { return &m.Config.ParamSize }),
	"precision":    checked(precision, func(m *modelspec.Model) *string { return &m.Config.Precision }),
	"quantization": text(func(m *modelspec.Model) *string { return &m.Config.Quantization }),
	"inputTypes":   modalities(func(c *modelspec.ModelCapabilities) *[]modelspec.Modality { return &c.InputTypes }),
	"outputTypes":  modalities(func(c *modelspec.ModelCapabilities) *[]modelspec.Modality { return &c.OutputTypes }),
	"reasoning":    flag(func(c *modelspec.ModelCapabilities) **bool { return &c.Reasoning }),
	"toolUsage":    flag(func(c *modelspec.ModelCapabilities) **bool { return &c.ToolUsage }),
	"reward":       flag(func(c *modelspec.ModelCapabilities) **bool { return &c.Reward }),
}

func text(field func(*modelspec.Model) *string) setter {
	return func(m *modelspec.Model, v string) error {
		*field(m) = v
		return nil
	}
}

// The validator of the specification takes any text for these two fields; its
// prose does not (model-spec v0.0.7, config.md).
func checked(check func(string) error, field func(*modelspec.Model) *string) setter {
	return func(m *modelspec.Model, v string) error {
		if err := check(v); err != nil {
			return err
		}
		*field(m) = v
		return nil
	}
}

var paramSizePattern = regexp.MustCompile(`^[0-9]+(\.[0-9])?[KMBTQkmbtq]$`)

func paramSize(v string) error {
	if !paramSizePattern.MatchString(v) {
		return errors.New("a number with at most one decimal and one of K, M, B, T, Q is needed, such as 1.5B")
	}
	return nil
}

var precisions = strings.Fields("float16 float32 float64 bfloat16 float8_e4m3 float8_e5m2 complex32 complex64 complex128 " +
	"int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool")

func precision(v string) error {
	for p := range strings.SplitSeq(v, ",") {
		if !slices.Contains(precisions, p) {
			return fmt.Errorf("%q is none of %s", p, strings.Join(precisions, ", "))
		}
	}
	return nil
}

func list(field func(*modelspec.Model) *[]string) setter {
	return func(m *modelspec.Model, v string) error {
		*field(m) = splitList(v)
		return nil
	}
}

func modalities(field func(*modelspec.ModelCapabilities) *[]modelspec.Modality) setter {
	return func(m *modelspec.Model, v string) error {
		var out []modelspec.Modality
		for _, item := range splitList(v) {
			switch modality := modelspec.Modality(item); modality {
			case modelspec.TextModality, modelspec.ImageModality, modelspec.AudioModality, modelspec.VideoModality,
				modelspec.EmbeddingModality, modelspec.OtherModality:
				out = append(out, modality)
			default:
				return fmt.Errorf("%q is none of text, image, audio, video, embedding, other", item)
			}
		}
		*field(capabilities(m)) = out
		return nil
	}
}

func flag(field func(*modelspec.ModelCapabilities) **bool) setter {
	return func(m *modelspec.Model, v string) error {
		b, err := strconv.ParseBool(v)
		if err != nil {
			return errors.New("true or false is needed")
		}
		*field(capabilities(m)) = &b
		return nil
	}
}

func capabilities(m *modelspec.Model) *modelspec.ModelCapabilities {
	if m.Config.Capabilities == nil {
		m.Config.Capabilities = &modelspec.ModelCapabilities{}
	}
	return m.Config.Capabilities
}

func splitList(v string) []string {
	var out []string
	for item := range strings.SplitSeq(v, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}
