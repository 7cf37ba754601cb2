package lineage

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/lazyregexp"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/modelfile/hf"
)

// RelationBase is the relation of which nothing more is known.
const RelationBase = "base model"

// ErrPredicate is wrapped when a predicate is no provenance that can be read.
var ErrPredicate = errors.New("not a provenance that can be read")

// Dependency is something that a model is said to be made from.
type Dependency struct {
	Kind     Kind
	Relation string
	// Reference is that of an artifact in a registry, as host/repository with tag or
	// digest; empty for everything else. It is as it was written: whoever uses it
	// parses it.
	Reference string
	Digest    digest.Digest // of the manifest, or of what else it is; may be empty
	Name      string        // where there is no reference: a hub's name or a URI
	Version   string        // beside Name: a revision
}

// resourceDescriptor is that of in-toto
// (https://github.com/in-toto/attestation/blob/v1.1.2/spec/v1/resource_descriptor.md).
type resourceDescriptor struct {
	Name        string            `json:"name"`
	URI         string            `json:"uri"`
	Digest      map[string]string `json:"digest"`
	MediaType   string            `json:"mediaType"`
	Annotations map[string]any    `json:"annotations"`
}

// Dependencies reads what a SLSA provenance of version 1 or 0.2 says a model was
// built from: resolvedDependencies, or materials
// (https://slsa.dev/spec/v1.0/provenance#BuildDefinition,
// https://slsa.dev/spec/v0.2/provenance#fields). Errors wrap [ErrPredicate].
//
// What a dependency is, its annotation role says, else its name: base-model,
// dataset, source. Where neither does, its URI decides: an artifact of a registry
// may be a model, a name on a model hub is one.
func Dependencies(predicateType string, predicate []byte) ([]Dependency, error) {
	var doc struct {
		BuildDefinition struct {
			ResolvedDependencies []resourceDescriptor `json:"resolvedDependencies"`
		} `json:"buildDefinition"`
		Materials []resourceDescriptor `json:"materials"`
	}
	if len(predicate) > limits.PredicateBytes {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrPredicate, limits.PredicateBytes)
	}
	if err := json.Unmarshal(predicate, &doc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPredicate, err)
	}
	list := doc.BuildDefinition.ResolvedDependencies
	if predicateType == artifacttypes.PredicateSLSAProvenanceV02 {
		list = doc.Materials
	}
	if len(list) > limits.LineageDependencies {
		return nil, fmt.Errorf("%w: it names %d dependencies, more than %d", ErrPredicate, len(list), limits.LineageDependencies)
	}
	out := make([]Dependency, 0, len(list))
	for _, r := range list {
		out = append(out, r.dependency())
	}
	return out, nil
}

// roles are what a build calls its dependencies.
var roles = map[string]Kind{
	"base-model": KindModel, "base model": KindModel, "model": KindModel,
	"dataset": KindDataset, "data set": KindDataset,
	"source": KindSource,
}

func (r resourceDescriptor) dependency() Dependency {
	d := Dependency{Digest: r.digest(), Name: firstOf(r.URI, r.Name)}
	role, known := roles[strings.ToLower(r.annotation("role"))]
	if !known {
		role, known = roles[strings.ToLower(r.Name)]
	}
	d.Kind = role
	d.place(r.URI)
	if reference := r.annotation("reference"); known && r.URI == "" && reference != "" {
		d.Name = reference // a file: its name is what it is here, dataset
	}
	if commit := r.Digest["gitCommit"]; role == KindSource && r.URI == "" && commitID.MatchString(commit) {
		d.Name = "commit " + commit // of a checkout that was cloned from nowhere
	}
	if d.Kind == "" {
		d.Kind = KindOther
	}
	d.Relation = string(d.Kind)
	if d.Kind == KindModel {
		d.Relation = RelationOf(r.annotation("relation"))
	}
	return d
}

func (r resourceDescriptor) annotation(key string) string {
	text, _ := r.Annotations[key].(string)
	return text
}

// digest returns that of an algorithm which OCI knows; a commit is none.
func (r resourceDescriptor) digest() digest.Digest {
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		d := digest.NewDigestFromEncoded(algorithm, strings.ToLower(r.Digest[algorithm.String()]))
		if artifacttypes.ValidateDigest(d) == nil {
			return d
		}
	}
	return ""
}

// commitID is the name of a commit of git, of SHA-1 or SHA-256.
var commitID = lazyregexp.New(`^[0-9a-f]{40}(?:[0-9a-f]{24})?$`)

// hubID is the name of a repository on a model hub.
var hubID = lazyregexp.New(`^[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?$`)

