package policy

import (
	"io/fs"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/goccy/go-yaml/ast"
)

func (d *document) requirements(m mapping) ([]Requirement, error) {
	n, f := m.values["requirements"], m.field("requirements")
	if s, ok := n.(*ast.SequenceNode); ok && len(s.Values) == 0 {
		return nil, d.errorf(line(n), "requirements is empty, so that the scope would accept everything; mode %s reports without refusing", ModeWarn)
	}
	items, err := d.list(n, f)
	if err != nil {
		return nil, err
	}
	var reqs []Requirement
	var oms *Requirement
	manifest, signatures, signers := false, false, false // whether there is somebody to vouch for it
	for _, item := range items {
		req, err := d.requirement(item)
		if err != nil {
			return nil, err
		}
		if req.OMS != nil {
			if oms != nil {
				return nil, d.errorf(req.Line, "the requirement in line %d is about oms, too; write one with both", oms.Line)
			}
			oms = &req
		}
		signatures = signatures || req.Signature != nil
		signers = signers || len(req.Signers()) > 0
		manifest = manifest || req.vouches()
		reqs = append(reqs, req)
	}
	switch {
	case oms != nil && !signatures && len(oms.OMS.Signers) == 0:
		return nil, d.errorf(oms.Line, "oms has no signers, and there is no signature requirement whose signers it could use; add signers to oms")
	case !signers:
		return nil, d.errorf(line(n), "the requirements name no signers: conditions and freshness are about what somebody must have vouched for; add a signature requirement")
	case !manifest:
		return reqs, d.unvouched(reqs)
	}
	return reqs, nil
}

// vouches reports whether the requirement is about the manifest: whoever meets it
// vouches for the config and the annotations, too.
func (req Requirement) vouches() bool {
	return req.Signature != nil || req.Attestation != nil || req.VSA != nil
}

// unvouched refuses what is asked of a config or annotations that nobody signed:
// an OMS statement binds files alone, so that whoever can push gives the signed
// files of an old model the version of a new one.
func (d *document) unvouched(reqs []Requirement) error {
	const add = "oms requirements are about files, and nobody vouches for the config and the annotations; add a signature, an attestation or a vsa requirement"
	for _, req := range reqs {
		switch {
		case req.Freshness != nil:
			return d.errorf(req.Line, "freshness is about the version in the config: %s", add)
		case slices.ContainsFunc(req.Expressions(), Condition.needsManifest):
			return d.errorf(req.Line, "a condition asks for the config or the annotations: %s", add)
		}
	}
	return nil
}

func (d *document) requirement(n ast.Node) (Requirement, error) {
	req := Requirement{Line: line(n)}
	m, err := d.mapping(n, &requirementSection)
	if err != nil {
		return req, err
	}
	if n := m.values["signature"]; n != nil {
		req.Signature, err = d.signature(n)
	} else if n := m.values["oms"]; n != nil {
		req.OMS, err = d.oms(n)
	} else if n := m.values["attestation"]; n != nil {
		req.Attestation, err = d.attestation(n)
	} else if n := m.values["vsa"]; n != nil {
		req.VSA, err = d.vsa(n)
	} else if n := m.values["freshness"]; n != nil {
		req.Freshness, err = d.freshness(n)
	} else {
		req.Conditions = &ConditionsRequirement{}
		err = d.conditions(m, &req.Conditions.Conditions, ArtifactCondition)
	}
	return req, err
}

func (d *document) signature(n ast.Node) (*SignatureRequirement, error) {
	m, err := d.mapping(n, &signatureSection)
	if err != nil {
		return nil, err
	}
	s := &SignatureRequirement{}
	return s, first(
		func() error { return d.signers(m, &s.Signers) },
		func() error { return d.threshold(m, s.Signers, &s.Threshold) },
		func() error { return d.readBoolean(m, "legacyTags", &s.LegacyTags) },
		func() error { return d.witness(m, s.Signers, &s.Witness) },
	)
}

func (d *document) threshold(m mapping, signers []Signer, to *int) error {
	*to = 1
	if err := d.readInteger(m, "threshold", to); err != nil {
		return err
	}
	if different := distinct(signers); *to > different {
		return d.errorf(m.lines["threshold"], "threshold %d is not between 1 and the number of different signers, %d", *to, different)
	}
	return nil
}

// distinct counts signers that are not the same under another name.
func distinct(signers []Signer) int {
	n := 0
	for i, s := range signers {
		same := false
		for _, earlier := range signers[:i] {
			same = same || s.sameAs(earlier)
		}
		if !same {
			n++
		}
	}
	return n
}

