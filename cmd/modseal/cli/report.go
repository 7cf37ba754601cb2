package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/report"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/verify"
)

// reports has the command write the reports that o asks for when it has run,
// whatever it came to. Nothing runs when they make no sense.
func (a *app) reports(cmd *cobra.Command, o *option.Report) {
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		sinks, err := o.Sinks()
		if err != nil {
			return usageError(cmd, fmt.Errorf("--report: %w", err))
		}
		err = ended(cmd.Context(), cmd, run(cmd, args))
		if len(sinks) == 0 {
			return err
		}
		failure := report.Write(a.reported(cmd, args, err), sinks, a.err)
		if err == nil {
			return failure
		}
		if failure != nil {
			// What the command failed with says more.
			a.warn(&option.Output{Format: formatOf(cmd)}, failure.Error())
		}
		return err
	}
}

func formatOf(cmd *cobra.Command) string {
	if f := cmd.Flags().Lookup("output"); f != nil {
		return f.Value.String()
	}
	return option.FormatText
}

// ended is the error that a command ends with: what it failed with after it was
// told to stop is that it was.
func ended(ctx context.Context, cmd *cobra.Command, err error) error {
	if err == nil || ctx.Err() == nil || modseal.ClassOf(err) == modseal.ClassRefused || as[*interruptedError](err) {
		return err
	}
	return &interruptedError{err: err, moves: cmd.Flags().Lookup("concurrency") != nil}
}

// outcomes are what exit codes are called in reports.
var outcomes = map[int]string{
	exitDone: report.Done, exitOther: report.Failed, exitUsage: report.Usage, exitRefused: report.Refused,
	exitUndecided: report.Undecided, exitNotFound: report.NotFound, exitUnauthorized: report.Unauthorized,
	exitTransport: report.Transport, exitIntegrity: report.Integrity, exitDrift: report.Drift, exitInterrupted: report.Interrupted,
}

// reported is what the command came to.
func (a *app) reported(cmd *cobra.Command, args []string, err error) report.Report {
	code := exitCode(err)
	r := report.Report{
		Command: cmd.CommandPath(), Target: strings.Join(args, " → "),
		ExitCode: code, Outcome: outcomes[code], Retry: code == exitTransport,
	}
	reportResult(&r, a.result)
	if err == nil {
		return r
	}
	r.Verified = false
	r.Error, r.Next = message(err), hints(err)
	var refusal *verify.Refusal
	if errors.As(err, &refusal) {
		r.Digest = cmp.Or(r.Digest, refusal.Digest.String())
		r.Checks = checksOf(refusal.Requirements)
	}
	return r
}

// reportResult takes from the result of a command what CI is to know.
func reportResult(r *report.Report, result any) {
	switch res := result.(type) {
	case *modseal.VerifyResult:
		r.Digest = res.Digest
		reportVerification(r, &res.Verification)
	case *modseal.PullResult:
		r.Digest = res.Digest
		reportVerification(r, &res.Verification)
	case *modseal.PushResult:
		r.Target, r.Digest = res.Reference, res.Digest
		for _, s := range res.Signatures {
			r.Facts = append(r.Facts, report.Fact{Name: "signed", Value: modseal.ClaimName(s.PredicateType) + " " + s.Digest})
		}
	case *modseal.PromoteResult:
		reportPromotion(r, res)
	case *modseal.PromotePlanResult:
		reportPlan(r, res)
	}
}

func reportPromotion(r *report.Report, res *modseal.PromoteResult) {
	if res == nil {
		return
	}
	r.Digest, r.Verified = res.Digest, res.Verified
	if res.VSA != nil {
		r.VSA = res.VSA.Digest
	}
	if res.Verification != nil {
		r.Checks = checksOf(res.Verification.Requirements)
	}
	for _, v := range res.DestinationVerification {
		r.Checks = append(r.Checks, checksOf(v.Requirements)...)
	}
	r.Facts = append(r.Facts, report.Fact{Name: "promotion", Value: string(res.Outcome)})
	if res.Failure != nil {
		r.Facts = append(r.Facts, report.Fact{Name: "failed at", Value: res.Failure.Step}, report.Fact{Name: "destination", Value: res.Failure.State})
	}
}

// reportPlan has a check for each promotion of the set.
func reportPlan(r *report.Report, res *modseal.PromotePlanResult) {
	r.Target, r.Verified = res.File, true
	for _, p := range res.Promotions {
		c := report.Check{Name: p.Source + " → " + p.Destination, Policy: res.File, Passed: p.Failure == nil, Found: string(p.Outcome)}
		if p.Failure != nil {
			c.Found = p.Failure.Step + ": " + p.Failure.Error
		}
		r.Verified = r.Verified && p.Verified
		r.Checks = append(r.Checks, c)
	}
}

func reportVerification(r *report.Report, v *verify.Report) {
	r.Verified = v.Decision == verify.Accepted
	r.Checks = checksOf(v.Requirements)
	r.Facts = append(r.Facts, report.Fact{Name: "policy", Value: v.Policy})
	if v.Decision != verify.Accepted {
		r.Facts = append(r.Facts, report.Fact{Name: "not verified", Value: string(v.Decision)})
	}
}

func checksOf(requirements []verify.RequirementResult) []report.Check {
	var out []report.Check
	for _, q := range requirements {
		out = append(out, report.Check{
			Name: q.Name, Policy: q.Policy, Passed: q.Outcome == verify.Passed, Found: q.Found, Next: q.Next,
		})
	}
	return out
}
