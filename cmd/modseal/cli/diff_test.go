package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/diff"
	"github.com/modseal/modseal/pkg/modseal"
)

// A model that was quantised again has a thousand tensors of another type, which
// are one line; what cannot be grouped is cut, and that is said.
func TestDiffOfManyIsShort(t *testing.T) {
	r := &modseal.DiffResult{A: modseal.DiffSide{Digest: "sha256:a"}, B: modseal.DiffSide{Digest: "sha256:b"}}
	for i := range 1000 {
		name := fmt.Sprintf("blk.%04d.weight", i)
		before, after := diff.Tensor{Name: name, Type: "Q8_0", Shape: []uint64{32}}, diff.Tensor{Name: name, Type: "Q4_K", Shape: []uint64{32}}
		r.Tensors.Changes = append(r.Tensors.Changes, diff.TensorChange{Change: diff.Changed, Before: &before, After: &after})
		r.Files.Changes = append(r.Files.Changes, diff.FileChange{Change: diff.Added, After: &diff.File{Path: fmt.Sprintf("f%04d", i)}})
		r.Tensors.Unread = append(r.Tensors.Unread, modseal.DiffUnread{Side: "a", Path: name, Why: "x"})
	}
	for name, write := range map[string]func(*bytes.Buffer){
		"text":     func(b *bytes.Buffer) { writeDiff(b, r) },
		"markdown": func(b *bytes.Buffer) { writeDiffMarkdown(b, r) },
	} {
		var out bytes.Buffer
		write(&out)
		text := out.String()
		if lines := strings.Count(text, "\n"); lines > 150 {
			t.Errorf("%s: %d lines", name, lines)
		}
		for _, want := range []string{"1000 tensors", "Q8_0 → Q4_K", "such as blk.0000.weight", "nd 950 more", "and 950 more that are not known"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", name, want, text)
			}
		}
	}
}
