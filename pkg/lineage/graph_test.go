package lineage_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/lineage"
)

// family is a merge of a base model and of one that was tuned from it.
func family() *lineage.Graph {
	g := lineage.New(lineage.Node{Kind: lineage.KindModel, Reference: "r.example.com/team/merged:v1", Digest: some, State: lineage.Accepted, Signer: "team", Name: "merged", Version: "2.0"})
	tuned := g.Add(lineage.Node{Kind: lineage.KindModel, Reference: "r.example.com/team/tuned@" + other, Digest: other, State: lineage.Accepted, Signer: "team"})
	base := g.Add(lineage.Node{Kind: lineage.KindModel, Reference: "hub.example.com/base:v1", Name: "base", State: lineage.NotFollowed, Why: "nobody who is trusted says that it is there"})
	data := g.Add(lineage.Node{Kind: lineage.KindDataset, Name: "https://data.example.com/corpus", State: lineage.Named})
	said := lineage.Saying{Origin: lineage.FromProvenance, Claim: some, Verified: true, Signer: "ci"}
	pinned := said
	pinned.Pinned = true
	g.Link(lineage.Edge{From: g.Root, To: tuned.ID, Relation: "merge", Pinned: true, Sayings: []lineage.Saying{pinned}})
	g.Link(lineage.Edge{From: g.Root, To: base.ID, Relation: "merge", Sayings: []lineage.Saying{{Origin: lineage.FromAnnotation}}})
	g.Link(lineage.Edge{From: tuned.ID, To: base.ID, Relation: "finetune", Sayings: []lineage.Saying{said}})
	g.Link(lineage.Edge{From: g.Root, To: data.ID, Relation: "dataset", Sayings: []lineage.Saying{said}})
	g.Judge()
	return g
}

func TestJudge(t *testing.T) {
	want := []string{
		"hub.example.com/base:v1 is not followed: nobody who is trusted says that it is there",
		"that r.example.com/team/merged:v1 is made from hub.example.com/base:v1 is said by nobody who is trusted",
		"that r.example.com/team/tuned@sha256:243cdc30d818… is made from hub.example.com/base:v1 is said of a name, which can be moved, and of no digest",
	}
	if d := cmp.Diff(want, family().Unproven); d != "" {
		t.Error(d)
	}
}

// What somebody says who is not trusted adds nothing to what somebody says who is,
// and hides nothing of it.
func TestJudgeOfStrangers(t *testing.T) {
	model := lineage.Node{Kind: lineage.KindModel, Digest: other, Reference: "r.example.com/base:v1", State: lineage.Accepted}
	missing := lineage.Node{Kind: lineage.KindModel, Digest: other, Reference: "r.example.com/base@" + other, State: lineage.Missing}
	data := lineage.Node{Kind: lineage.KindDataset, Digest: other, State: lineage.Named}
	trusted := lineage.Saying{Origin: lineage.FromProvenance, Verified: true}
	byDigest := lineage.Saying{Origin: lineage.FromProvenance, Verified: true, Pinned: true}
	stranger := lineage.Saying{Origin: lineage.FromProvenance, Pinned: true}
	type said struct {
		node     lineage.Node
		relation string
		saying   lineage.Saying
	}
	for name, row := range map[string]struct {
		said []said
		want []string
	}{
		"by digest":                       {[]said{{model, "merge", byDigest}}, []string{}},
		"the digest is a stranger's":      {[]said{{model, "merge", trusted}, {model, "merge", stranger}}, []string{"of no digest"}},
		"the stranger was there first":    {[]said{{model, "merge", stranger}, {model, "merge", trusted}}, []string{"of no digest"}},
		"a stranger calls it a data set":  {[]said{{data, "dataset", stranger}, {missing, "merge", byDigest}}, []string{"is MISSING"}},
		"and again, when it is there":     {[]said{{missing, "merge", byDigest}, {data, "dataset", stranger}}, []string{"is MISSING"}},
		"a data set of the same digest":   {[]said{{model, "merge", byDigest}, {data, "dataset", stranger}}, []string{}},
		"a stranger calls it the data of": {[]said{{model, "quantized", stranger}, {model, "merge", byDigest}}, []string{}},
	} {
		g := lineage.New(lineage.Node{Kind: lineage.KindModel, Digest: some, State: lineage.Accepted})
		for _, s := range row.said {
			g.Link(lineage.Edge{From: g.Root, To: g.Add(s.node).ID, Relation: s.relation, Sayings: []lineage.Saying{s.saying}, Pinned: s.saying.Pinned})
		}
		g.Judge()
		if len(g.Unproven) != len(row.want) {
			t.Errorf("%s: %q, want %q", name, g.Unproven, row.want)
			continue
		}
		for i, want := range row.want {
			if !strings.Contains(g.Unproven[i], want) {
				t.Errorf("%s: %q, want %q", name, g.Unproven[i], want)
			}
		}
		if len(g.Edges) != 1 || g.Edges[0].Relation != "merge" {
			t.Errorf("%s: %+v", name, *g.Edges[0])
		}
	}
}

