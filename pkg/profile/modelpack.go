package profile

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/modelfile/hf"
)

// ModelPackVersion is the version of the ModelPack specification that [Deviations]
// knows.
const ModelPackVersion = "0.0.7"

// The clauses of ModelPack v0.0.7
// (https://github.com/modelpack/model-spec/tree/v0.0.7/docs).
const (
	clauseManifest     = "spec.md, OCI Image Manifest Specification For Model Artifacts"
	clauseCompression  = "spec.md, Guidance on Layers"
	clauseLayerKeys    = "annotations.md, Layer Annotation Keys"
	clauseFileMetadata = "annotations.md, File Metadata Annotation Value"
	clauseConfig       = "config.md, Properties"
	clauseDiffID       = "config.md, Terminology"
)

// formerNames is the name space of ModelPack before 2026.
const formerNames = "cnai."

// Deviation is something that an artifact has otherwise than the ModelPack
// specification wants it, and with which it is read all the same. Text is clean.
type Deviation struct {
	Level  Level  `json:"level"`
	Where  string `json:"where"`            // in the manifest, or after "config blob: " in that
	Found  string `json:"found"`            // what is there, and what should be
	Layers int    `json:"layers,omitempty"` // that have it, when layers do; Found tells of the first
	Clause string `json:"clause"`           // page and section of the specification
}

// Deviations compares a manifest with the ModelPack specification, and its config
// blob, unless that is nil. Every kind of deviation is told once.
func Deviations(m *artifacttypes.Model, config []byte) []Deviation {
	d := &deviations{list: []Deviation{}, layers: map[string]int{}}
	d.manifest(m)
	for i := range m.Layers {
		d.layer(i, &m.Layers[i])
	}
	if config != nil {
		d.config(m, config)
	}
	return d.list
}

// deviations gathers them.
type deviations struct {
	list   []Deviation
	layers map[string]int // by where and kind: the place in list
}

func (d *deviations) add(level Level, where, clause, format string, args ...any) {
	d.list = append(d.list, Deviation{Level: level, Where: where, Clause: clause, Found: hf.CleanText(fmt.Sprintf(format, args...), maxValue)})
}

// addLayer notes what a layer has; of layers that have the same the first is told.
func (d *deviations) addLayer(level Level, i int, l *artifacttypes.Layer, where, kind, clause, format string, args ...any) {
	if at, ok := d.layers[where+kind]; ok {
		d.list[at].Layers++
		return
	}
	d.layers[where+kind] = len(d.list)
	name := l.Path
	if name == "" {
		name = l.Descriptor.Digest.String()
	}
	d.add(level, where, clause, "layer %d (%.100s): "+format, append([]any{i, name}, args...)...)
	d.list[len(d.list)-1].Layers = 1
}

func (d *deviations) manifest(m *artifacttypes.Model) {
	for _, t := range []struct{ where, is, want string }{
		{"mediaType", m.Manifest.MediaType, "application/vnd.oci.image.manifest.v1+json"},
		{"artifactType", m.Manifest.ArtifactType, artifacttypes.ArtifactTypeModel},
		{"config.mediaType", m.Manifest.Config.MediaType, artifacttypes.MediaTypeModelConfig},
	} {
		switch {
		case t.is == t.want:
		case t.is == "":
			d.add(Must, t.where, clauseManifest, "it is missing, and must be %s", t.want)
		case strings.Contains(t.is, formerNames):
			d.add(Must, t.where, clauseManifest, "%.200q is of the name space before 2026; it must be %s", t.is, t.want)
		default:
			d.add(Must, t.where, clauseManifest, "%.200q; it must be %s", t.is, t.want)
		}
	}
}

func (d *deviations) layer(i int, l *artifacttypes.Layer) {
	mediaType, a := l.Descriptor.MediaType, l.Descriptor.Annotations
	const types, keys = "layers[].mediaType", "layers[].annotations"
	_, _, known := artifacttypes.ParseLayerType(mediaType)
	switch {
	case !known:
		d.addLayer(Should, i, l, types, "unknown", clauseManifest, "%.200q is none of the 20 types of ModelPack", mediaType)
	case strings.Contains(mediaType, formerNames):
		d.addLayer(Should, i, l, types, "former", clauseManifest, "%.200q is of the name space before 2026", mediaType)
	case l.Role == artifacttypes.RoleWeight && (l.Encoding == artifacttypes.EncodingTarGzip || l.Encoding == artifacttypes.EncodingTarZstd):
		d.addLayer(Should, i, l, types, "packed", clauseCompression, "%s: weights are recommended to be packaged without compression", mediaType)
	}
	for key := range a {
		if strings.HasPrefix(key, "org."+formerNames) {
			d.addLayer(Should, i, l, keys, "former", clauseLayerKeys, "a key of the name space before 2026, org.cnai.model.…")
			break
		}
	}
	if a[artifacttypes.AnnotationFilePath] == "" {
		d.addLayer(Should, i, l, keys, "path", clauseLayerKeys, "no %s; its path is from another annotation, if there is one", artifacttypes.AnnotationFilePath)
	}
	if v, ok := a[artifacttypes.AnnotationUntested]; ok && v != "true" && v != "false" {
		d.addLayer(Should, i, l, keys, "untested", clauseLayerKeys, `%s is %.50q, and neither "true" nor "false"`, artifacttypes.AnnotationUntested, v)
	}
	switch text := a[artifacttypes.AnnotationFileMetadata]; {
	case text != "":
		if wrong := wrongMetadata(text); wrong != "" {
			d.addLayer(Should, i, l, artifacttypes.AnnotationFileMetadata, "", clauseFileMetadata, "%s", wrong)
		}
	case l.Encoding == artifacttypes.EncodingRaw:
		d.addLayer(Should, i, l, keys, "metadata", clauseLayerKeys, "no %s", artifacttypes.AnnotationFileMetadata)
	}
}

// wrongMetadata says what the metadata of a file lack. That the rest of them can be
// read was found when the manifest was.
func wrongMetadata(text string) string {
	var meta map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &meta) != nil {
		return "it is no JSON object"
	}
	var missing []string
	for _, key := range []string{"name", "mode", "uid", "gid", "size", "mtime", "typeflag"} {
		if meta[key] == nil {
			missing = append(missing, key)
		}
	}
	if len(missing) > 0 {
		return "it has no " + strings.Join(missing, ", ")
	}
	var mtime time.Time
	if json.Unmarshal(meta["mtime"], &mtime) != nil {
		return fmt.Sprintf("mtime is %.100s, and no time of RFC 3339", meta["mtime"])
	}
	return ""
}
