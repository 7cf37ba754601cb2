package modseal

import (
	"context"
	"fmt"
	"path"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/materialize"
	"github.com/modseal/modseal/pkg/pack"
	"github.com/modseal/modseal/pkg/referrer"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/verify"
)

// Signature is a bundle that is attached to an artifact.
type Signature struct {
	Digest        string `json:"digest"` // of the referrer manifest
	PredicateType string `json:"predicateType"`
	Signer        string `json:"signer,omitempty"` // who signed: a key, a certificate's name, an identity
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
	l, err := c.openAs(ctx, t, false, true)
	if err != nil {
		return nil, err
	}
	a, err := l.resolve(ctx)
	if err != nil {
		return nil, err
	}
	// Nobody is asked for a password or a token before it is known what for.
	signer, err := c.signer(ctx, &o)
	if err != nil {
		return nil, err
	}
	res := &SignResult{Reference: l.String(), Digest: a.descriptor.Digest.String()}
	name := path.Base(l.Registry.Repository)
	if l.Kind == KindLayout {
		name = filepath.Base(l.Path)
	}
	resources := func() ([]statement.Resource, error) { return a.resources(ctx) }
	res.Signatures, res.Warnings, err = a.sign(ctx, name, resources, signer)
	return res, err
}

// signPacked signs what was just packed: the digests of its files are known.
func signPacked(ctx context.Context, l *location, packed *pack.Artifact, name string, s *signer, warnings []string) ([]Signature, []string, error) {
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
	signatures, more, err := a.sign(ctx, name, resources, s)
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
func (a *artifact) sign(ctx context.Context, name string, resources func() ([]statement.Resource, error), s *signer) ([]Signature, []string, error) {
	existing, err := a.signedBy(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	claims, warnings, err := a.claims(name, resources, s, existing)
	if err != nil {
		return nil, nil, err
	}
	var out []Signature
	for _, c := range claims {
		signature, ok := existing[c.predicateType]
		if !ok {
			if signature, err = a.attach(ctx, c, s); err != nil {
				return nil, nil, err
			}
		}
		out = append(out, signature)
	}
	return out, warnings, nil
}

// claims makes the statements; of those that exist only the predicate type.
func (a *artifact) claims(name string, resources func() ([]statement.Resource, error), s *signer, existing map[string]Signature) ([]claim, []string, error) {
	payload, err := statement.CosignSign(a.descriptor.Digest)
	if err != nil {
		return nil, nil, err
	}
	claims := []claim{{artifacttypes.PredicateCosignSign, payload, sign.FormCosign}}
	if !s.CanOMS() {
		return claims, []string{"no OMS signature: " + whyNoOMS(s)}, nil
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

// whyNoOMS continues "no OMS signature: ".
func whyNoOMS(s *signer) string {
	if s.Identity().Method == sign.MethodKeyless {
		return "a keyless one must be in a transparency log, and the signing configuration names none"
	}
	return fmt.Sprintf("the specification knows no %s keys (use an elliptic curve key)", s.Public().Describe())
}

func (a *artifact) attach(ctx context.Context, c claim, s *signer) (Signature, error) {
	bundle, err := s.Sign(ctx, c.payload, c.form)
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
	return Signature{Digest: desc.Digest.String(), PredicateType: c.predicateType, Signer: s.Identity().String()}, nil
}

func (a *artifact) subject() verify.Subject {
	return verify.Subject{Name: a.Scope(), At: a.lies, Descriptor: a.descriptor, Manifest: a.manifest}
}
