package statement

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// Methods and hash types of OMS v1.0.
const (
	MethodFiles  = "files"
	MethodShards = "shards"

	HashSHA256  = "sha256"
	HashBLAKE2b = "blake2b"
	HashBLAKE3  = "blake3"
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
}

// NewOMS returns the manifest of a model that is called name and has the files
// resources, each with its SHA-256. The resources may come in any order.
// ignorePaths are left out of the model beside [DefaultIgnorePaths]; they must
// not cover a resource.
func NewOMS(name string, resources []Resource, ignorePaths []string) (*OMS, error) {
	switch {
	case name == "":
		return nil, invalid("the model has no name")
	case len(resources) == 0:
		return nil, invalid("the model has no files")
	case len(resources) > limits.Files:
		return nil, invalid("%d files, more than %d", len(resources), limits.Files)
	}
	o := &OMS{
		SubjectName:   name,
		PredicateType: artifacttypes.PredicateOMS,
		Method:        MethodFiles,
		HashType:      HashSHA256,
		Resources:     slices.Clone(resources),
	}
	// Code point order, which for UTF-8 is byte order: "a.b" before "a/b".
	slices.SortFunc(o.Resources, func(a, b Resource) int { return strings.Compare(a.Name, b.Name) })
	if err := o.checkResources(); err != nil {
		return nil, err
	}
	for _, r := range o.Resources {
		if r.Name == SingleFile {
			return nil, invalid("a file has the name %q", SingleFile)
		}
	}
	var err error
	if o.IgnorePaths, err = recordedIgnorePaths(o.Resources, ignorePaths); err != nil {
		return nil, err
	}
	o.Root, err = root(o.Resources)
	return o, err
}

// recordedIgnorePaths merges the paths of the user with the defaults. A default
// that covers a file of the model is left out: the file is signed, and a
// manifest that lists and ignores it contradicts itself.
func recordedIgnorePaths(resources []Resource, user []string) ([]string, error) {
	for _, e := range user {
		if everything(e) || strings.HasPrefix(e, "/") || strings.HasPrefix(e, "../") || strings.ContainsAny(e, "*?[") {
			return nil, invalid("ignored path %q: it must be a relative path inside the model, without wildcards", e)
		}
		for _, r := range resources {
			if covers(e, r.Name) {
				return nil, invalid("ignored path %q covers the signed file %q", e, r.Name)
			}
		}
	}
	all := slices.DeleteFunc(DefaultIgnorePaths(), func(e string) bool {
		return slices.ContainsFunc(resources, func(r Resource) bool { return covers(e, r.Name) })
	})
	all = append(all, user...)
	slices.Sort(all)
	return slices.Compact(all), nil
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
