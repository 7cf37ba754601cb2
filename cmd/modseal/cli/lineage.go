package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/xlab/treeprint"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/lineage"
	"github.com/modseal/modseal/pkg/modseal"
)

type lineageFlags struct {
	option.Output
	option.Registry
	option.Trust
	option.Lineage
}

func (a *app) lineageCommand() *cobra.Command {
	var f lineageFlags
	cmd := &cobra.Command{
		Use:   "lineage TARGET",
		Short: "Show what a model was made from, and what that was made from",
		Long: `Follow the base models of the model that TARGET names: through the provenance that is
attached to each, and the annotations of its manifest, across registries. Manifests
and claims are read, no layer.

With a key, an identity or a policy every model on the way is verified, under the
name of its own repository, and so is every claim that leads to one. Whoever writes
a claim can name any host: a registry other than that of TARGET is asked only when the
claim verifies, or with --follow. A base model that has only a name on a model hub
is shown as such, unless --place says where it is.

Models that are not accepted, and ancestors that are not found, not followed, or whose
referrers cannot be read, are shown, and are no error unless --require-verified says
so, with exit code 3. What cannot be read of TARGET itself is one.`,
		Example: `  modseal lineage registry.example.com/team/tuned:v1 --policy policy.yaml

  # a picture of it
  modseal lineage registry.example.com/team/tuned:v1 --key release.pub --format svg > lineage.svg

  # in CI: every ancestor must be accepted, and every step attested
  modseal lineage registry.example.com/team/tuned:v1 --policy policy.yaml --require-verified`,
		Args: exactArgs("TARGET"),
	}
	f.Output.AddFlags(cmd.Flags())
	f.Registry.AddFlags(cmd.Flags())
	f.Trust.AddFlags(cmd.Flags())
	f.Lineage.AddFlags(cmd.Flags())
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if f.JSON() && f.Picture() {
			return usageError(cmd, fmt.Errorf("--format %s and --output json contradict each other: use one of them", f.Drawing))
		}
		for _, host := range f.Follow {
			if strings.ContainsAny(host, "/@ ") {
				return usageError(cmd, fmt.Errorf("--follow %q: the name of a registry is needed, HOST[:PORT], without https:// and without a path", host))
			}
		}
		return checkTrust(cmd)
	}
	cmd.ValidArgsFunction = a.completeTarget
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runLineage(cmd.Context(), args[0], &f) }
	return cmd
}

func (a *app) runLineage(ctx context.Context, target string, f *lineageFlags) error {
	client, err := a.client(&f.Registry, nil)
	if err != nil {
		return err
	}
	graph, err := client.Lineage(ctx, target, modseal.LineageOptions{
		Trust: a.trust(&f.Trust), Registries: f.Follow, Places: f.Places, Depth: f.Depth,
	})
	if err != nil {
		return err
	}
	a.warn(&f.Output, graph.Warnings...)
	if err := a.printLineage(graph, f); err != nil {
		return err
	}
	if f.RequireVerified && len(graph.Unproven) > 0 {
		if f.Picture() {
			for _, text := range graph.Unproven {
				fmt.Fprintln(a.err, "modseal: not proven: "+render.Clean(text))
			}
		}
		return errToldAlready
	}
	return nil
}

func (a *app) printLineage(g *lineage.Graph, f *lineageFlags) error {
	switch f.Drawing {
	case option.LineageDOT:
		return g.DOT(a.out)
	case option.LineageMermaid:
		return g.Mermaid(a.out)
	case option.LineageSVG:
		return g.SVG(a.out)
	}
	return a.print(&f.Output, g, func(w io.Writer) { writeLineage(w, g) })
}

func writeLineage(w io.Writer, g *lineage.Graph) {
	root := g.Node(g.Root)
	t := treeprint.NewWithRoot(render.Clean(root.Title()) + "\n" + root.Digest + "  " + nodeState(root))
	addNodeLines(t, root, root.Digest)
	shown := map[string]bool{root.ID: true}
	addAncestors(t, g, root, shown)
	fmt.Fprint(w, t.String())
	switch {
	case len(g.Edges) == 0:
		fmt.Fprintln(w, "nothing says what it was made from")
	case len(g.Unproven) == 0:
		fmt.Fprintln(w, "proven: every model is accepted, and every step is attested by digest")
	default:
		fmt.Fprintln(w, "not proven:")
		for _, text := range g.Unproven {
			fmt.Fprintln(w, "  "+render.Clean(text))
		}
	}
}

// addAncestors adds what a node was made from. What was shown already is named
// again and not shown again, so that a cycle ends.
func addAncestors(t treeprint.Tree, g *lineage.Graph, n *lineage.Node, shown map[string]bool) {
	for _, e := range g.From(n.ID) {
		to := g.Node(e.To)
		line := render.Clean(strings.TrimSpace(e.Relation + ": " + to.Title() + "  " + nodeState(to)))
		switch {
		case e.Cycle:
			line += "  CYCLE: it is said to be made from " + render.Clean(n.Title()) + ", too"
		case shown[to.ID]:
			line += "  (see above)"
		}
		branch := t.AddBranch(line)
		for _, s := range e.Sayings {
			branch.AddNode("said by " + render.Clean(sayingText(&s)))
		}
		if shown[to.ID] {
			continue
		}
		shown[to.ID] = true
		addNodeLines(branch, to, "")
		addAncestors(branch, g, to, shown)
	}
}

// addNodeLines adds what is known of a node beside its title and its state. told is
// what was told of it already.
func addNodeLines(t treeprint.Tree, n *lineage.Node, told string) {
	if n.Name != "" && n.Name != n.Title() {
		t.AddNode(render.Clean(strings.TrimSpace("name " + n.Name + " " + n.Version)))
	} else if n.Version != "" {
		t.AddNode(render.Clean("version " + n.Version))
	}
	if n.Licenses != "" {
		t.AddNode(render.Clean("licence " + n.Licenses))
	}
	if n.Digest != "" && n.Digest != told && !strings.Contains(n.Title(), n.Digest) {
		t.AddNode("digest " + n.Digest)
	}
	if len(n.BaseNames) > 0 {
		t.AddNode(render.Clean("calls its base " + strings.Join(n.BaseNames, ", ")))
	}
	if n.Why != "" {
		t.AddNode(render.Clean("why: " + n.Why))
	}
}

func nodeState(n *lineage.Node) string {
	if n.Kind != lineage.KindModel {
		return ""
	}
	if n.Signer == "" {
		return n.State.Words()
	}
	return n.State.Words() + ": signed by " + n.Signer
}

func sayingText(s *lineage.Saying) string {
	text := "its " + string(s.Origin)
	switch s.Origin {
	case lineage.FromProvenance:
		text = "the provenance " + render.Short(s.Claim)
	case lineage.FromAnnotation:
		text = "the annotations of its manifest"
	case lineage.FromSubject:
		text = "its manifest, which refers to it"
	}
	switch {
	case s.Verified:
		return text + ", verified: by " + s.Signer
	case s.Why != "":
		return text + ", NOT VERIFIED: it " + s.Why
	}
	return text
}
