package modseal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/modelfile"
	"github.com/modseal/modseal/pkg/provenance"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/statement"
)

// ProvenanceOptions say what is known of how a model came about. The zero value says
// what its files say.
type ProvenanceOptions struct {
	// Getenv returns the variables that a build system gives its jobs; nil means that
	// there is none.
	Getenv func(name string) string
	// Source is a directory in the git checkout that the model was built from. Empty
	// means the directory of the model, where no build system says more, and that it
	// does not matter when there is no checkout.
	Source string
	// BaseModels and Datasets are what the model was made from: targets, which are
	// resolved to their digest; names of the Hugging Face hub with a revision or
	// without; URIs with @algorithm:digest or without; of data sets also files, which
	// are hashed. Empty means what the files of the model say.
	BaseModels, Datasets []string
	Parameters           map[string]string // of the build
	// BuilderID is the URI of the builder; empty means the one that the build system
	// names.
	BuilderID string
	// Times asks for when the build started, as far as the build system says so, for
	// those of training records, and for Finished, unless that is zero.
	Times    bool
	Finished time.Time

	// Predicate, when not nil, is provenance that somebody else made, instead of all
	// that: a JSON object of PredicateType, which is empty for SLSA provenance v1.
	Predicate     io.Reader
	PredicateType string

	// Attach, when not nil, signs the provenance and attaches it.
	Attach *SignOptions
}

// ProvenanceResult says what [Client.Provenance] made.
type ProvenanceResult struct {
	Reference     string          `json:"reference"`
	Digest        string          `json:"digest,omitempty"` // of the manifest; none for a directory
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
	// Attestation is where it was attached.
	Attestation *Signature `json:"attestation,omitempty"`
	Warnings    []string   `json:"warnings,omitempty"`
}

// Provenance makes the provenance of the model that target names, and attaches it
// where that is asked for. Of an artifact it reads headers and small files, as
// [Client.Inspect] does.
//
// Errors wrap [ErrUsage] when options make no sense or a build system contradicts
// itself, and when something is to be attached to a directory.
func (c *Client) Provenance(ctx context.Context, target string, o ProvenanceOptions) (*ProvenanceResult, error) {
	t, err := ParseTarget(target)
	if err != nil {
		return nil, err
	}
	if t.Kind == KindDirectory && o.Attach != nil {
		return nil, fmt.Errorf("%w: %s is a directory, which nothing can be attached to; push the model, with its provenance (push --provenance), or attach to what was pushed", ErrUsage, t)
	}
	m := &maker{client: c, o: o}
	res := &ProvenanceResult{Reference: t.String()}
	var a *artifact
	if t.Kind == KindDirectory {
		err = m.ofDirectory(ctx, t)
	} else {
		a, err = m.ofArtifact(ctx, target, t)
	}
	if err != nil {
		return nil, err
	}
	res.PredicateType, res.Predicate, res.Warnings = m.predicateType, m.predicate, m.warnings
	if a == nil {
		return res, nil
	}
	res.Digest = a.descriptor.Digest.String()
	if o.Attach != nil {
		res.Attestation, err = m.attach(ctx, a)
	}
	return res, err
}

// maker makes the provenance of one model.
type maker struct {
	client        *Client
	o             ProvenanceOptions
	parts         provenance.Parts
	predicateType string
	predicate     []byte
	warnings      []string
}

func (m *maker) warn(format string, args ...any) {
	m.warnings = append(m.warnings, fmt.Sprintf(format, args...))
}

func (m *maker) ofDirectory(ctx context.Context, t Target) error {
	tree, _, err := PackOptions{}.read(ctx, t.Path)
	if err != nil {
		return err
	}
	if err := m.prepare(ctx, tree.Dir); err != nil {
		return err
	}
	return m.finish(ctx, viewOfTree(ctx, tree, nil).files(), nil)
}

func (m *maker) ofArtifact(ctx context.Context, target string, t Target) (*artifact, error) {
	l, err := m.open(ctx, target, t)
	if err != nil {
		return nil, err
	}
	a, err := l.resolve(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.prepare(ctx, ""); err != nil || m.predicate != nil {
		return a, err
	}
	v, err := m.client.viewOf(ctx, a)
	if err != nil {
		return nil, err
	}
	files, proof := v.files(), newScanProof(v)
	if m.o.Attach != nil {
		files = proof.files(files)
	}
	if err := m.finish(ctx, files, nil); err != nil {
		return nil, err
	}
	unproven, err := proof.checkSmall(ctx) // nothing, where it saw nothing
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.at(a.descriptor), err)
	}
	m.warnings = append(m.warnings, unproven...)
	return a, nil
}

