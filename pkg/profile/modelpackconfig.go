package profile

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/modseal/modseal/artifacttypes"
)

// inConfig begins the place of what is in the config blob.
const inConfig = "config blob: "

// mostNamed bounds the keys that one deviation names.
const mostNamed = 8

// aKind checks a value of the config; it says what it should be when it is not.
type aKind func(json.RawMessage) (want string)

func text(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) != nil || string(v) == "null" {
		return "a string"
	}
	return ""
}

func name(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) != nil || s == "" {
		return "a string that is not empty"
	}
	return ""
}

func texts(v json.RawMessage) string {
	var s []string
	if json.Unmarshal(v, &s) != nil || s == nil {
		return "an array of strings"
	}
	return ""
}

func moment(v json.RawMessage) string {
	var at time.Time
	if json.Unmarshal(v, &at) != nil || string(v) == "null" {
		return "a time of RFC 3339"
	}
	return ""
}

func object(v json.RawMessage) string {
	var o map[string]json.RawMessage
	if json.Unmarshal(v, &o) != nil || o == nil {
		return "an object"
	}
	return ""
}

func truth(v json.RawMessage) string {
	var b bool
	if json.Unmarshal(v, &b) != nil || string(v) == "null" {
		return "true or false"
	}
	return ""
}

var (
	paramSize  = regexp.MustCompile(`^[0-9]+(\.[0-9])?[KMBTQkmbtq]$`)
	precisions = strings.Fields("float16 float32 float64 bfloat16 float8_e4m3 float8_e5m2 complex32 complex64 complex128 " +
		"int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool")
	modalities = strings.Fields("text image audio video embedding other")
)

func size(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) != nil || !paramSize.MatchString(s) {
		return "a number with at most one decimal and one of K, M, B, T, Q"
	}
	return ""
}

func precision(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) == nil {
		unknown := slices.DeleteFunc(strings.Split(s, ","), func(p string) bool { return slices.Contains(precisions, p) })
		if len(unknown) == 0 {
			return ""
		}
	}
	return "of " + strings.Join(precisions, ", ") + ", with commas"
}

func modality(v json.RawMessage) string {
	var list []string
	if json.Unmarshal(v, &list) != nil || list == nil || slices.ContainsFunc(list, func(m string) bool { return !slices.Contains(modalities, m) }) {
		return "an array of " + strings.Join(modalities, ", ")
	}
	return ""
}

func layers(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) != nil || s != "layers" {
		return `"layers"`
	}
	return ""
}

// configShape has the properties of a config, by the object that has them
// (config-schema.json of v0.0.7). Of capabilities alone it takes others.
var configShape = []struct {
	object string // "" is the config itself
	keys   map[string]aKind
	needs  []string
	open   bool
}{
	{"", map[string]aKind{"descriptor": object, "config": object, "modelfs": object}, []string{"descriptor", "config", "modelfs"}, false},
	{"descriptor", map[string]aKind{
		"createdAt": moment, "authors": texts, "vendor": text, "family": text, "name": name, "version": text, "title": text,
		"description": text, "docURL": text, "sourceURL": text, "revision": text, "licenses": texts,
	}, nil, false},
	{"config", map[string]aKind{
		"architecture": text, "format": text, "paramSize": size, "precision": precision, "quantization": text, "capabilities": object,
	}, nil, false},
	{"config.capabilities", map[string]aKind{
		"inputTypes": modality, "outputTypes": modality, "knowledgeCutoff": moment, "reasoning": truth, "toolUsage": truth,
	}, nil, true},
	{"modelfs", map[string]aKind{"type": layers, "diffIds": texts}, []string{"type", "diffIds"}, false},
}

// UnreadConfig is the deviation that a config cannot be read.
func UnreadConfig(err error) Deviation {
	var d deviations
	d.add(Must, strings.TrimSuffix(inConfig, ": "), clauseManifest, "it cannot be read: %v", err)
	return d.list[0]
}

// config compares a config blob with the specification.
func (d *deviations) config(m *artifacttypes.Model, raw []byte) {
	objects := map[string]map[string]json.RawMessage{}
	var root map[string]json.RawMessage
	if json.Unmarshal(raw, &root) != nil || root == nil {
		d.add(Must, strings.TrimSuffix(inConfig, ": "), clauseConfig, "it is no JSON object")
		return
	}
	objects[""] = root
	for _, shape := range configShape {
		o := objects[shape.object]
		if o == nil {
			continue // missing, or none: told of the object that should have it
		}
		prefix := shape.object
		if prefix != "" {
			prefix += "."
		}
		for _, key := range slices.Sorted(maps.Keys(shape.keys)) {
			v, ok := o[key]
			if !ok {
				if slices.Contains(shape.needs, key) {
					d.add(Must, inConfig+prefix+key, clauseConfig, "it is required, and missing")
				}
				continue
			}
			if want := shape.keys[key](v); want != "" {
				d.add(Must, inConfig+prefix+key, clauseConfig, "%.100s; it must be %s", v, want)
				continue
			}
			var inner map[string]json.RawMessage
			if json.Unmarshal(v, &inner) == nil {
				objects[prefix+key] = inner
			}
		}
		if !shape.open {
			d.unknownKeys(prefix, o, shape.keys)
		}
	}
	d.diffIDs(m, objects["modelfs"]["diffIds"])
}

func (d *deviations) unknownKeys(prefix string, o map[string]json.RawMessage, known map[string]aKind) {
	var unknown []string
	for _, key := range slices.Sorted(maps.Keys(o)) {
		if known[key] == nil {
			unknown = append(unknown, fmt.Sprintf("%.50q", key))
		}
	}
	switch n := len(unknown); {
	case n == 0:
		return
	case n > mostNamed:
		unknown = append(unknown[:mostNamed], fmt.Sprintf("and %d more", n-mostNamed))
	}
	where := inConfig + strings.TrimSuffix(prefix, ".")
	d.add(Must, strings.TrimSuffix(where, ": "), clauseConfig, "properties that the specification does not have: %s", strings.Join(unknown, ", "))
}

// diffIDs compares the digests of unpacked layers with the layers.
func (d *deviations) diffIDs(m *artifacttypes.Model, raw json.RawMessage) {
	var ids []string
	if raw == nil || json.Unmarshal(raw, &ids) != nil {
		return // told already
	}
	const where = inConfig + "modelfs.diffIds"
	if len(ids) != len(m.Layers) {
		d.add(Must, where, clauseConfig, "%d digests of %d layers", len(ids), len(m.Layers))
		return
	}
	for i := range m.Layers {
		l := &m.Layers[i]
		packed := l.Encoding == artifacttypes.EncodingTarGzip || l.Encoding == artifacttypes.EncodingTarZstd
		switch same := ids[i] == l.Descriptor.Digest.String(); {
		case packed && same:
			d.addLayer(Must, i, l, where, "packed", clauseDiffID, "the digest of the compressed layer; it must be that of the tar in it")
		case !packed && !same:
			d.addLayer(Must, i, l, where, "plain", clauseDiffID, "%.80q; its layer, which is not compressed, has %s", ids[i], l.Descriptor.Digest)
		}
	}
}
