package modseal

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	modelspec "github.com/modelpack/model-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/bom"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/modelfile"
	"github.com/modseal/modseal/pkg/pack"
)

// SBOMOptions say what bill of materials is made, and what becomes of it.
type SBOMOptions struct {
	// Format is the form of a new document; empty means [bom.CycloneDX]. A document
	// that is completed keeps its own.
	Format bom.Format
	// Version is that of the program, which the document names.
	Version string
	// Created is the time of the document; nil takes that of the model's config, or
	// none, so that the same model gives the same bytes every day.
	Created *time.Time
	// Complete is a document of somebody else, which what is missing is added to; nil
	// makes a new one. It is read to its end; of one that is too large no more than
	// the bound is read.
	Complete io.Reader
	// Attach attaches the document to the artifact: signed by Sign, or as it is when
	// Sign is nil.
	Attach bool
	Sign   *SignOptions
}

// SBOMResult says what [Client.SBOM] made.
type SBOMResult struct {
	Reference string `json:"reference"`
	Digest    string `json:"digest"` // of the manifest
	Format    string `json:"format"`
	// Document is the bill of materials, as it is attached.
	Document json.RawMessage `json:"sbom"`
	// Fetched is how many bytes of the model's files were read to make it.
	Fetched int64 `json:"fetched"`
	// Attached is where it was attached unsigned, Attestation where signed.
	Attached    *Attached  `json:"attached,omitempty"`
	Attestation *Signature `json:"attestation,omitempty"`
	Warnings    []string   `json:"warnings,omitempty"`
}

// SBOM makes the bill of materials of the model that target names. Of an artifact
// no weights are read: digests come from the manifest, and what files say from their
// headers. Of tars of small files the members have no digests there, so that those
// are read. A directory is hashed, as far as its digests are not remembered.
//
// Errors wrap [ErrUsage] when the document to complete is none, and when something is
// to be attached to a directory.
func (c *Client) SBOM(ctx context.Context, target string, o SBOMOptions) (*SBOMResult, error) {
	t, err := ParseTarget(target)
	if err != nil {
		return nil, err
	}
	if t.Kind == KindDirectory {
		return c.sbomOfDirectory(ctx, t, o)
	}
	l, err := c.openForSBOM(ctx, target, t, o.Attach)
	if err != nil {
		return nil, err
	}
	a, err := l.resolve(ctx)
	if err != nil {
		return nil, err
	}
	m, res, err := c.sbomModel(ctx, a, o.Attach && o.Sign != nil)
	if err != nil {
		return nil, err
	}
	res.Reference = l.String()
	if err := o.write(m, res); err != nil {
		return nil, err
	}
	if o.Attach {
		err = c.attachSBOM(ctx, a, o.Sign, res)
	}
	return res, err
}

// openForSBOM opens the target: to attach something, at the registry itself.
func (c *Client) openForSBOM(ctx context.Context, target string, t Target, attach bool) (*location, error) {
	if attach {
		return c.openAs(ctx, t, false, true)
	}
	return c.openTarget(ctx, target)
}

// sbomOfDirectory describes what pushing the directory would store.
func (c *Client) sbomOfDirectory(ctx context.Context, t Target, o SBOMOptions) (*SBOMResult, error) {
	if o.Attach {
		return nil, fmt.Errorf("%w: %s is a directory, which nothing can be attached to; push the model, with its SBOM (push --sbom), or attach to what was pushed", ErrUsage, t)
	}
	tree, overrides, err := PackOptions{}.read(ctx, t.Path)
	if err != nil {
		return nil, err
	}
	packed, err := pack.Pack(ctx, tree, remembered{}, pack.Options{Overrides: overrides, Digests: c.digests, Created: o.Created})
	_ = c.digests.Flush(context.WithoutCancel(ctx)) // a cache that cannot be written remembers nothing
	if err != nil {
		return nil, err
	}
	v := viewOfTree(ctx, tree, packed.Files)
	m, err := sbomOfPacked(ctx, v, packed)
	if err != nil {
		return nil, err
	}
	res := &SBOMResult{Reference: t.String(), Digest: packed.Descriptor.Digest.String(), Fetched: v.fetched(), Warnings: packed.Warnings}
	return res, o.write(m, res)
}