// place reads the URI of a dependency, and with it what it is where nothing said
// so.
func (d *Dependency) place(uri string) {
	is := func(k Kind) {
		if d.Kind == "" {
			d.Kind = k
		}
	}
	switch {
	case strings.HasPrefix(uri, "oci://"):
		d.refer(strings.TrimPrefix(uri, "oci://"))
	case strings.HasPrefix(uri, "pkg:oci/"):
		d.referPURL(uri)
	case strings.HasPrefix(uri, "pkg:huggingface/"):
		is(KindModel)
		name, _, _ := strings.Cut(strings.TrimPrefix(uri, "pkg:huggingface/"), "?")
		d.hub(name, "@")
	case strings.HasPrefix(uri, "hf://"):
		is(KindModel)
		d.hub(strings.TrimPrefix(uri, "hf://"), "@")
	case strings.HasPrefix(uri, "https://huggingface.co/datasets/"):
		is(KindDataset)
		d.hub(strings.TrimPrefix(uri, "https://huggingface.co/datasets/"), "/tree/")
	case strings.HasPrefix(uri, "git+https://huggingface.co/datasets/"): // as modseal's own provenance has it
		is(KindDataset)
		d.hub(strings.TrimPrefix(uri, "git+https://huggingface.co/datasets/"), "@")
	case strings.HasPrefix(uri, "https://huggingface.co/"):
		is(KindModel)
		d.hub(strings.TrimPrefix(uri, "https://huggingface.co/"), "/tree/")
	case strings.HasPrefix(uri, "git+") || strings.HasPrefix(uri, "git://") || strings.HasSuffix(uri, ".git"):
		is(KindSource)
	}
}

// refer takes a reference, and from it the digest that it may have.
func (d *Dependency) refer(reference string) {
	d.Reference, d.Name = reference, ""
	if _, pinned, ok := strings.Cut(reference, "@"); ok && d.Digest == "" && artifacttypes.ValidateDigest(digest.Digest(pinned)) == nil {
		d.Digest = digest.Digest(pinned)
	}
}

// referPURL takes a package URL of the type oci
// (https://github.com/package-url/purl-spec/blob/v1.0.0/types/oci-definition.json):
// the repository is a qualifier, the version is the digest.
func (d *Dependency) referPURL(uri string) {
	name, query, _ := strings.Cut(strings.TrimPrefix(uri, "pkg:oci/"), "?")
	_, version, _ := strings.Cut(name, "@")
	if text, err := url.PathUnescape(version); err == nil && d.Digest == "" && artifacttypes.ValidateDigest(digest.Digest(text)) == nil {
		d.Digest = digest.Digest(text)
	}
	qualifiers, err := url.ParseQuery(query)
	if repository := qualifiers.Get("repository_url"); err == nil && repository != "" {
		if tag := qualifiers.Get("tag"); tag != "" && d.Digest == "" {
			repository += ":" + tag
		}
		d.refer(repository)
	}
}

// hub takes the name of a repository on a model hub, with a revision behind sep.
func (d *Dependency) hub(text, sep string) {
	name, revision, _ := strings.Cut(text, sep)
	if plain, err := url.PathUnescape(name); err == nil && hubID.MatchString(plain) {
		d.Name, d.Version = plain, hf.CleanText(revision, MaxTextBytes)
	}
}

// relations are what model cards call how a model comes from its base
// (https://huggingface.co/docs/hub/model-cards#specifying-a-base-model).
var relations = map[string]string{"finetune": "finetune", "adapter": "adapter", "quantized": "quantized", "merge": "merge"}

// RelationOf returns the relation that is said, or [RelationBase] for one that
// nobody knows.
func RelationOf(said string) string {
	return firstOf(relations[strings.ToLower(strings.TrimSpace(said))], RelationBase)
}

// BaseModels reads what the annotations of a manifest say the model was made from:
// the base name and digest of the OCI image specification
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md), with a
// model in the place of the image, and the names on a model hub that modseal puts
// there from the files.
func BaseModels(annotations map[string]string) []Dependency {
	relation := RelationOf(annotations[artifacttypes.AnnotationBaseModelRelation])
	var out []Dependency
	name := annotations[annotationBaseName]
	pinned := digest.Digest(annotations[annotationBaseDigest])
	if artifacttypes.ValidateDigest(pinned) != nil {
		pinned = ""
	}
	if name != "" || pinned != "" {
		d := Dependency{Kind: KindModel, Relation: relation, Digest: pinned}
		d.refer(name)
		out = append(out, d)
	}
	for id := range strings.SplitSeq(annotations[artifacttypes.AnnotationBaseModel], ",") {
		if id = hf.CleanText(id, MaxTextBytes); id != "" && len(out) < limits.LineageDependencies {
			out = append(out, Dependency{Kind: KindModel, Relation: relation, Name: id})
		}
	}
	return out
}

const (
	annotationBaseName   = "org.opencontainers.image.base.name"
	annotationBaseDigest = "org.opencontainers.image.base.digest"
)