// What is left out keeps a lineage from being proven.
func TestGap(t *testing.T) {
	g := lineage.New(lineage.Node{Kind: lineage.KindModel, Digest: some, State: lineage.Accepted})
	g.Gap("not all of it is here")
	g.Gap("not all of it is here")
	g.Judge()
	if len(g.Unproven) != 1 || len(g.Warnings) != 1 {
		t.Errorf("%q, %q", g.Unproven, g.Warnings)
	}
}

func TestDrawings(t *testing.T) {
	g := family()
	for _, f := range formats {
		t.Run(f.name, func(t *testing.T) {
			var got bytes.Buffer
			if err := f.draw(g, &got); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", "family."+f.name)
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got.String()); d != "" {
				t.Errorf("%s (UPDATE=1 writes it anew; look at it then):\n%s", file, d)
			}
		})
	}
	checkDrawings(t, g)
}

var formats = []struct {
	name string
	draw func(*lineage.Graph, io.Writer) error
}{
	{"dot", (*lineage.Graph).DOT},
	{"mmd", (*lineage.Graph).Mermaid},
	{"svg", (*lineage.Graph).SVG},
}

// The text of others is text in every drawing: it ends no string, begins no element
// and is no markup.
func TestHostileText(t *testing.T) {
	evil := []string{
		`"];x [label="`, `\" ];`, "a\nb", `<script>alert(1)</script>`, `</text><image href="http://example.com/x"/>`,
		`"]; click n0 "javascript:alert(1)"`, "```", `#quot;`, "&lt;", "\u202egpj.exe", "\x1b[2J", "\xff\xfe", strings.Repeat("x", 10_000), `%%{init: {}}%%`, `n0 --> n1`,
	}
	g := lineage.New(lineage.Node{Kind: lineage.KindModel, Name: evil[0], Digest: some, State: lineage.Refused, Why: evil[3], Signer: evil[1]})
	for i, text := range evil {
		n := g.Add(lineage.Node{ID: fmt.Sprint(i) + text, Kind: lineage.KindModel, Name: text, Version: text, Reference: text, State: lineage.Unreadable})
		n.Why = text // as whoever found out notes it, and drawn in this state
		g.Link(lineage.Edge{From: g.Root, To: n.ID, Relation: text})
	}
	g.Judge()
	checkDrawings(t, g)
}

// What a line of each drawing may look like, whatever is in the strings.
var (
	dotLine     = regexp.MustCompile(`^(digraph lineage \{|  rankdir=TB;|  (node|edge) \[[^"]*\];|  n\d+ \[label="(?:[^"\\\n]|\\["\\n])*", fillcolor="#[0-9a-f]{6}", tooltip="(?:[^"\\\n]|\\["\\n])*"\];|  n\d+ -> n\d+ \[label="(?:[^"\\\n]|\\["\\n])*"(, style=dashed)?\];|\})$`)
	mermaidLine = regexp.MustCompile(`^(flowchart TB|  n\d+\["[^"<>\x60]*(<br/>[^"<>\x60]*)*"\]|  style n\d+ fill:#[0-9a-f]{6},stroke:#555,color:#000|  n\d+ (-->|-\.->)\|"[^"<>\x60]*"\| n\d+)$`)
)

