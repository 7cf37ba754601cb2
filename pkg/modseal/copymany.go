package modseal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/transfer"
)

// CopyReport says what [Client.CopyAll] did: every artifact at every destination.
type CopyReport struct {
	Copies  []CopyOutcome `json:"copies"`
	Done    int           `json:"done"` // copied, or there before
	Failed  int           `json:"failed"`
	Skipped int           `json:"skipped,omitempty"` // not begun, since another one had failed
	// Partial says that some were done and others not.
	Partial bool `json:"partial"`
	// What moved, of all of them.
	transfer.CopyTraffic
	Warnings []string `json:"warnings,omitempty"`
}

// CopyOutcome is how the copy of one artifact to one destination ended.
type CopyOutcome struct {
	// CopyResult is of a failed copy what is known of it.
	CopyResult
	Outcome string `json:"outcome"` // CopyDone, CopyFailed or CopySkipped
	Error   string `json:"error,omitempty"`
	// Err is why it failed; nil when it did not.
	Err error `json:"-"`
}

// How a copy ended.
const (
	CopyDone    = "done"
	CopyFailed  = "failed"
	CopySkipped = "skipped"
)

// Err returns the first failure in the order in which the artifacts were named; nil
// when there was none. It is the one whose class a caller branches on.
func (r *CopyReport) Err() error {
	for _, c := range r.Copies {
		if c.Err != nil {
			return c.Err
		}
	}
	return nil
}

// CopyAll copies artifacts to several places, each as [Client.Copy] does. Whatever
// fails does not stop the others, unless CopyOptions.FailFast says so: the report
// has each of them, and the error is about the call or about a cancelled context.
//
// Destinations on several registries, and layouts, are written at the same time;
// what they have in common is read from the source once, through
// CopyOptions.SpoolDir.
func (c *Client) CopyAll(ctx context.Context, lines []CopyLine, o CopyOptions) (*CopyReport, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	p := &copyPlan{client: c, o: o, chosen: selection{client: c, opened: map[string]*location{}}}
	if err := p.lines(ctx, lines); err != nil {
		return nil, err
	}
	return p.run(ctx)
}

// copyPlan is what is copied where.
type copyPlan struct {
	client *Client
	o      CopyOptions
	chosen selection

	copies  []*plannedCopy
	warned  []string
	stopped atomic.Bool // by CopyOptions.FailFast
}

// plannedCopy is one artifact and one destination.
type plannedCopy struct {
	source *copySource // nil when there is none, and err says why
	to     Target
	CopyOutcome
}

// lines finds the artifacts. One that is not there is a failed copy; what cannot be
// meant is an error, before anything is moved.
func (p *copyPlan) lines(ctx context.Context, lines []CopyLine) error {
	holds := map[string]*plannedCopy{}
	sharing := map[string]int{} // how many lines have the same destinations
	for _, line := range lines {
		sharing[strings.Join(line.Destinations, " ")]++
	}
	for _, line := range lines {
		found, err := p.find(ctx, line.Source)
		if errors.Is(err, ErrUsage) || ctx.Err() != nil {
			return err
		}
		if err != nil {
			p.failed(line, err)
			continue
		}
		_, glob := cutGlob(line.Source)
		many := glob != "" || sharing[strings.Join(line.Destinations, " ")] > 1
		for _, s := range found {
			if err := p.artifact(ctx, s, line, many, holds); err != nil {
				return err
			}
		}
		if len(p.copies) > limits.Selected {
			return fmt.Errorf("%w: more than %d copies", ErrUsage, limits.Selected)
		}
	}
	return nil
}

// find returns what a source names, before it is resolved.
func (p *copyPlan) find(ctx context.Context, source string) ([]selectedArtifact, error) {
	r, err := p.chosen.request(ctx, source)
	if err != nil {
		return nil, err
	}
	return r.artifacts(ctx)
}

// failed takes note of a source that cannot be found.
func (p *copyPlan) failed(line CopyLine, err error) {
	for _, dst := range line.Destinations {
		p.copies = append(p.copies, &plannedCopy{CopyOutcome: CopyOutcome{
			CopyResult: CopyResult{Source: line.Source, Destination: dst}, Outcome: CopyFailed, Err: err,
		}})
	}
}

