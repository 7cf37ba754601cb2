package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/transfer"
)

// copyDocument is what is printed of one copy. A plan that shows drift has both.
type copyDocument struct {
	*modseal.CopyResult
	*failure
}

// copiesDocument is what is printed of several.
type copiesDocument struct {
	*modseal.CopyReport

	Copies []copyLine `json:"copies"`
	*failure
}

type copyLine struct {
	modseal.CopyOutcome

	ExitCode int      `json:"exitCode"`
	Next     []string `json:"next,omitempty"`
}

// told prints a document that has the failure err in it, nil when there is none.
func (a *app) told(o *option.Output, document any, err error, text func(io.Writer)) error {
	if !o.JSON() {
		text(a.out)
		return err
	}
	if printErr := render.JSON(a.out, document); printErr != nil || err == nil {
		return printErr
	}
	failed := jsonFailure(err)
	_ = render.WriteEvent(a.err, time.Now(), render.Event{ // where it cannot be written, the exit code remains
		Event: render.EventError, Message: failed.Error, ExitCode: &failed.ExitCode, Next: failed.Next,
	})
	return &toldError{err: err}
}

func failureOf(err error) *failure {
	if err == nil {
		return nil
	}
	f := jsonFailure(err)
	return &f
}

func (a *app) printCopy(f *copyFlags, res *modseal.CopyResult, err error) error {
	return a.told(&f.Output, copyDocument{res, failureOf(err)}, err, func(w io.Writer) { writeCopy(w, res) })
}

func (a *app) printCopies(f *copyFlags, r *modseal.CopyReport, err error) error {
	doc := copiesDocument{CopyReport: r, failure: failureOf(err), Copies: []copyLine{}}
	for _, c := range r.Copies {
		line := copyLine{CopyOutcome: c}
		if c.Err != nil {
			line.ExitCode, line.Next = exitCode(c.Err), hints(c.Err)
		}
		doc.Copies = append(doc.Copies, line)
	}
	return a.told(&f.Output, doc, err, func(w io.Writer) { writeCopies(w, r) })
}

func writeCopy(w io.Writer, res *modseal.CopyResult) {
	fields := render.NewFields(w)
	if res.DryRun {
		fields.Add("would copy", res.Source)
	} else {
		fields.Add("copied", res.Source)
	}
	fields.Add("to", res.Destination)
	fields.Add("digest", res.Digest)
	fields.Add("tag", tagText(res))
	if res.DryRun {
		fields.Add("blobs", fmt.Sprintf("%d to copy, %s; %d to mount, %d there", res.Blobs, render.Bytes(res.Bytes), res.Mounted, res.Existed))
		fields.Add("referrers", fmt.Sprintf("%d to add, %d there", res.NewReferrers, res.Referrers-res.NewReferrers))
	} else {
		fields.Add("blobs", fmt.Sprintf("%d copied, %s; %d mounted, %d there before", res.Blobs, render.Bytes(res.Bytes), res.Mounted, res.Existed))
		fields.Add("moved", trafficText(res.CopyTraffic))
		fields.Add("referrers", fmt.Sprintf("%d, %d of them new", res.Referrers, res.NewReferrers))
	}
	fields.Flush()
}

// tagText says what became of the tag, or would.
func tagText(res *modseal.CopyResult) string {
	if res.Tag == nil {
		return ""
	}
	would := ""
	if res.DryRun {
		would = "to be "
	}
	switch res.Tag.State {
	case modseal.TagCreate:
		return would + "created"
	case modseal.TagMove:
		return would + "moved from " + res.Tag.Previous
	case modseal.TagDrift:
		if res.Tag.Previous == "" {
			return "drift: it is not there"
		}
		return "drift: it holds " + res.Tag.Previous
	case modseal.TagSame:
	}
	return "the same before"
}

func writeCopies(w io.Writer, r *modseal.CopyReport) {
	fields := render.NewFields(w)
	verb := "done"
	for _, c := range r.Copies {
		outcome, what := c.Outcome, c.Error
		if outcome == modseal.CopyDone {
			what = copyText(&c.CopyResult)
		}
		if c.DryRun && c.Items != nil {
			verb = "planned"
			if what = copyText(&c.CopyResult); outcome == modseal.CopyDone {
				outcome = verb
			}
		}
		fields.Row(outcome, c.Source, "to", c.Destination, what)
	}
	fields.Flush()
	fmt.Fprintf(w, "%d %s, %d failed", r.Done, verb, r.Failed)
	if r.Skipped > 0 {
		fmt.Fprintf(w, ", %d skipped", r.Skipped)
	}
	if r.Sent+r.Fetched+r.Kept > 0 {
		fmt.Fprintf(w, "; %s", trafficText(r.CopyTraffic))
	}
	fmt.Fprintln(w)
}

// copyText says in a line what a copy did, or would do.
func copyText(res *modseal.CopyResult) string {
	if res.Unchanged {
		return "unchanged"
	}
	text := fmt.Sprintf("%s, %s", render.Count(res.Blobs, "blob"), render.Bytes(res.Bytes))
	if res.Mounted > 0 {
		text += fmt.Sprintf(", %d mounted", res.Mounted)
	}
	text += fmt.Sprintf(", %d new of %s", res.NewReferrers, render.Count(res.Referrers, "referrer"))
	if tag := tagText(res); tag != "" {
		text += "; tag " + tag
	}
	return text
}

func trafficText(t transfer.CopyTraffic) string {
	text := "fetched " + render.Bytes(t.Fetched)
	if t.Sent > 0 {
		text += ", sent " + render.Bytes(t.Sent)
	}
	if t.Kept > 0 {
		text += ", " + render.Bytes(t.Kept) + " kept from an interrupted copy"
	}
	return text
}
