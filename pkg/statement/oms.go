package statement

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// Methods of OMS v1.0.
const (
	MethodFiles  = "files"
	MethodShards = "shards"
)

// SingleFile is the resource name that some signers give to the file when the
// model is one file.
const SingleFile = "."

// Resource is one signed file, or with [MethodShards] one signed range of a file.
type Resource struct {
	Name      string // relative path; with [MethodShards] path:start:end
	Digest    string // lower-case hexadecimal
	Algorithm string // one of the hash types
}

// OMS is an OpenSSF Model Signing manifest: the files of a model and their
// digests.
type OMS struct {
	SubjectName   string // informative: the base name of the model
	Root          string // hexadecimal SHA-256 over the digests of Resources in their order
	PredicateType string
	Resources     []Resource
	Method        string // [MethodFiles] or [MethodShards]
	HashType      string
	ShardSize     int64 // 0 with [MethodFiles]
	AllowSymlinks bool  // the signer followed links
	IgnorePaths   []string

	// ShardSuffix has [OMS.Payload] write the algorithm of shards with the suffix
	// that both reference implementations demand (up to model_signing 1.1.1) and
	// that the specification does not have.
	ShardSuffix bool
	// Relaxations say in what the payload that was read differs from what the
	// specification has written today.
	Relaxations []Relaxation
}

// OMSOptions change what [NewOMSOf] makes. The zero value is files by SHA-256.
type OMSOptions struct {
	HashType  string // empty: [HashSHA256]
	ShardSize int64  // in bytes; above 0 the resources are shards of that size
	// IgnorePaths are left out of the model beside [DefaultIgnorePaths]; they must
	// not cover a resource.
	IgnorePaths []string
	// GitPaths leaves the defaults out of the record: what git keeps at the top
	// is part of the model.
	GitPaths      bool
	AllowSymlinks bool // links were followed
	ShardSuffix   bool // see [OMS.ShardSuffix]
}

// DefaultShardSize is the size of shards where nobody says another
// (OMS v1.0 §6.3.2).
const DefaultShardSize = 1_000_000_000

// NewOMS returns the manifest of a model that is called name and has the files
// resources, each with its SHA-256. The resources may come in any order.
// ignorePaths are left out of the model beside [DefaultIgnorePaths]; they must
// not cover a resource.
func NewOMS(name string, resources []Resource, ignorePaths []string) (*OMS, error) {
	return NewOMSOf(name, resources, OMSOptions{IgnorePaths: ignorePaths})
}

// NewOMSOf is [NewOMS] with a choice of hash type and method: resources are files,
// or the ranges that [Shards] gives for them.
func NewOMSOf(name string, resources []Resource, options OMSOptions) (*OMS, error) {
	switch {
	case name == "":
		return nil, invalid("the model has no name")
	case len(resources) == 0:
		return nil, invalid("the model has no files")
	case len(resources) > limits.Files:
		return nil, invalid("%d resources, more than %d", len(resources), limits.Files)
	case options.ShardSize < 0:
		return nil, invalid("shard size %d", options.ShardSize)
	}
	o := &OMS{
		SubjectName:   name,
		PredicateType: artifacttypes.PredicateOMS,
		Method:        MethodFiles,
		HashType:      cmp.Or(options.HashType, HashSHA256),
		ShardSize:     options.ShardSize,
		ShardSuffix:   options.ShardSuffix,
		AllowSymlinks: options.AllowSymlinks,
		Resources:     slices.Clone(resources),
	}
	if o.ShardSize > 0 {
		o.Method = MethodShards
	}
	// Code point order, which for UTF-8 is byte order: "a.b" before "a/b", and of
	// shards ":16:" before ":8:".
	slices.SortFunc(o.Resources, func(a, b Resource) int { return strings.Compare(a.Name, b.Name) })
	if err := o.checkResources(); err != nil {
		return nil, err
	}
	for _, r := range o.Resources {
		if o.File(r) == SingleFile {
			return nil, invalid("a file has the name %q", SingleFile)
		}
	}
	var err error
	if o.IgnorePaths, err = o.recordedIgnorePaths(options); err != nil {
		return nil, err
	}
	o.Root, err = root(o.Resources)
	return o, err
}