func (d *document) oms(n ast.Node) (*OMSRequirement, error) {
	m, err := d.mapping(n, &omsSection)
	if err != nil {
		return nil, err
	}
	o := &OMSRequirement{}
	return o, first(
		func() error { return d.readBoolean(m, "required", &o.Required) },
		func() error { return d.signers(m, &o.Signers) },
		func() error { return d.readTexts(m, "hashTypes", &o.HashTypes) },
		func() error { return d.readTexts(m, "methods", &o.Methods) },
		func() error { return d.ignorePaths(m, o) },
		func() error { return d.readBoolean(m, "symlinks", &o.Symlinks) },
		func() error { return d.readBoolean(m, "unsignedFiles", &o.UnsignedFiles) },
		func() error { return d.readBoolean(m, "legacyPredicate", &o.LegacyPredicate) },
		func() error { return d.witness(m, o.Signers, &o.Witness) },
	)
}

// ignorePaths reads a list of paths, or the text any.
func (d *document) ignorePaths(m mapping, o *OMSRequirement) error {
	n := m.values["ignorePaths"]
	if text, ok := n.(*ast.StringNode); ok {
		if text.Value != "any" {
			return d.errorf(line(n), "ignorePaths %q must be a list of paths, or any", text.Value)
		}
		o.AnyIgnorePaths = true
		return nil
	}
	if err := d.readTexts(m, "ignorePaths", &o.IgnorePaths); err != nil {
		return err
	}
	for _, p := range o.IgnorePaths {
		// OMS 1.0 knows exact paths and what is below them, and no patterns.
		if !fs.ValidPath(p) || p == "." || strings.ContainsAny(p, "*?[") {
			return d.errorf(m.lines["ignorePaths"], "ignorePaths: %q is no relative path without detours and wildcards, such as docs/drafts", p)
		}
	}
	return nil
}

func (d *document) freshness(n ast.Node) (*FreshnessRequirement, error) {
	m, err := d.mapping(n, &freshnessSection)
	if err != nil {
		return nil, err
	}
	f := &FreshnessRequirement{}
	err = first(
		func() error { return d.readText(m, "minimumVersion", &f.MinimumVersion) },
		func() error { return d.readTime(m, "createdAfter", &f.CreatedAfter) },
		func() error { return d.readBoolean(m, "remember", &f.Remember) },
	)
	if err != nil {
		return nil, err
	}
	if f.MinimumVersion != "" {
		if _, err := semver.StrictNewVersion(f.MinimumVersion); err != nil {
			return nil, d.errorf(m.lines["minimumVersion"], "minimumVersion %q is no semantic version, such as 1.2.0", f.MinimumVersion)
		}
	}
	if *f == (FreshnessRequirement{}) {
		return nil, d.errorf(m.line, "freshness requires nothing; write minimumVersion, createdAfter or remember: true")
	}
	return f, nil
}

// witness reads the fields about logs and timestamps, and finds out which trusted
// root they are in.
func (d *document) witness(m mapping, signers []Signer, w *Witness) error {
	if err := d.readDuration(m, "maxAge", &w.MaxAge); err != nil {
		return err
	}
	return d.observers(m, signers, w)
}

// observers is witness without the age of the signature.
func (d *document) observers(m mapping, signers []Signer, w *Witness) error {
	err := first(
		func() error { return d.readInteger(m, "transparencyLogs", &w.TransparencyLogs) },
		func() error { return d.readInteger(m, "timestamps", &w.Timestamps) },
		func() error { return d.readText(m, "trustedRoot", &w.TrustedRoot) },
	)
	if err != nil {
		return err
	}
	asked := w.TransparencyLogs > 0 || w.Timestamps > 0 || w.MaxAge > 0
	if w.TrustedRoot == "" && (!asked || len(signers) > 0 && everyKeyless(signers)) {
		// Each keyless signer comes with a root, which is that of its logs, too.
		return nil
	}
	at, what := m.lines["trustedRoot"], "transparencyLogs or timestamps"
	for _, key := range []string{"maxAge", "timestamps", "transparencyLogs"} {
		if at == 0 {
			at = m.lines[key]
		}
	}
	if w.MaxAge > 0 {
		what = "transparencyLogs, timestamps or maxAge"
	}
	w.TrustedRoot, err = d.root(w.TrustedRoot, at, m.section.Title+" with "+what)
	return err
}

func everyKeyless(signers []Signer) bool {
	for _, s := range signers {
		if s.Keyless == nil {
			return false
		}
	}
	return true
}
