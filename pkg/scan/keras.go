package scan

import (
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// kerasRules looks for code in a configuration of Keras: the config.json of a .keras
// file, the attribute model_config of HDF5, what Model.to_json wrote. The whole tree
// counts, since layers hold layers, and functions stand in any of them.
//
// Keras 3 deserializes {module, class_name, config, registered_name} by importing
// module and calling class_name out of it
// (https://github.com/keras-team/keras/blob/v3.11.3/keras/src/saving/serialization_lib.py).
type kerasRules struct {
	report hazard.Report
	frames []kerasObject
	// sure says that it is a configuration of Keras. Otherwise the root shows it, at
	// its end, and until then findings are kept.
	sure bool
	kept []hazard.Finding
}

type kerasObject struct {
	class, module, config, registered string
	offset                            int64
	hasConfig                         bool
}

// maxKerasName bounds a name that is kept; those of Keras have less than 100 bytes.
const maxKerasName = 512

// maxKept bounds what is kept until it is known whether it is Keras at all.
const maxKept = 1_000

func (k *kerasRules) visit(v *jsonValue) error {
	switch v.Kind {
	case '{':
		k.note(v)
		k.frames = append(k.frames, kerasObject{offset: v.Offset})
		return nil
	case '}':
		last := len(k.frames) - 1
		k.judge(&k.frames[last])
		if last == 0 && k.frames[0].class != "" && k.frames[0].hasConfig {
			k.sure = true
		}
		k.frames = k.frames[:last]
		if last == 0 {
			k.flush()
		}
		return nil
	}
	k.note(v)
	return nil
}

// note keeps what a member of the innermost object says.
func (k *kerasRules) note(v *jsonValue) {
	if len(k.frames) == 0 {
		return
	}
	o := &k.frames[len(k.frames)-1]
	text := v.Text[:min(len(v.Text), maxKerasName)]
	switch v.key() {
	case "class_name":
		o.class = firstOf(o.class, text, v.Kind)
	case "module":
		if v.Kind == '"' {
			o.module = firstOf(o.module, text, v.Kind)
		}
	case "registered_name":
		o.registered = firstOf(o.registered, text, v.Kind)
	case "config":
		o.hasConfig = true
		o.config = firstOf(o.config, text, v.Kind)
	case "enable_unsafe_deserialization":
		k.find(hazard.Of(hazard.KerasUnsafe, v.key(), "the configuration lets code in the model run when it is loaded").At(v.Offset))
	case "safe_mode":
		if v.Kind == 'w' && v.Text != "true" && v.Text != "null" {
			k.find(hazard.Of(hazard.KerasUnsafe, v.key(), "the model itself turns off the safe mode of whoever loads it").At(v.Offset))
		}
	}
	// A doubled key must not hide the first value behind the last, nor the reverse.
	if v.Kind == '"' && isLambda(text) && v.key() == "class_name" && o.class != text {
		k.find(hazard.Of(hazard.KerasLambda, text, "").At(v.Offset))
	}
}

// firstOf keeps the value of a key that is there twice from being replaced by a
// harmless one.
func firstOf(have, text string, kind byte) string {
	if have != "" || kind != '"' {
		return have
	}
	return text
}

func isLambda(class string) bool {
	switch class {
	case "Lambda", "__lambda__", "keras.layers.Lambda", "keras.src.layers.core.lambda_layer.Lambda":
		return true
	}
	return strings.HasSuffix(class, ">Lambda")
}

func (k *kerasRules) judge(o *kerasObject) {
	switch {
	case isLambda(o.class):
		k.find(hazard.Of(hazard.KerasLambda, o.class, "").At(o.offset))
	case o.class == "TFOpLambda" || o.class == "SlicingOpLambda":
		k.find(hazard.Of(hazard.KerasTFOp, o.class, "").At(o.offset))
	}
	if o.module == "" || o.class == "" {
		return
	}
	name := o.module + "." + o.class
	if o.class == "function" {
		name = o.module + "." + o.config
	}
	switch {
	case !ofKeras(o.module):
		k.find(hazard.Of(hazard.KerasForeign, name, "").At(o.offset))
	case o.class == "function" && !kerasFunctions(o.module):
		f := hazard.Of(hazard.KerasForeign, name, "the configuration calls a function of Keras that is no activation, loss, metric or initializer")
		f.Severity = hazard.High
		k.find(f.At(o.offset))
	}
}

// ofKeras reports modules of Keras and of the libraries that Keras publishes layers
// in. A dot ends the name of a package: keras_evil is none of them.
func ofKeras(module string) bool {
	for _, p := range []string{"keras", "tf_keras", "keras_hub", "keras_nlp", "keras_cv", "keras_rs", "tensorflow.keras", "tensorflow.python.keras"} {
		if module == p || strings.HasPrefix(module, p+".") {
			return !strings.Contains(module, "__")
		}
	}
	return false
}

// kerasFunctions reports modules whose functions compute and do nothing else. Others
// have some that fetch files or load models: CVE-2025-8747 went through
// keras.utils.get_file.
func kerasFunctions(module string) bool {
	for part := range strings.SplitSeq(module, ".") {
		switch part {
		case "activations", "losses", "metrics", "initializers", "regularizers", "constraints", "ops", "backend":
			return true
		}
	}
	return false
}

func (k *kerasRules) find(f hazard.Finding) {
	if k.sure {
		k.report(f)
	} else if len(k.kept) < maxKept {
		k.kept = append(k.kept, f)
	}
}

func (k *kerasRules) flush() {
	if k.sure {
		for _, f := range k.kept {
			k.report(f)
		}
	}
	k.kept = nil
}