// sbomOfPacked describes a model whose config is at hand.
func sbomOfPacked(ctx context.Context, v *modelView, packed *pack.Artifact) (*bom.Model, error) {
	config, err := parseConfig(packed.Config)
	if err != nil {
		return nil, err
	}
	return sbomOfFiles(ctx, v, v.files(), packed.Descriptor.Digest, config)
}

func parseConfig(raw []byte) (*modelspec.Model, error) {
	var config modelspec.Model
	if err := json.Unmarshal(raw, &config); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return &config, nil
}

// sbomModel describes an artifact. signed means that what its files say is to be
// signed.
func (c *Client) sbomModel(ctx context.Context, a *artifact, signed bool) (*bom.Model, *SBOMResult, error) {
	res := &SBOMResult{Digest: a.descriptor.Digest.String()}
	var config *modelspec.Model
	if desc := a.model.Manifest.Config; desc.MediaType == artifacttypes.MediaTypeModelConfig {
		raw, err := fetchBytes(ctx, a.location, desc, limits.ConfigBytes, "config")
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", a.at(a.descriptor), err)
		}
		if config, err = parseConfig(raw); err != nil {
			res.Warnings = append(res.Warnings, "only the files speak for the model: "+err.Error())
		}
	}
	v, err := c.viewOf(ctx, a)
	if err != nil {
		return nil, nil, err
	}
	if err := v.hashMembers(ctx); err != nil {
		return nil, nil, err
	}
	files, proof := v.files(), newScanProof(v)
	if signed {
		files = proof.files(files)
	}
	m, err := sbomOfFiles(ctx, v, files, a.descriptor.Digest, config)
	if err != nil {
		return nil, nil, err
	}
	unproven, err := proof.checkSmall(ctx) // nothing, where it saw nothing
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", a.at(a.descriptor), err)
	}
	res.Warnings = append(res.Warnings, unproven...)
	for _, u := range v.unreadable() {
		res.Warnings = append(res.Warnings, fmt.Sprintf("%q is listed as one file, with the digest of its layer, since what is in it cannot be listed: %s", u.Path, u.Why))
		m.Files = append(m.Files, bom.File{Path: u.Path, Size: u.Size, Digest: digest.Digest(u.Digest)})
	}
	res.Fetched = v.fetched()
	res.Warnings = append(res.Warnings, m.Facts.Notes()...)
	return m, res, nil
}

// sbomOfFiles gathers what the files of a view say. The name of a directory is left
// out: what it means is in the config, and an artifact has none.
func sbomOfFiles(ctx context.Context, v *modelView, files []modelfile.File, d digest.Digest, config *modelspec.Model) (*bom.Model, error) {
	facts, err := modelfile.Inspect(ctx, "", files)
	if err != nil {
		return nil, err
	}
	m := &bom.Model{Digest: d, Config: config, Facts: facts}
	for _, e := range v.entries() {
		m.Files = append(m.Files, bom.File{Path: e.Path, Role: e.Role, Size: e.Size, Digest: e.Digest})
	}
	return m, nil
}

// write makes the document.
func (o *SBOMOptions) write(m *bom.Model, res *SBOMResult) (err error) {
	m.Tool = bom.Tool{Name: "modseal", Version: o.Version}
	if o.Created != nil {
		config := modelspec.Model{}
		if m.Config != nil {
			config = *m.Config
		}
		config.Descriptor.CreatedAt = o.Created
		m.Config = &config
	}
	if o.Complete == nil {
		format := cmp.Or(o.Format, bom.CycloneDX)
		res.Format = string(format)
		res.Document, err = bom.Write(m, format)
		return err
	}
	given, err := io.ReadAll(io.LimitReader(o.Complete, limits.PredicateBytes+1))
	if err != nil {
		return fmt.Errorf("the document to complete: %w", err)
	}
	completed, err := bom.Complete(given, m)
	if errors.Is(err, bom.ErrInvalid) {
		return fmt.Errorf("%w: the document to complete: %w", ErrUsage, err)
	}
	if err != nil {
		return fmt.Errorf("the document to complete: %w", err)
	}
	res.Format, res.Document = string(completed.Format), completed.Document
	res.Warnings = append(res.Warnings, completed.Kept...)
	return nil
}
