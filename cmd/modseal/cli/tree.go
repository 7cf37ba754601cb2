package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/xlab/treeprint"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
)

type treeFlags struct {
	option.Output
	option.Registry
}

func (a *app) treeCommand() *cobra.Command {
	var f treeFlags
	cmd := &cobra.Command{
		Use:   "tree TARGET",
		Short: "Show what refers to a model: signatures, attestations, SBOMs",
		Long: `Show what refers to the artifact that TARGET names, and what refers to that. What
a bundle is comes from its payload, whose signature is not checked here; verify
does that.`,
		Example: "  modseal tree registry.example.com/team/model:v1",
		Args:    exactArgs("TARGET"),
	}
	f.Output.AddFlags(cmd.Flags())
	f.Registry.AddFlags(cmd.Flags())
	cmd.ValidArgsFunction = a.completeTarget
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runTree(cmd.Context(), args[0], &f) }
	return cmd
}

func (a *app) runTree(ctx context.Context, target string, f *treeFlags) error {
	client, err := a.client(&f.Registry, nil)
	if err != nil {
		return err
	}
	root, err := client.Tree(ctx, target)
	if err != nil {
		return err
	}
	return a.print(&f.Output, root, func(w io.Writer) {
		tree := treeprint.NewWithRoot(render.Clean(root.Reference) + "\n" + root.Digest + "  " + nodeType(root))
		addReferrers(tree, root.Referrers)
		fmt.Fprint(w, tree.String())
		if len(root.Referrers) == 0 {
			fmt.Fprintln(w, "nothing refers to it: it is not signed")
		}
	})
}

func addReferrers(tree treeprint.Tree, nodes []*modseal.TreeNode) {
	for _, n := range nodes {
		branch := tree.AddBranch(n.Digest + "  " + nodeType(n))
		addReferrers(branch, n.Referrers)
	}
}

func nodeType(n *modseal.TreeNode) string {
	s := render.Clean(n.ArtifactType)
	if n.PredicateType != "" {
		s = modseal.ClaimName(n.PredicateType) + " (" + render.Clean(n.PredicateType) + ")"
	}
	if n.Problem != "" {
		s += "  PROBLEM: " + render.Clean(n.Problem)
	}
	return s + "  " + render.Bytes(n.Size)
}
