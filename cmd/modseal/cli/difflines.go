package cli

import (
	"fmt"
	"strings"

	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/diff"
	"github.com/modseal/modseal/pkg/modseal"
)

// mostDiffLines bounds each part of a difference that people read. JSON has all of
// it.
const mostDiffLines = 50

// diffLine is one difference: how, what, and from what to what.
type diffLine struct {
	change diff.Change
	name   string // foreign text
	detail []string
}

var diffSigns = map[diff.Change]string{diff.Added: "+", diff.Removed: "-", diff.Changed: "~", diff.Renamed: ">"}

// diffPart is one kind of differences.
type diffPart struct {
	title, none string
	lines       []diffLine
	notes       []string // behind them
}

// diffParts are the differences of r in the order in which people read them.
func diffParts(r *modseal.DiffResult) []diffPart {
	return []diffPart{filePart(r), tensorPart(r), fieldPart(r), claimPart(r)}
}

func filePart(r *modseal.DiffResult) diffPart {
	p := diffPart{title: "files", none: "all files are equal"}
	for _, c := range r.Files.Changes {
		p.lines = append(p.lines, diffLine{c.Change, c.Path(), fileDetail(c)})
	}
	if len(p.lines) > 0 {
		p.notes = append(p.notes, render.Count(r.Files.Equal, "file")+" equal; "+grown(r.B.Size-r.A.Size)+" in all")
	}
	return p
}

func fileDetail(c diff.FileChange) []string {
	switch b, a := c.Before, c.After; {
	case b == nil:
		return []string{render.Bytes(a.Size), render.Short(a.Digest)}
	case a == nil:
		return []string{render.Bytes(b.Size), render.Short(b.Digest)}
	case c.Change == diff.Renamed:
		return append([]string{"was " + b.Path, render.Bytes(a.Size) + ", the same bytes"}, saidOfFile(b, a)...)
	case c.SameBytes():
		return append([]string{"the same bytes"}, saidOfFile(b, a)...)
	default:
		size := render.Bytes(a.Size) + ", as before"
		if a.Size != b.Size {
			size = render.Bytes(b.Size) + " → " + render.Bytes(a.Size) + " (" + grown(a.Size-b.Size) + ")"
		}
		return append([]string{size, render.Short(b.Digest) + " → " + render.Short(a.Digest)}, saidOfFile(b, a)...)
	}
}

// saidOfFile is in what the manifests differ about a file beside its bytes.
func saidOfFile(b, a *diff.File) (out []string) {
	if b.Role != a.Role {
		out = append(out, "role "+b.Role+" → "+a.Role)
	}
	if b.Encoding != a.Encoding {
		out = append(out, "encoding "+b.Encoding+" → "+a.Encoding)
	}
	if b.Executable != a.Executable {
		out = append(out, fmt.Sprintf("executable %t → %t", b.Executable, a.Executable))
	}
	return out
}

func grown(n int64) string {
	switch {
	case n > 0:
		return "+" + render.Bytes(n)
	case n < 0:
		return "-" + render.Bytes(-n)
	}
	return "±0 B"
}

func fieldPart(r *modseal.DiffResult) diffPart {
	p := diffPart{title: "fields", none: "all fields of manifest and configs are equal"}
	for _, c := range r.Fields {
		p.lines = append(p.lines, diffLine{c.Change, c.Source + ": " + c.Name, fieldDetail(c)})
	}
	return p
}

func fieldDetail(c diff.FieldChange) []string {
	switch {
	case c.Before == nil:
		return []string{beginning(string(c.After))}
	case c.After == nil:
		return []string{beginning(string(c.Before))}
	}
	return []string{beginning(string(c.Before)) + " → " + beginning(string(c.After))}
}

func claimPart(r *modseal.DiffResult) diffPart {
	p := diffPart{title: "claims", none: render.Count(r.Claims.Equal, "claim") + ", equal on both sides"}
	switch {
	case !r.ClaimsCompared:
		p.none = "not compared: nothing refers to a directory"
	case r.Claims.Equal == 0:
		p.none = "none on either side"
	}
	for _, c := range r.Claims.Changes {
		one := c.Claim()
		name := one.Type
		if one.Name != "" {
			name = one.Name + " (" + one.Type + ")"
		}
		p.lines = append(p.lines, diffLine{c.Change, name, claimDetail(c, one, r.SignersVerified)})
	}
	if len(p.lines) > 0 {
		p.notes = append(p.notes, render.Count(r.Claims.Equal, "claim")+" equal")
	}
	if !r.SignersVerified && len(p.lines)+r.Claims.Equal > 0 {
		p.notes = append(p.notes, "who signed is what bundles say of themselves: name whom you trust (--key, --policy, …) to have it verified")
	}
	return p
}

func claimDetail(c diff.ClaimChange, one diff.Claim, trusted bool) []string {
	who := "by nobody that it names"
	if one.Signer != "" {
		who = "by " + one.Signer
	}
	switch {
	case one.Verified:
		who += ", verified"
	case trusted && one.Why != "":
		who += ", NOT VERIFIED: it " + one.Why
	case one.Signer != "":
		who += ", it says"
	}
	out := []string{who}
	if n := max(len(c.Before), len(c.After)); n > 1 {
		out = append(out, fmt.Sprintf("%d → %d of them", len(c.Before), len(c.After)))
	}
	if c.Change == diff.Changed {
		out = append(out, "signed again: "+render.Short(c.Before[0].Digest)+" → "+render.Short(c.After[0].Digest))
	}
	return out
}

func shapeText(t *diff.Tensor) string {
	dims := make([]string, len(t.Shape))
	for i, d := range t.Shape {
		dims[i] = fmt.Sprint(d)
	}
	return t.Type + "[" + strings.Join(dims, ",") + "]"
}
