package statement

import "slices"

// Relaxation names something in which an OMS bundle differs from what the
// specification has written today, and that is accepted all the same because it
// cannot change which files are meant. It is a phrase for people.
//
// Reference: OpenSSF Model Signing v1.0 §11.2 for older bundles; the others are
// what the reference implementations write today.
type Relaxation string

// The relaxations.
const (
	// RelaxedKey: publicKey has rawBytes in the place of hint (before 1.1.0). The
	// key in it verifies nothing.
	RelaxedKey Relaxation = "the public key is named by rawBytes instead of a hint"
	// RelaxedKeyID: keyid is null (before 1.1.0). A key id has no meaning in OMS.
	RelaxedKeyID Relaxation = "keyid is null"
	// RelaxedIgnorePaths: nothing is recorded (before 1.1.0, and allowed today);
	// then only the defaults are left out.
	RelaxedIgnorePaths Relaxation = "ignore_paths is absent"
	// RelaxedPredicate: the statement is that of model_signing 0.2.
	RelaxedPredicate Relaxation = "the predicate is the one of version 0.2, whose signature is not over the DSSE encoding"

	// RelaxedMinorVersion: a later minor version of the predicate.
	RelaxedMinorVersion Relaxation = "the predicate is of a later minor version"
	// RelaxedOrder: the Python implementation sorts by components of paths, and
	// shards by number.
	RelaxedOrder Relaxation = "resources are not in code point order"
	// RelaxedSingleFile: the Python implementation calls the only file ".".
	RelaxedSingleFile Relaxation = `the only file is called "." instead of by its name`
	// RelaxedShardAlgorithm: both reference implementations write it.
	RelaxedShardAlgorithm Relaxation = "the algorithm of shards has a suffix with their size"
	// RelaxedShardSize: the Python implementation writes 1000000000.0.
	RelaxedShardSize Relaxation = "shard_size is not written as an integer"
)

// Conforms reports whether the specification of today has it too, so that a
// strict verifier accepts it.
func (r Relaxation) Conforms() bool { return r == RelaxedIgnorePaths }

func (o *OMS) relax(r Relaxation) {
	if !slices.Contains(o.Relaxations, r) {
		o.Relaxations = append(o.Relaxations, r)
	}
}

// noteForm finds the relaxations that show in all resources together.
func (o *OMS) noteForm() {
	for i, r := range o.Resources {
		if i > 0 && r.Name < o.Resources[i-1].Name {
			o.relax(RelaxedOrder)
		}
		if o.File(r) == SingleFile {
			o.relax(RelaxedSingleFile)
		}
	}
}
