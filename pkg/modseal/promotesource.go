package modseal

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/verify"
)

// resolve parses both names and resolves the source, once.
func (p *promoting) resolve(ctx context.Context) (StepOutcome, string, error) {
	var err error
	if p.from, err = p.openTarget(ctx, p.res.Source); err != nil {
		return "", "", err
	}
	if err := p.setDestination(p.from.Target); err != nil {
		return "", "", err
	}
	if err := p.o.check(); err != nil {
		return "", "", err
	}
	if p.model, err = p.from.resolve(ctx); err != nil {
		return "", "", err
	}
	got := p.model.descriptor.Digest
	p.res.Digest = got.String()
	if want := p.o.source; want != "" && want != got {
		return "", "", &MovedError{Reference: p.from.String(), Was: want.String(), Is: got.String()}
	}
	if !p.to.tagged() && p.to.Reference != got.String() {
		return "", "", fmt.Errorf("%w: %s is to hold %s", ErrUsage, p.to, got)
	}
	return StepDone, p.from.String() + " is " + got.String(), nil
}

// setDestination parses the name of the destination, which keeps the tag of from
// when it has none itself.
func (p *promoting) setDestination(from Target) error {
	named := from
	if from.Kind == KindArchive && strings.Contains(from.Reference, "/") {
		// The full name that an archive calls an artifact by.
		_, named.Reference, _ = strings.Cut(path.Base(from.Reference), ":")
	}
	to, err := destinationOf(p.res.Destination, named, false)
	if err != nil {
		return err
	}
	p.to, p.res.Destination = to, to.String()
	return nil
}

// tagged reports whether the target has a tag, and no digest.
func (t Target) tagged() bool {
	return t.Reference != "" && artifacttypes.ValidateDigest(digest.Digest(t.Reference)) != nil
}

// MovedError says that a tag was moved while it was worked on, so that what was
// decided is not about what it holds now.
type MovedError struct {
	Reference string
	Was, Is   string // digests; Is is empty when the tag is gone
}

func (e *MovedError) Error() string {
	if e.Is == "" {
		return fmt.Sprintf("%s held %s when this began, and is gone now", e.Reference, e.Was)
	}
	return fmt.Sprintf("%s held %s when this began, and holds %s now", e.Reference, e.Was, e.Is)
}

// WarnedError says that rules that only warn are not met. The summary of a
// promotion says that its policy passed, which would not be so.
type WarnedError struct {
	Subject  string
	Warnings []string
}

func (e *WarnedError) Error() string {
	return fmt.Sprintf("%s: refused: its policy only warns (mode: warn) and is not met, so that no summary can say that it passed: %s",
		e.Subject, strings.Join(e.Warnings, "; "))
}

// verifySource decides on the model where it is, by the rules of the user and the
// site, as verify does.
func (p *promoting) verifySource(ctx context.Context) (StepOutcome, string, error) {
	var err error
	if p.source, err = p.trusted(ctx, p.o.Trust, p.from.Scope()); err != nil {
		return "", "", err
	}
	if p.gate, err = p.trustedThere(ctx); err != nil {
		return "", "", err
	}
	p.notePolicies()
	v, err := p.model.verify(ctx, p.source)
	if err != nil {
		return "", "", err
	}
	report := v.Report()
	p.res.Verification = &report
	if report.Decision != verify.Accepted {
		return "", "", &WarnedError{Subject: p.from.at(p.model.descriptor), Warnings: report.Warnings}
	}
	if err := p.model.compareMembers(ctx, v); err != nil {
		return "", "", err
	}
	if !p.o.DryRun {
		if err := p.remember(ctx, v); err != nil {
			return "", "", err
		}
	}
	p.accepted, p.res.Verified = v, true
	p.res.Warnings = append(p.res.Warnings, report.Warnings...)
	return StepDone, "accepted by " + report.Policy, nil
}

// trustedThere reads the rules that hold at the destination under its own name.
// There may be none.
func (p *promoting) trustedThere(ctx context.Context) (*trusted, error) {
	o := TrustOptions{PolicyFiles: p.o.DestinationPolicyFiles, SitePolicyFiles: p.o.Trust.SitePolicyFiles, Offline: p.o.Trust.Offline}
	sources, err := o.applying(p.to.Scope())
	if err != nil {
		return nil, err
	}
	return p.loadTrust(ctx, sources, o.Offline)
}

// notePolicies writes down by which documents it is decided.
func (p *promoting) notePolicies() {
	add := func(sources []ruleSource, at string) {
		for _, s := range sources {
			d := policyDescriptor(s, p.source)
			one := PromotePolicy{File: cmp.Or(s.file, s.rules.Name), Digest: d.Digest, Scope: s.rules.Scope, At: at}
			if s.site {
				one.At = "site"
			}
			p.res.Policies = append(p.res.Policies, one)
		}
	}
	add(p.source.sources, "source")
	add(p.gate.sources, "destination")
}
