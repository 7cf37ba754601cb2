package verify

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
)

// Subject is the model that is decided on. Its manifest was fetched by digest;
// the tag that led there plays no part.
type Subject struct {
	Name string // what policy scopes match: host/repository, oci:PATH, archive:FILE
	// At is where people find it, with its digest, while that is not under its
	// name; it may be empty.
	At         string
	Descriptor ocispec.Descriptor
	Manifest   []byte
	// Config is the blob of the model's config; nil when it was not read. Rules
	// that ask for it (policy.Rules.NeedsConfig) cannot be decided without.
	Config []byte
}

// reference names the subject in commands that the user is told to run.
func (s Subject) reference() string {
	if s.At != "" {
		return s.At
	}
	return s.Name + "@" + s.Descriptor.Digest.String()
}

// local reports whether the subject is on disk, so that no registry has to do
// with it.
func (s Subject) local() bool {
	return strings.HasPrefix(s.reference(), "oci:") || s.carried()
}

// carried reports whether the subject lies in an archive, to which nobody can add
// a signature.
func (s Subject) carried() bool { return strings.HasPrefix(s.reference(), "archive:") }

// Verified is a model that may be used. Only [Verify] and [SkipUnsafe] make one;
// the zero value is not [Verified.Valid] and holds nothing.
type Verified struct {
	state *state
}

type state struct {
	subject Subject
	model   *artifacttypes.Model
	report  Report
	members map[string]digest.Digest // of grouping tars; nil when unknown

	memories map[string]Memory // by subject of the rules
}

// Valid reports whether v comes from a verification.
func (v Verified) Valid() bool { return v.state != nil }

// Name returns the name of the subject.
func (v Verified) Name() string {
	if v.state == nil {
		return ""
	}
	return v.state.subject.Name
}

// Descriptor returns the descriptor of the manifest.
func (v Verified) Descriptor() ocispec.Descriptor {
	if v.state == nil {
		return ocispec.Descriptor{}
	}
	return v.state.subject.Descriptor
}

// Raw returns the bytes of the manifest.
func (v Verified) Raw() []byte {
	if v.state == nil {
		return nil
	}
	return slices.Clone(v.state.subject.Manifest)
}

// Model returns the manifest as it was read, or nil for the zero value. Its
// slices are the caller's.
func (v Verified) Model() *artifacttypes.Model {
	if v.state == nil {
		return nil
	}
	m := *v.state.model
	m.Layers = slices.Clone(m.Layers)
	m.Manifest.Layers = slices.Clone(m.Manifest.Layers)
	return &m
}

// Report returns what was verified.
func (v Verified) Report() Report {
	if v.state == nil {
		return Report{}
	}
	return v.state.report.clone()
}

// Members returns the files that the grouping tars of the model must hold, path
// and digest, neither more nor less, as an OMS statement of a trusted signer
// says it. It reports false when there is no such statement; then only the
// digests of the tars themselves are known to be right.
func (v Verified) Members() (map[string]digest.Digest, bool) {
	if v.state == nil || v.state.members == nil {
		return nil, false
	}
	return maps.Clone(v.state.members), true
}

// Remember returns what is to be remembered of this decision for the next ones,
// by the subject of the rules that ask for it and hold (policy.Rules.Subject).
func (v Verified) Remember() map[string]Memory {
	if v.state == nil {
		return nil
	}
	return maps.Clone(v.state.memories)
}

// SkipUnsafe makes a Verified without verifying anything but the form of the
// manifest and its digest: whoever could push the model decides what it is. Its
// report says so.
func SkipUnsafe(ctx context.Context, s Subject) (Verified, error) {
	if ctx.Err() != nil {
		return Verified{}, context.Cause(ctx)
	}
	model, err := s.model()
	if err != nil {
		return Verified{}, err
	}
	return Verified{&state{subject: s.clone(), model: model, report: Report{
		Subject:  s.Name,
		Digest:   s.Descriptor.Digest,
		Decision: Skipped,
		Warnings: []string{"nothing was verified: no signature was looked at and no policy was asked"},
	}}}, nil
}

// model reads the manifest after comparing it with its descriptor.
func (s Subject) model() (*artifacttypes.Model, error) {
	d := s.Descriptor
	if err := artifacttypes.ValidateDescriptor(d); err != nil {
		return nil, err
	}
	if size := int64(len(s.Manifest)); size != d.Size {
		return nil, &integrity.Error{What: "manifest", Want: d.Digest, WantSize: d.Size, GotSize: size}
	}
	if got := d.Digest.Algorithm().FromBytes(s.Manifest); got != d.Digest {
		return nil, &integrity.Error{What: "manifest", Want: d.Digest, Got: got, WantSize: d.Size, GotSize: d.Size}
	}
	model, err := artifacttypes.ParseManifest(s.Manifest)
	if err != nil || s.Config == nil {
		return model, err
	}
	return model, checkConfig(s.Config, model.Manifest.Config)
}

// checkConfig compares the config with what the manifest says of it.
func checkConfig(config []byte, want ocispec.Descriptor) error {
	if size := int64(len(config)); size != want.Size {
		return &integrity.Error{What: "config", Want: want.Digest, WantSize: want.Size, GotSize: size}
	}
	if got := want.Digest.Algorithm().FromBytes(config); got != want.Digest {
		return &integrity.Error{What: "config", Want: want.Digest, Got: got, WantSize: want.Size, GotSize: want.Size}
	}
	return nil
}

// clone keeps the caller from changing what was decided on.
func (s Subject) clone() Subject {
	s.Manifest, s.Config = slices.Clone(s.Manifest), slices.Clone(s.Config)
	return s
}
