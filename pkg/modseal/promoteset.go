package modseal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/promotion"
	"github.com/modseal/modseal/pkg/sign"
)

// PromotePlanOptions say what holds for all promotions of a plan that does not say
// it itself.
type PromotePlanOptions struct {
	PromoteOptions
	// Signer makes the signer of an entry that names one; the paths in it can be
	// opened as they are.
	Signer func(promotion.Sign) SignOptions
}

// PromotePlanResult is what became of a declared set of promotions.
type PromotePlanResult struct {
	File    string `json:"file"`
	Applied bool   `json:"applied"`
	// Promotions are in the order of the file; a pattern stands for one of each tag,
	// in the order of the tags.
	Promotions []*PromoteResult `json:"promotions"`
}

// PromotePlan is a declared set of promotions that was compared with what is there.
type PromotePlan struct {
	client *Client
	result PromotePlanResult
	jobs   []promoteJob
	errs   []error // of the jobs; nil where all is well
}

type promoteJob struct {
	src, dst string
	o        PromoteOptions
	err      error // it could not be begun
}

// PromotionsError says that some promotions of a set failed. It has the class of
// the first, in the order of the set.
type PromotionsError struct {
	Failed, All int
	Err         error // of the first
}

func (e *PromotionsError) Error() string {
	return fmt.Sprintf("%s; the first: %v", e.Count(), e.Err)
}

// Count says how many failed.
func (e *PromotionsError) Count() string {
	return fmt.Sprintf("%d of %d promotions failed", e.Failed, e.All)
}

// Unwrap returns why the first failed.
func (e *PromotionsError) Unwrap() error { return e.Err }