// open opens an artifact: what something is attached to is what the registry itself
// has under the name today.
func (m *maker) open(ctx context.Context, target string, t Target) (*location, error) {
	if m.o.Attach != nil {
		return m.client.openAs(ctx, t, false, true)
	}
	return m.client.openTarget(ctx, target)
}

// prepare does what needs no file of the model: what the build system says, and
// what it was made from. dir is the directory of the model; empty when there is none.
func (m *maker) prepare(ctx context.Context, dir string) error {
	if m.o.Predicate != nil {
		return m.given()
	}
	getenv := m.o.Getenv
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	run, err := provenance.FromEnvironment(getenv)
	if err != nil {
		return fmt.Errorf("%w: %w; pass the variables that the build system gives its jobs on to modseal", ErrUsage, err)
	}
	m.parts = provenance.Parts{
		Run: run, Parameters: m.o.Parameters, BuilderID: m.o.BuilderID, Times: m.o.Times, Finished: m.o.Finished,
	}
	if err := m.checkout(dir); err != nil {
		return err
	}
	switch {
	case run.Local():
		m.warn("no build system was seen: this provenance is worth what whoever signs it says")
	case run.Anonymous && m.o.BuilderID == "":
		m.warn("%s does not say which of all installations it is: name yours with --builder-id URI", run.System)
	}
	for _, text := range m.o.BaseModels {
		if err := m.material(ctx, provenance.NameBaseModel, text); err != nil {
			return err
		}
	}
	for _, text := range m.o.Datasets {
		if err := m.material(ctx, provenance.NameDataset, text); err != nil {
			return err
		}
	}
	return nil
}

// given reads the provenance that somebody else made. Whether it is what its type
// demands is found here, too, and not when the model lies in the registry.
func (m *maker) given() (err error) {
	m.predicateType = m.o.PredicateType
	if m.predicateType == "" {
		m.predicateType = artifacttypes.PredicateSLSAProvenanceV1
	}
	if m.predicateType, err = statement.PredicateType(m.predicateType); err != nil {
		return usage(err)
	}
	if m.predicate, err = io.ReadAll(io.LimitReader(m.o.Predicate, limits.PredicateBytes+1)); err != nil {
		return fmt.Errorf("predicate: %w", err)
	}
	if err := statement.CheckPredicate(m.predicateType, m.predicate); err != nil {
		return usage(err)
	}
	return nil
}

// checkout asks the git checkout for the source, where a build system does not say
// it, and for another one, where one is named.
func (m *maker) checkout(dir string) error {
	run := m.parts.Run
	named := m.o.Source != ""
	if named {
		dir = m.o.Source
	}
	if dir == "" || run.Source.Known() && !named {
		return nil
	}
	s, err := provenance.FromCheckout(dir)
	switch {
	case err == nil && run.Source.Known():
		m.parts.Dependencies = append(m.parts.Dependencies, s.Resource())
	case err == nil:
		run.Source = s
	case named && errors.Is(err, provenance.ErrNoCheckout):
		return fmt.Errorf("%w: --source %s: %w", ErrUsage, dir, err)
	case named:
		return fmt.Errorf("--source %s: %w", dir, err)
	case !errors.Is(err, provenance.ErrNoCheckout):
		m.warn("the source is not told: %v", err)
	}
	if err == nil && s.Repository == "" {
		m.warn("the checkout was cloned from nowhere: its commit %s is told without a repository", s.Commit)
	}
	return nil
}

// finish makes the predicate, with what the files say. facts are nil when they are
// not known yet.
func (m *maker) finish(ctx context.Context, files []modelfile.File, facts *modelfile.Facts) (err error) {
	if m.predicate != nil {
		return nil
	}
	if facts == nil {
		if facts, err = modelfile.Inspect(ctx, "", files); err != nil {
			return err
		}
	}
	m.stated(facts)
	records, warnings, err := provenance.Training(ctx, files, m.o.Times)
	if err != nil {
		return err
	}
	m.parts.Byproducts = records
	m.warnings = append(m.warnings, warnings...)
	m.predicateType = artifacttypes.PredicateSLSAProvenanceV1
	m.predicate, err = provenance.New(m.parts).JSON()
	if err != nil {
		return err
	}
	if err := statement.CheckPredicate(m.predicateType, m.predicate); err != nil {
		return usage(err)
	}
	return nil
}

func (m *maker) attach(ctx context.Context, a *artifact) (*Signature, error) {
	payload, err := statement.Attestation(a.descriptor.Digest, m.predicateType, m.predicate)
	if err != nil {
		return nil, usage(err)
	}
	// Nobody is asked for a password or a token before it is known what for.
	signer, err := m.client.signer(ctx, m.o.Attach)
	if err != nil {
		return nil, err
	}
	s, err := a.attest(ctx, claim{m.predicateType, payload, sign.FormCosign}, signer)
	return &s, err
}
