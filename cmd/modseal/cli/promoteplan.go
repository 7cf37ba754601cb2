package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/promotion"
)

func (a *app) runPromotePlan(ctx context.Context, f *promoteFlags) error {
	plan, err := modseal.ReadPromotionPlan(f.plan)
	if err != nil {
		return err
	}
	record, err := newRecord(f.record)
	if err != nil {
		return err
	}
	defer record.discard()
	p := a.progress(&f.Output)
	client, err := a.client(&f.Registry, p)
	if err != nil {
		return err
	}
	set, err := client.PlanPromotions(ctx, plan, modseal.PromotePlanOptions{
		PromoteOptions: a.promoteOptions(f),
		Signer:         func(s promotion.Sign) modseal.SignOptions { return a.signerOfPlan(s, f) },
	})
	if err != nil {
		p.Close(err)
		return err
	}
	err = set.Err()
	if f.apply {
		if !f.JSON() && !f.Quiet {
			writePlan(a.err, set.Result())
		}
		err = set.Apply(ctx)
	}
	p.Close(err)
	a.result = set.Result()
	if writeErr := record.write(set.Result()); writeErr != nil {
		err = errors.Join(err, writeErr)
	}
	for _, r := range set.Result().Promotions {
		a.warn(&f.Output, r.Warnings...)
	}
	doc := planDocument{set.Result(), failureOf(err)}
	if doc.failure != nil {
		doc.Promotion = nil // each is in the list
	}
	return a.told(&f.Output, doc, err, func(w io.Writer) { writePlan(w, set.Result()) })
}

// planDocument is what is printed of a declared set, with the first failure.
type planDocument struct {
	*modseal.PromotePlanResult
	*failure
}

// signerOfPlan is who signs by an entry of a plan. How a token is got is still said
// by flags.
func (a *app) signerOfPlan(s promotion.Sign, f *promoteFlags) modseal.SignOptions {
	flags := f.sign
	flags.Key, flags.Certificate, flags.Chain = s.Key, s.Certificate, s.CertificateChain
	flags.Keyless, flags.SigningConfig, flags.TrustedRoot = s.Keyless, s.SigningConfig, s.TrustedRoot
	return a.signer(&flags, &f.Output)
}

// writePlan tells how each promotion of a set stands.
func writePlan(w io.Writer, r *modseal.PromotePlanResult) {
	fields := render.NewFields(w)
	for _, one := range r.Promotions {
		fields.Row(planWord(one), shortDigest(one.Source), one.Destination, render.Short(one.Digest), planDetails(one))
	}
	fields.Flush()
}

// shortDigest shortens the digest of a target that has one: it has a column of its own.
func shortDigest(target string) string {
	if name, digest, ok := strings.Cut(target, "@"); ok {
		return name + "@" + render.Short(digest)
	}
	return target
}

func planWord(r *modseal.PromoteResult) string {
	switch r.Outcome {
	case modseal.PromotionFailed:
		return r.Failure.Class
	case modseal.PromotionPlanned:
		return string(r.Change)
	case modseal.Promoted, modseal.PromotionUnchanged:
	}
	return string(r.Outcome)
}

func planDetails(r *modseal.PromoteResult) string {
	switch {
	case r.Outcome == modseal.PromotionFailed:
		return r.Failure.Step + ": " + withoutUsage(r.Failure.Error)
	case r.Outcome == modseal.PromotionPlanned && r.Change == modseal.ChangeUpdate:
		return "holds " + render.Short(r.Previous)
	case r.VSA != nil:
		return "summary " + render.Short(r.VSA.Digest) + existedText(r.VSA.Existed)
	case r.Copy != nil && r.Copy.Blobs > 0:
		return fmt.Sprintf("%s, %s to copy", render.Count(r.Copy.Blobs, "blob"), render.Bytes(r.Copy.Bytes))
	}
	return ""
}
