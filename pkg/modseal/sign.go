package modseal

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"runtime/debug"

	"github.com/opencontainers/go-digest"
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
	// The password of a key is stretched in 64 MiB of memory (scrypt), which is
	// given back before the work begins that needs memory too.
	debug.FreeOSMemory()
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
	t, err := ParseTarget(target)
	if err != nil {
		return nil, err
	}
	// What is signed is what the registry itself has under the name today.
	l, err := c.openAs(t, false, true)
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
	members, err := materialize.Members(ctx, a.blobs, a.model.Layers)
	if err != nil {
		return nil, err
	}
	var out []statement.Resource
	for _, layer := range a.model.Layers {
		if layer.Encoding != artifacttypes.EncodingRaw {
			continue
		}
		if a := layer.Descriptor.Digest.Algorithm(); a != digest.SHA256 {
			return nil, fmt.Errorf("%q: its layer has a %s digest, and the OMS statement needs SHA-256; pack the model anew", layer.Path, a)
		}
		out = append(out, resource(layer.Path, layer.Descriptor.Digest.Encoded()))
	}
	for _, m := range members {
		out = append(out, resource(m.Path, m.Digest.Encoded()))
	}
	return out, nil
}

// claim is a statement that is to be attached.
type claim struct {
	predicateType string
	payload       []byte
	form          sign.Form
}

// sign attaches the signature on the manifest digest, and the OMS signature on
// the files where the key is of a type that OMS knows. What the same signer has
// attached before is not attached again.
//
// All statements are made before the first bundle is attached: a model whose
// files cannot be listed must not come out half signed.
func (a *artifact) sign(ctx context.Context, name string, resources func() ([]statement.Resource, error), o *SignOptions) ([]Signature, []string, error) {
	existing, err := a.signedBy(ctx, o.signer.Public())
	if err != nil {
		return nil, nil, err
	}
	claims, warnings, err := a.claims(name, resources, o.signer, existing)
	if err != nil {
		return nil, nil, err
	}
	var out []Signature
	for _, c := range claims {
		s, ok := existing[c.predicateType]
		if !ok {
			if s, err = a.attach(ctx, c, o.signer); err != nil {
				return nil, nil, err
			}
		}
		out = append(out, s)
	}
	return out, warnings, nil
}

// claims makes the statements; of those that exist only the predicate type.
func (a *artifact) claims(name string, resources func() ([]statement.Resource, error), signer *sign.Signer, existing map[string]Signature) ([]claim, []string, error) {
	payload, err := statement.CosignSign(a.descriptor.Digest)
	if err != nil {
		return nil, nil, err
	}
	claims := []claim{{artifacttypes.PredicateCosignSign, payload, sign.FormCosign}}
	if !signer.CanOMS() {
		return claims, []string{fmt.Sprintf("no OMS signature: the specification knows no %s keys (use an elliptic curve key)", signer.Public().Describe())}, nil
	}
	oms := claim{predicateType: artifacttypes.PredicateOMS, form: sign.FormOMS}
	if _, ok := existing[oms.predicateType]; !ok {
		list, err := resources()
		if err != nil {
			return nil, nil, err
		}
		o, err := statement.NewOMS(name, list, nil)
		if err != nil {
			return nil, nil, err
		}
		if oms.payload, err = o.Payload(); err != nil {
			return nil, nil, err
		}
	}
	return append(claims, oms), nil, nil
}

func (a *artifact) attach(ctx context.Context, c claim, signer *sign.Signer) (Signature, error) {
	bundle, err := signer.Sign(ctx, c.payload, c.form)
	if err != nil {
		return Signature{}, err
	}
	desc, err := referrer.Attach(ctx, a.repository, a.descriptor, referrer.Attachment{
		ArtifactType: artifacttypes.MediaTypeBundle,
		MediaType:    artifacttypes.MediaTypeBundle,
		Blob:         bundle,
		Annotations: map[string]string{
			artifacttypes.AnnotationBundleContent:       artifacttypes.BundleContentDSSE,
			artifacttypes.AnnotationBundlePredicateType: c.predicateType,
		},
	})
	if err != nil {
		return Signature{}, fmt.Errorf("%s: attach signature: %w", a.at(a.descriptor), err)
	}
	return Signature{Digest: desc.Digest.String(), PredicateType: c.predicateType}, nil
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
	v, err := verify.Verify(ctx, a.subject(), evidence, verify.Ruling{Rules: policy.FromKeys([]string{key.Name}), Trust: verify.Trust{Keys: map[string]trust.Key{key.Name: key}}})
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
