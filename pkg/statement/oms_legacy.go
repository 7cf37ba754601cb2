package statement

import (
	"fmt"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// PredicateOMSLegacy is the predicate type of model_signing 0.2.0, which nobody
// writes any more (OMS v1.0 §11).
const PredicateOMSLegacy = "https://model_signing/Digests/v0.1"

// legacyAlgorithm is the one way in which files were hashed for it.
const legacyAlgorithm = "file-sha256"

// ParseOMSLegacy reads the statement of model_signing 0.2.0: every file is a
// subject with its SHA-256, the predicate says nothing. There is no root digest
// in it, so that [OMS.Root] is computed; the shards of that version, which have
// another predicate type, are not read.
func ParseOMSLegacy(payload []byte) (*OMS, error) {
	r, err := newReader(payload)
	if err != nil {
		return nil, err
	}
	o := &OMS{SubjectName: "model", Method: MethodFiles, HashType: HashSHA256}
	var statementType string
	err = r.object("the statement", func(key string) error {
		var err error
		switch key {
		case "_type":
			statementType, err = r.string(key)
		case "predicateType":
			o.PredicateType, err = r.string(key)
		case "subject":
			err = r.array(key, func(i int) error {
				if i >= limits.StatementSubjects {
					return invalid("more than %d subjects", limits.StatementSubjects)
				}
				return o.readLegacyFile(r, fmt.Sprintf("subject %d", i))
			})
		case "predicate":
			err = r.object(key, func(key string) error {
				if key != "unused" {
					return invalid("predicate: key %q is unknown", shorten(key))
				}
				return r.skip()
			})
		default:
			err = invalid("key %q is unknown", shorten(key))
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case statementType != artifacttypes.StatementTypeV1:
		return nil, invalid("its _type is %q", shorten(statementType))
	case o.PredicateType != PredicateOMSLegacy:
		return nil, invalid("its predicateType %q is not that of model_signing 0.2.0", shorten(o.PredicateType))
	case len(o.Resources) == 0:
		return nil, invalid("it has no files")
	}
	o.relax(RelaxedPredicate)
	o.relax(RelaxedIgnorePaths)
	if err := o.checkResources(); err != nil {
		return nil, err
	}
	o.Root, err = root(o.Resources)
	return o, err
}

func (o *OMS) readLegacyFile(r *reader, what string) error {
	res := Resource{Algorithm: HashSHA256}
	var algorithm string
	err := r.object(what, func(key string) error {
		var err error
		switch key {
		case "name":
			res.Name, err = r.string(what + ": name")
		case "digest":
			err = r.object(what+": digest", func(key string) error {
				if key != HashSHA256 {
					return invalid("%s: a digest by %q", what, shorten(key))
				}
				var err error
				res.Digest, err = r.string(what + ": digest")
				return err
			})
		case "annotations":
			err = r.object(what+": annotations", func(key string) error {
				if key != "actual_hash_algorithm" {
					return r.skip()
				}
				var err error
				algorithm, err = r.string(what + ": actual_hash_algorithm")
				return err
			})
		default:
			err = r.skip()
		}
		return err
	})
	if err == nil && algorithm != legacyAlgorithm {
		err = invalid("%s: it is hashed by %q, not by %q", what, shorten(algorithm), legacyAlgorithm)
	}
	o.Resources = append(o.Resources, res)
	return err
}