// ReadPromotionPlan reads a declared set of promotions. That it cannot be read, or
// is none, is an [ErrUsage]; where there is no such file the error wraps
// fs.ErrNotExist instead.
func ReadPromotionPlan(file string) (*promotion.Plan, error) {
	text, err := readSmall(file, limits.PlanBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("plan: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: plan: %w", ErrUsage, err)
	}
	plan, err := promotion.Parse(file, text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return plan, nil
}

// planners is how many promotions are planned at once: each waits for registries
// most of the time.
const planners = 4

// PlanPromotions verifies and plans every promotion of a set, and writes nothing.
// What fails is in the result, and does not keep the others from being planned; the
// error is about the whole set.
func (c *Client) PlanPromotions(ctx context.Context, plan *promotion.Plan, o PromotePlanOptions) (*PromotePlan, error) {
	p := &PromotePlan{client: c, result: PromotePlanResult{File: plan.Name}}
	for _, one := range plan.Promotions {
		jobs, err := c.jobs(ctx, plan.Name, one, o)
		if err != nil {
			return nil, err
		}
		if p.jobs = append(p.jobs, jobs...); len(p.jobs) > limits.PlanPromotions {
			return nil, fmt.Errorf("%w: %s stands for more than %d promotions", ErrUsage, plan.Name, limits.PlanPromotions)
		}
	}
	p.onePlaceEach()
	p.result.Promotions, p.errs = make([]*PromoteResult, len(p.jobs)), make([]error, len(p.jobs))
	var group errgroup.Group
	group.SetLimit(planners)
	for i := range p.jobs {
		group.Go(func() error {
			p.run(ctx, i, true)
			return nil
		})
	}
	_ = group.Wait() // what fails is in errs
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return p, nil
}

// run promotes one of the set, or plans to.
func (p *PromotePlan) run(ctx context.Context, i int, dry bool) {
	job := p.jobs[i]
	if job.err != nil {
		p.result.Promotions[i], p.errs[i] = notBegun(job), job.err
		return
	}
	job.o.DryRun = dry
	if planned := p.result.Promotions[i]; planned != nil {
		job.o.source = digest.Digest(planned.Digest) // what was shown
	}
	p.result.Promotions[i], p.errs[i] = p.client.Promote(ctx, job.src, job.dst, job.o)
}

func notBegun(job promoteJob) *PromoteResult {
	return &PromoteResult{
		Source: job.src, Destination: job.dst, Outcome: PromotionFailed, Steps: []PromoteStep{},
		Failure: &PromoteFailure{Step: StepResolve, Class: ClassOf(job.err).String(), Error: job.err.Error(), State: "nothing was written to the destination"},
	}
}

// Result is how each promotion stands.
func (p *PromotePlan) Result() *PromotePlanResult { return &p.result }

// Err is a [*PromotionsError] when a promotion failed, or would.
func (p *PromotePlan) Err() error {
	e := &PromotionsError{All: len(p.errs)}
	for _, err := range p.errs {
		if err == nil {
			continue
		}
		if e.Failed++; e.Err == nil {
			e.Err = err
		}
	}
	if e.Failed == 0 {
		return nil
	}
	return e
}

// Apply does every promotion that can be done, one after the other. Each decides
// again on what is there then; that a source was moved since it was planned is a
// [*MovedError].
func (p *PromotePlan) Apply(ctx context.Context) error {
	p.result.Applied = true
	for i := range p.jobs {
		if p.errs[i] != nil {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		p.run(ctx, i, false)
	}
	return p.Err()
}

// jobs is one promotion, or one for each tag that matches.
func (c *Client) jobs(ctx context.Context, file string, one promotion.Promotion, o PromotePlanOptions) ([]promoteJob, error) {
	options := optionsOf(file, one, o)
	if !one.Pattern() {
		return []promoteJob{{src: one.From, dst: one.To, o: options}}, nil
	}
	asked, err := (&selection{client: c}).request(ctx, one.From)
	var found []selectedArtifact
	if err == nil {
		found, err = asked.artifacts(ctx)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return []promoteJob{{src: one.From, dst: one.To, err: err}}, nil
	}
	var out []promoteJob
	for _, s := range found {
		out = append(out, promoteJob{src: s.String(), dst: one.To + ":" + s.Reference, o: options})
	}
	slices.SortFunc(out, func(a, b promoteJob) int { return cmp.Compare(a.src, b.src) })
	return out, nil
}

// optionsOf are the options of an entry: what it says, and what holds for all.
func optionsOf(file string, one promotion.Promotion, all PromotePlanOptions) PromoteOptions {
	beside := func(names []string) []string {
		out := slices.Clone(names)
		for i, n := range out {
			out[i] = besidePlan(n, file)
		}
		return out
	}
	o := all.PromoteOptions
	if len(one.Policies) > 0 {
		// Only what holds whoever is trusted stays.
		o.Trust = TrustOptions{PolicyFiles: beside(one.Policies), SitePolicyFiles: o.Trust.SitePolicyFiles, Offline: o.Trust.Offline}
	}
	if len(one.DestinationPolicies) > 0 {
		o.DestinationPolicyFiles = beside(one.DestinationPolicies)
	}
	if one.Sign != (promotion.Sign{}) {
		s := one.Sign
		for _, name := range []*string{&s.Key, &s.Certificate, &s.CertificateChain, &s.SigningConfig, &s.TrustedRoot} {
			*name = besidePlan(*name, file)
		}
		o.Sign = all.Signer(s)
	}
	if one.VerifierID != "" {
		o.VerifierID = one.VerifierID
	}
	if len(one.Levels) > 0 {
		o.Levels = one.Levels
	}
	if one.Renew > 0 {
		o.Renew = one.Renew
	}
	if one.Overwrite || one.Expect != "" {
		o.Overwrite, o.Expect = one.Overwrite, one.Expect
	}
	return o
}

// besidePlan is a file that a plan names, which is relative to it: both can be
// moved together. What is no file stays as it is.
func besidePlan(name, file string) string {
	if name == "" || name == "public-good" || strings.HasPrefix(name, TrustPrefix) || sign.IsReference(name) || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(file), name)
}

// onePlaceEach refuses a promotion to where an earlier one of the set ends: the
// plan cannot mean both.
func (p *PromotePlan) onePlaceEach() {
	seen := map[string]string{}
	for i, job := range p.jobs {
		place, err := job.place()
		if job.err != nil || err != nil {
			continue // what is wrong comes to light when it is planned
		}
		if first, twice := seen[place]; twice {
			p.jobs[i].err = fmt.Errorf("%w: %s is promoted to %s too", ErrUsage, first, job.dst)
			continue
		}
		seen[place] = job.src
	}
}

// place is where the promotion ends, with its tag.
func (j promoteJob) place() (string, error) {
	src, err := ParseTarget(j.src)
	if err != nil {
		return "", err
	}
	t, err := destinationOf(j.dst, src, false)
	return t.place(), err
}