func checkDrawings(t *testing.T, g *lineage.Graph) {
	t.Helper()
	var dot, mermaid, svg bytes.Buffer
	for w, draw := range map[*bytes.Buffer]func(io.Writer) error{&dot: g.DOT, &mermaid: g.Mermaid, &svg: g.SVG} {
		if err := draw(w); err != nil {
			t.Fatal(err)
		}
		for _, r := range w.String() {
			if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
				t.Fatalf("character %U in %s", r, w)
			}
		}
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(dot.String(), "\n"), "\n") {
		if !dotLine.MatchString(line) {
			t.Errorf("DOT: %q", line)
		}
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(mermaid.String(), "\n"), "\n") {
		if !mermaidLine.MatchString(line) {
			t.Errorf("Mermaid: %q", line)
		}
	}
	checkSVG(t, &svg)
}

func checkSVG(t *testing.T, svg io.Reader) {
	t.Helper()
	known := map[string]bool{"svg": true, "title": true, "defs": true, "marker": true, "path": true, "rect": true, "g": true, "text": true}
	dec := xml.NewDecoder(svg)
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("SVG: %v", err)
		}
		if e, ok := token.(xml.StartElement); ok {
			if !known[e.Name.Local] {
				t.Errorf("SVG: element %s", e.Name.Local)
			}
			for _, a := range e.Attr {
				if strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "href" || strings.Contains(a.Value, "NaN") {
					t.Errorf("SVG: %s=%q", a.Name.Local, a.Value)
				}
			}
		}
	}
}

func TestGraph(t *testing.T) {
	g := family()
	if n := g.Add(lineage.Node{ID: "hub.example.com/base:v1", Kind: lineage.KindModel, State: lineage.Accepted, Digest: some}); n != g.Node("hub.example.com/base:v1") || n.State != lineage.Accepted {
		t.Error("what was found does not take the place of what was not")
	}
	if n := g.Add(lineage.Node{ID: "hub.example.com/base:v1", State: lineage.Missing}); n.State != lineage.Accepted {
		t.Error("what was not found takes the place of what was")
	}
	// An edge that two say of is one edge, and one that leads back is a cycle.
	e := g.Link(lineage.Edge{From: g.Root, To: other, Relation: "merge", Sayings: []lineage.Saying{{Origin: lineage.FromAnnotation}}})
	if len(e.Sayings) != 2 || len(g.From(g.Root)) != 3 || e.Cycle {
		t.Errorf("edge %+v of %d", e, len(g.From(g.Root)))
	}
	if e := g.Link(lineage.Edge{From: "hub.example.com/base:v1", To: g.Root}); !e.Cycle {
		t.Error("a cycle is not seen")
	}
	if e := g.Link(lineage.Edge{From: other, To: other}); !e.Cycle {
		t.Error("a model that is made from itself is not seen")
	}
	g.Judge()
	checkDrawings(t, g)
}

// As many nodes as the door puts into a graph, with edges over many rows.
func TestLargeGraph(t *testing.T) {
	g := lineage.New(lineage.Node{ID: "0", Kind: lineage.KindModel, State: lineage.Accepted})
	for i := 1; i < 512; i++ {
		n := g.Add(lineage.Node{ID: fmt.Sprint(i), Kind: lineage.KindModel, State: lineage.Named})
		g.Link(lineage.Edge{From: fmt.Sprint((i - 1) / 2), To: n.ID, Relation: "merge"})
		g.Link(lineage.Edge{From: fmt.Sprint(i / 3), To: n.ID, Relation: "merge"})
	}
	checkDrawings(t, g)
}
