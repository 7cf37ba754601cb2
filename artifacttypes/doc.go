// Package artifacttypes is the wire format of modseal: media types, artifact
// types, annotation keys, predicate types, and the reading and writing of the
// model manifest that is made of them.
//
// A model is a CNCF ModelPack artifact: an OCI image manifest whose
// artifactType is [ArtifactTypeModel], whose config is a ModelPack config, and
// whose layers are the files of the model, one raw file per layer, or small
// files grouped in a reproducible tar.
//
// References:
//   - ModelPack specification v0.0.7:
//     https://github.com/modelpack/model-spec/blob/v0.0.7/docs/spec.md
//   - OCI image specification v1.1.1:
//     https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md
//
// The package is pure: it does no I/O and holds no state.
package artifacttypes