// artifact plans the copies of one artifact.
func (p *copyPlan) artifact(ctx context.Context, s selectedArtifact, line CopyLine, many bool, holds map[string]*plannedCopy) error {
	src := &copySource{location: s.location}
	var err error
	src.descriptor, err = s.Resolve(ctx, s.Reference)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, dst := range line.Destinations {
		t, wrong := destinationOf(dst, s.Target, many)
		if wrong != nil {
			return wrong
		}
		c := &plannedCopy{source: src, to: t}
		c.Source, c.Destination, c.Digest = s.Target.String(), t.String(), src.descriptor.Digest.String()
		if err != nil {
			c.source, c.Outcome, c.Err = nil, CopyFailed, fmt.Errorf("%s: %w", s.Target, err)
		} else if other := holds[t.place()]; other != nil {
			if other.Digest == c.Digest {
				continue
			}
			return fmt.Errorf("%w: %s and %s would both become %s; name a prefix with a slash at its end, which keeps their repositories apart", ErrUsage, other.Source, c.Source, c.Destination)
		} else {
			holds[t.place()] = c
			src.users++
		}
		p.copies = append(p.copies, c)
	}
	return nil
}

// run makes the copies: those of a lane one after the other, the lanes at once.
func (p *copyPlan) run(ctx context.Context) (*CopyReport, error) {
	var order []string
	lanes := map[string][]*plannedCopy{}
	for _, c := range p.copies {
		if c.source == nil {
			p.stopped.Store(p.o.FailFast)
			continue
		}
		lane := c.to.lane()
		if lanes[lane] == nil {
			order = append(order, lane)
		}
		lanes[lane] = append(lanes[lane], c)
	}
	depot, err := p.depot(lanes)
	if err != nil {
		return nil, err
	}
	defer depot.Close()
	options := make([]CopyOptions, len(order))
	for i, lane := range order {
		options[i] = p.o
		if len(order) > 1 {
			options[i].label = lane
		}
		options[i].depot = depot.Join() // all of them, before the first one copies
	}
	var running sync.WaitGroup
	for i, lane := range order {
		running.Go(func() { p.lane(ctx, lanes[lane], options[i]) })
	}
	running.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return p.report(), nil
}

// depot is where blobs lie that several lanes want, nil when there is one lane.
func (p *copyPlan) depot(lanes map[string][]*plannedCopy) (*transfer.Depot, error) {
	remote := slices.ContainsFunc(p.copies, func(c *plannedCopy) bool { return c.source != nil && c.source.Kind == KindRegistry })
	switch {
	case len(lanes) < 2 || p.o.DryRun || !remote:
		return nil, nil
	case p.o.SpoolDir == "":
		p.warned = append(p.warned, "there is no directory for a spool: what several destinations need is fetched for each of them")
		return nil, nil
	}
	return transfer.OpenDepot(p.o.SpoolDir)
}

func (p *copyPlan) lane(ctx context.Context, copies []*plannedCopy, o CopyOptions) {
	var failure error
	for _, c := range copies {
		if ctx.Err() != nil || p.stopped.Load() {
			c.Outcome = CopySkipped
			c.source.done()
			continue
		}
		res, err := p.client.copyOne(ctx, c.source, c.to, o)
		c.source.done()
		if res != nil {
			c.CopyResult = *res
		}
		c.Outcome, c.Err = CopyDone, err
		if err == nil {
			continue
		}
		c.Outcome, failure = CopyFailed, err
		if o.FailFast {
			p.stopped.Store(true)
		}
	}
	o.depot.Leave(failure)
}

func (p *copyPlan) report() *CopyReport {
	r := &CopyReport{Warnings: p.warned, Copies: []CopyOutcome{}}
	for _, c := range p.copies {
		if c.Outcome == "" {
			c.Outcome = CopySkipped
		}
		if c.Err != nil {
			c.Error = c.Err.Error()
		}
		switch c.Outcome {
		case CopyDone:
			r.Done++
		case CopyFailed:
			r.Failed++
		default:
			r.Skipped++
		}
		r.Fetched += c.Fetched
		r.Sent += c.Sent
		r.Kept += c.Kept
		r.Copies = append(r.Copies, c.CopyOutcome)
	}
	r.Partial = r.Done > 0 && r.Failed+r.Skipped > 0
	return r
}
