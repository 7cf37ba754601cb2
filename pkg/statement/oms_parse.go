package statement

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// IsOMS reports whether predicateType is OMS v1.0 or a later minor version of
// it.
func IsOMS(predicateType string) bool {
	minor, ok := strings.CutPrefix(predicateType, artifacttypes.PredicateOMSNamePrefix)
	n, err := strconv.ParseUint(minor, 10, 16)
	return ok && err == nil && strconv.FormatUint(n, 10) == minor
}

// ParseOMS reads an OMS statement v1.x. It takes every form in which the
// reference implementations write one (resources in any order, a single file
// named ".", shard algorithms with a suffix, shard sizes as integral floats) and
// refuses what the specification forbids: unknown keys in the predicate,
// duplicates, unsafe names, a root digest that is not that of the resources,
// ranges with gaps, ignore paths that leave out everything.
func ParseOMS(payload []byte) (*OMS, error) {
	r, err := newReader(payload)
	if err != nil {
		return nil, err
	}
	o := &OMS{}
	var statementType string
	var subjects []Subject
	err = r.object("the statement", func(key string) error {
		var err error
		switch key {
		case "_type":
			statementType, err = r.string(key)
		case "predicateType":
			o.PredicateType, err = r.string(key)
		case "subject":
			subjects, err = readSubjects(r)
		case "predicate":
			err = o.readPredicate(r)
		default:
			err = invalid("key %q is unknown", shorten(key))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	switch {
	case statementType != artifacttypes.StatementTypeV1:
		return nil, invalid("its _type is %q", shorten(statementType))
	case !IsOMS(o.PredicateType):
		return nil, invalid("its predicateType %q is not OMS v1", shorten(o.PredicateType))
	case len(subjects) != 1:
		return nil, invalid("it has %d subjects, not one", len(subjects))
	case subjects[0].Name == "":
		return nil, invalid("its subject has no name")
	}
	if o.PredicateType != artifacttypes.PredicateOMS {
		o.relax(RelaxedMinorVersion)
	}
	o.SubjectName, o.Root = subjects[0].Name, subjects[0].Digest["sha256"]
	if err := o.check(); err != nil {
		return nil, err
	}
	return o, nil
}

func (o *OMS) check() error {
	if err := checkDigest(o.Root, HashSHA256); err != nil {
		return invalid("subject: %w", err)
	}
	if len(o.Resources) == 0 {
		return invalid("it has no resources")
	}
	if err := o.checkSerialization(); err != nil {
		return err
	}
	if err := o.checkResources(); err != nil {
		return err
	}
	got, err := root(o.Resources)
	if err != nil {
		return err
	}
	if got != o.Root {
		return invalid("its resources have the root digest %s, its subject says %s", got, o.Root)
	}
	return nil
}

func (o *OMS) checkSerialization() error {
	if _, err := digestBytes(o.HashType); err != nil {
		return err
	}
	switch o.Method {
	case MethodFiles:
		if o.ShardSize != 0 {
			return invalid("method %q has a shard_size", MethodFiles)
		}
	case MethodShards:
		if o.ShardSize == 0 {
			return invalid("method %q has no shard_size", MethodShards)
		}
	default:
		return invalid("method %q is unknown", shorten(o.Method))
	}
	for _, p := range o.IgnorePaths {
		if everything(p) {
			return invalid("the ignored path %q leaves out the whole model", p)
		}
	}
	return nil
}

func (o *OMS) readPredicate(r *reader) error {
	return r.object("predicate", func(key string) error {
		switch key {
		case "resources":
			return r.array(key, func(i int) error {
				if i >= limits.Files {
					return invalid("more than %d resources", limits.Files)
				}
				return o.readResource(r)
			})
		case "serialization":
			return o.readSerialization(r)
		}
		return invalid("predicate: key %q is unknown", shorten(key))
	})
}

func (o *OMS) readResource(r *reader) error {
	var res Resource
	err := r.object("a resource", func(key string) error {
		var err error
		switch key {
		case "name":
			res.Name, err = r.string("name of a resource")
		case "digest":
			res.Digest, err = r.string("digest of a resource")
		case "algorithm":
			res.Algorithm, err = r.string("algorithm of a resource")
		default:
			err = r.skip()
		}
		return err
	})
	o.Resources = append(o.Resources, res)
	return err
}

func (o *OMS) readSerialization(r *reader) error {
	var symlinksSaid, ignoreSaid bool
	err := r.object("serialization", func(key string) error {
		var err error
		switch key {
		case "method":
			o.Method, err = r.string(key)
		case "hash_type":
			o.HashType, err = r.string(key)
		case "shard_size":
			o.ShardSize, err = o.readShardSize(r)
		case "allow_symlinks":
			symlinksSaid = true
			o.AllowSymlinks, err = r.bool(key)
		case "ignore_paths":
			ignoreSaid = true
			err = r.array(key, func(i int) error {
				if i >= limits.Files {
					return invalid("more than %d ignored paths", limits.Files)
				}
				p, err := r.string("an ignored path")
				o.IgnorePaths = append(o.IgnorePaths, p)
				return err
			})
		default:
			err = invalid("serialization: key %q is unknown", shorten(key))
		}
		return err
	})
	if err == nil && !symlinksSaid {
		err = invalid("serialization: allow_symlinks is missing")
	}
	if !ignoreSaid {
		o.relax(RelaxedIgnorePaths)
	}
	return err
}

// readShardSize takes an integer, and a float with the value of one: the
// Python implementation writes 1000000000.0.
func (o *OMS) readShardSize(r *reader) (int64, error) {
	text, err := r.number("shard_size")
	if err != nil {
		return 0, err
	}
	n, err := shardSize(text)
	if err != nil || n <= 0 {
		return 0, invalid("shard_size %s is not a positive integer", shorten(text.String()))
	}
	if strconv.FormatInt(n, 10) != text.String() {
		o.relax(RelaxedShardSize)
	}
	return n, nil
}

func shardSize(text json.Number) (int64, error) {
	if n, err := text.Int64(); err == nil {
		return n, nil
	}
	f, err := text.Float64()
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, strconv.ErrRange
	}
	return int64(f), nil
}
