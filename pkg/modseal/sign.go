package modseal

import (
	"context"
	"fmt"
	"path"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/materialize"
	"github.com/modseal/modseal/pkg/pack"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/referrer"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

// SignOptions say what signs.
type SignOptions struct {
	Key string // path of a private key
	// Password is asked for the password of an encrypted key; nil means that
	// there is nobody to ask.
	Password func() ([]byte, error)

	signer *sign.Signer
}

func (o *SignOptions) load() error {
	if o.signer != nil {
		return nil
	}
	pem, err := readSmall(o.Key, limits.KeyBytes)
	if err != nil {
		return fmt.Errorf("signing key: %w", err)
	}
	o.signer, err = sign.Load(o.Key, pem, o.Password)
	return err
}

// Signature is a bundle that is attached to an artifact.
type Signature struct {
	Digest        string `json:"digest"` // of the referrer manifest
	PredicateType string `json:"predicateType"`
	// Existed means that the same signer had made the same claim before, so
	// that nothing was added.
	Existed bool `json:"existed,omitempty"`
}

// SignResult says what [Client.Sign] did.
type SignResult struct {
	Reference  string      `json:"reference"`
	Digest     string      `json:"digest"`
	Signatures []Signature `json:"signatures"`
	Warnings   []string    `json:"warnings,omitempty"`
}

// Sign signs the model that target names. It reads the manifest, and of the
// layers none but tars of grouped files: the digest of a raw layer is the digest
// of its file.
func (c *Client) Sign(ctx context.Context, target string, o SignOptions) (*SignResult, error) {
	l, err := c.openTarget(target)
	if err != nil {
		return nil, err
	}
	if err := o.load(); err != nil {
		return nil, err
	}
	a, err := l.resolve(ctx)
	if err != nil {
		return nil, err
	}
	res := &SignResult{Reference: l.String(), Digest: a.descriptor.Digest.String()}
	name := path.Base(l.Registry.Repository)
	if l.Kind == KindLayout {
		name = filepath.Base(l.Path)
	}
	resources := func() ([]statement.Resource, error) { return a.resources(ctx) }
	res.Signatures, res.Warnings, err = a.sign(ctx, name, resources, &o)
	return res, err
}

// signPacked signs what was just packed: the digests of its files are known.
func signPacked(ctx context.Context, l *location, packed *pack.Artifact, name string, o *SignOptions, warnings []string) ([]Signature, []string, error) {
	a, err := newArtifact(l, packed.Descriptor, packed.Manifest)
	if err != nil {
		return nil, warnings, err
	}
	resources := func() ([]statement.Resource, error) {
		out := make([]statement.Resource, len(packed.Files))
		for i, f := range packed.Files {
			out[i] = resource(f.Path, f.Digest.Encoded())
		}
		return out, nil
	}
	signatures, more, err := a.sign(ctx, name, resources, o)
	return signatures, append(warnings, more...), err
}

func newArtifact(l *location, desc ocispec.Descriptor, manifest []byte) (*artifact, error) {
	model, err := artifacttypes.ParseManifest(manifest)
	if err != nil {
		return nil, err
	}
	return &artifact{location: l, descriptor: desc, manifest: manifest, model: model}, nil
}

func resource(name, hexDigest string) statement.Resource {
	return statement.Resource{Name: name, Digest: hexDigest, Algorithm: "sha256"}
}

// resources lists the files of the artifact with their digests.
func (a *artifact) resources(ctx context.Context) ([]statement.Resource, error) {
	var out []statement.Resource
	for _, layer := range a.model.Layers {
		if layer.Encoding == artifacttypes.EncodingRaw {
			out = append(out, resource(layer.Path, layer.Descriptor.Digest.Encoded()))
			continue
		}
		members, err := materialize.Members(ctx, a.blobs, layer)
		if err != nil {
			return nil, err
		}
		for _, m := range members {
			out = append(out, resource(m.Path, m.Digest.Encoded()))
		}
	}
	return out, nil
}

// sign attaches the signature on the manifest digest, and the OMS signature on
// the files where the key is of a type that OMS knows. What the same signer has
// attached before is not attached again.
func (a *artifact) sign(ctx context.Context, name string, resources func() ([]statement.Resource, error), o *SignOptions) ([]Signature, []string, error) {
	existing, err := a.signedBy(ctx, o.signer.Public())
	if err != nil {
		return nil, nil, err
	}
	var warnings []string
	var out []Signature
	if s, ok := existing[artifacttypes.PredicateCosignSign]; ok {
		out = append(out, s)
	} else {
		payload, err := statement.CosignSign(a.descriptor.Digest)
		if err != nil {
			return nil, nil, err
		}
		s, err := a.attach(ctx, payload, artifacttypes.PredicateCosignSign, sign.FormCosign, o.signer)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, s)
	}
	if !o.signer.CanOMS() {
		return out, append(warnings, fmt.Sprintf("no OMS signature: the specification knows no %s keys (use an elliptic curve key)", o.signer.Public().Describe())), nil
	}
	if s, ok := existing[artifacttypes.PredicateOMS]; ok {
		return append(out, s), warnings, nil
	}
	list, err := resources()
	if err != nil {
		return nil, nil, err
	}
	oms, err := statement.NewOMS(name, list, nil)
	if err != nil {
		return nil, nil, err
	}
	payload, err := oms.Payload()
	if err != nil {
		return nil, nil, err
	}
	s, err := a.attach(ctx, payload, artifacttypes.PredicateOMS, sign.FormOMS, o.signer)
	if err != nil {
		return nil, nil, err
	}
	return append(out, s), warnings, nil
}

func (a *artifact) attach(ctx context.Context, payload []byte, predicateType string, form sign.Form, signer *sign.Signer) (Signature, error) {
	bundle, err := signer.Sign(ctx, payload, form)
	if err != nil {
		return Signature{}, err
	}
	desc, err := referrer.Attach(ctx, a.repository, a.descriptor, referrer.Attachment{
		ArtifactType: artifacttypes.MediaTypeBundle,
		MediaType:    artifacttypes.MediaTypeBundle,
		Blob:         bundle,
		Annotations: map[string]string{
			artifacttypes.AnnotationBundleContent:       artifacttypes.BundleContentDSSE,
			artifacttypes.AnnotationBundlePredicateType: predicateType,
		},
	})
	if err != nil {
		return Signature{}, fmt.Errorf("%s: attach signature: %w", a.at(a.descriptor), err)
	}
	return Signature{Digest: desc.Digest.String(), PredicateType: predicateType}, nil
}

// signedBy returns, by predicate type, the valid signatures that key has made
// on the artifact before.
func (a *artifact) signedBy(ctx context.Context, key trust.Key) (map[string]Signature, error) {
	evidence, err := a.evidence(ctx)
	if err != nil {
		return nil, err
	}
	if len(evidence) == 0 {
		return nil, nil
	}
	v, err := verify.Verify(ctx, a.subject(), evidence, policy.FromKeys([]string{key.Name}), verify.Trust{Keys: map[string]trust.Key{key.Name: key}})
	if err != nil {
		// Not signed by this key, or not so that it would be accepted: sign.
		return nil, nil //nolint:nilerr // a refusal is an answer here
	}
	out := map[string]Signature{}
	for _, c := range v.Report().Checks {
		if c.Passed() {
			out[c.PredicateType] = Signature{Digest: c.Evidence.String(), PredicateType: c.PredicateType, Existed: true}
		}
	}
	return out, nil
}

func (a *artifact) subject() verify.Subject {
	return verify.Subject{Name: a.Scope(), Descriptor: a.descriptor, Manifest: a.manifest}
}