// recordedIgnorePaths merges the paths of the user with the defaults. A default
// that covers a file of the model is left out: the file is signed, and a
// manifest that lists and ignores it contradicts itself.
func (o *OMS) recordedIgnorePaths(options OMSOptions) ([]string, error) {
	for _, e := range options.IgnorePaths {
		if everything(e) || strings.HasPrefix(e, "/") || strings.HasPrefix(e, "../") || strings.ContainsAny(e, "*?[") {
			return nil, invalid("ignored path %q: it must be a relative path inside the model, without wildcards", e)
		}
		if i := slices.IndexFunc(o.Resources, func(r Resource) bool { return covers(e, o.File(r)) }); i >= 0 {
			return nil, invalid("ignored path %q covers the signed file %q", e, o.File(o.Resources[i]))
		}
	}
	all := slices.Clone(options.IgnorePaths)
	if !options.GitPaths {
		all = append(all, slices.DeleteFunc(DefaultIgnorePaths(), o.lists)...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// lists reports whether a resource is the file at path or below it.
func (o *OMS) lists(path string) bool {
	return slices.ContainsFunc(o.Resources, func(r Resource) bool { return covers(path, o.File(r)) })
}

// Ignored returns what plays no part in the model: IgnorePaths, and those of
// [DefaultIgnorePaths] below which nothing is signed.
func (o *OMS) Ignored() Subtrees {
	return NewSubtrees(append(slices.DeleteFunc(DefaultIgnorePaths(), o.lists), o.IgnorePaths...)...)
}

// Payload returns the statement as compact JSON, the same bytes for the same
// manifest.
func (o *OMS) Payload() ([]byte, error) {
	type subject struct {
		Name   string `json:"name"`
		Digest struct {
			SHA256 string `json:"sha256"`
		} `json:"digest"`
	}
	type resource struct {
		Name      string `json:"name"`
		Digest    string `json:"digest"`
		Algorithm string `json:"algorithm"`
	}
	var doc struct {
		Type          string    `json:"_type"`
		Subject       []subject `json:"subject"`
		PredicateType string    `json:"predicateType"`
		Predicate     struct {
			Resources     []resource `json:"resources"`
			Serialization struct {
				Method        string   `json:"method"`
				HashType      string   `json:"hash_type"`
				ShardSize     int64    `json:"shard_size,omitempty"`
				AllowSymlinks bool     `json:"allow_symlinks"`
				IgnorePaths   []string `json:"ignore_paths,omitempty"`
			} `json:"serialization"`
		} `json:"predicate"`
	}
	doc.Type = artifacttypes.StatementTypeV1
	doc.Subject = []subject{{Name: o.SubjectName}}
	doc.Subject[0].Digest.SHA256 = o.Root
	doc.PredicateType = o.PredicateType
	for _, r := range o.Resources {
		if o.ShardSuffix {
			r.Algorithm = o.suffixed()
		}
		doc.Predicate.Resources = append(doc.Predicate.Resources, resource(r))
	}
	s := &doc.Predicate.Serialization
	s.Method, s.HashType, s.ShardSize = o.Method, o.HashType, o.ShardSize
	s.AllowSymlinks, s.IgnorePaths = o.AllowSymlinks, o.IgnorePaths
	return artifacttypes.Marshal(doc)
}

// IsSingleFile reports whether the manifest is of a model that is one file
// without a directory.
func (o *OMS) IsSingleFile() bool {
	if o.Method == MethodFiles {
		return len(o.Resources) == 1 && o.Resources[0].Name == SingleFile
	}
	s, err := parseShard(o.Resources[0].Name)
	return err == nil && s.path == SingleFile
}

// root is the SHA-256 over the concatenated digests, whatever their algorithm.
func root(resources []Resource) (string, error) {
	h := sha256.New()
	for _, r := range resources {
		b, err := hex.DecodeString(r.Digest)
		if err != nil {
			return "", invalid("%q: %w", r.Name, err)
		}
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// digestBytes is the length of a digest of each hash type.
func digestBytes(hashType string) (int, error) {
	switch hashType {
	case HashSHA256, HashBLAKE3:
		return 32, nil
	case HashBLAKE2b:
		return 64, nil
	}
	return 0, invalid("hash type %q is unknown", hashType)
}

func checkDigest(s, hashType string) error {
	n, err := digestBytes(hashType)
	if err != nil {
		return err
	}
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != n || strings.ToLower(s) != s {
		return fmt.Errorf("digest %q is not %d lower-case hexadecimal digits", shorten(s), 2*n)
	}
	return nil
}

func shorten(s string) string {
	if len(s) > 140 {
		return s[:140] + "…"
	}
	return s
}
