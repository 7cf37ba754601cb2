// Package keras reads what a Keras model says of itself: the .keras archives of Keras 3
// and the HDF5 files that came before. It reads configurations and headers, never
// weights.
package keras

import (
	"path"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/zipfile"
)

// The members of a .keras archive (keras/src/saving/saving_lib.py). Archives of large
// models have shards of weights with an index.
const (
	configMember   = "config.json"
	metadataMember = "metadata.json"
	weightsMember  = "model.weights.h5"
	indexMember    = "model.weights.json"
)

// IsArchive reports whether a zip file is a model of Keras: keras.saving.load_model
// needs the configuration, and everything that writes one adds the version.
func IsArchive(a *zipfile.Archive) bool {
	if a.Find(configMember) == nil {
		return false
	}
	return a.Find(metadataMember) != nil || a.Find(weightsMember) != nil || a.Find(indexMember) != nil
}

// Hint is that of the member of the given name: layers are built from JSON.
func Hint(name string) hazard.Hint {
	if path.Ext(name) == ".json" {
		return hazard.InKeras
	}
	return ""
}

// isWeights reports whether the member of that name holds weights: model.weights.h5,
// or model_00000.weights.h5 and so on.
func isWeights(name string) bool {
	return strings.HasSuffix(name, ".weights.h5") && !strings.Contains(name, "/")
}
