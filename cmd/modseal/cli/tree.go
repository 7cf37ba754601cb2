package cli

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"github.com/xlab/treeprint"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/verify"
)

type treeFlags struct {
	option.Output
	option.Registry
	option.Trust
}

func (a *app) treeCommand() *cobra.Command {
	var f treeFlags
	cmd := &cobra.Command{
		Use:        "tree TARGET",
		SuggestFor: []string{"referrers", "discover"},
		Short:      "Show what refers to a model: signatures, attestations, SBOMs",
		Long: `Show what refers to the artifact that TARGET names, and what refers to that. What
a bundle is, what it says and who it says has signed it come from the bundle. Whether
its signature is right is checked only when somebody is named to be trusted: then
each claim about the artifact is shown with who made it, or with why it does not
count. Claims that do not count are no error here; verify decides.`,
		Example: `  modseal tree registry.example.com/team/model:v1

  # and who made each claim
  modseal tree registry.example.com/team/model:v1 --key release.pub`,
		Args: exactArgs("TARGET"),
	}
	f.Output.AddFlags(cmd.Flags())
	f.Registry.AddFlags(cmd.Flags())
	f.Trust.AddFlags(cmd.Flags())
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return checkTrust(cmd) }
	cmd.ValidArgsFunction = a.completeTarget
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runTree(cmd.Context(), cmd, args[0], &f) }
	return cmd
}

func (a *app) runTree(ctx context.Context, cmd *cobra.Command, target string, f *treeFlags) error {
	client, err := a.client(&f.Registry, nil)
	if err != nil {
		return err
	}
	o := modseal.TreeOptions{Trust: a.namedTrust(cmd, &f.Trust)}
	root, err := client.Tree(ctx, target, o)
	if err != nil {
		return err
	}
	return a.print(&f.Output, root, func(w io.Writer) {
		tree := treeprint.NewWithRoot(render.Clean(root.Reference) + "\n" + root.Digest + "  " + nodeType(root))
		addReferrers(tree, root.Referrers)
		fmt.Fprint(w, tree.String())
		switch {
		case len(root.Referrers) == 0:
			fmt.Fprintln(w, "nothing refers to it: it is not signed")
		case o.Trust == nil && claims(root):
			fmt.Fprintln(w, "no signature was checked: name whom to trust, with --key FILE, --certificate-identity or --policy FILE")
		}
	})
}

// claims reports whether there is a signed claim about the artifact.
func claims(root *modseal.TreeNode) bool {
	return slices.ContainsFunc(root.Referrers, func(n *modseal.TreeNode) bool { return n.PredicateType != "" })
}

func addReferrers(tree treeprint.Tree, nodes []*modseal.TreeNode) {
	for _, n := range nodes {
		branch := tree.AddBranch(n.Digest + "  " + nodeType(n))
		switch {
		case n.Summary != nil:
			branch.AddNode("says: " + render.Clean(n.Summary.String()))
		case n.Says != "":
			branch.AddNode("says: " + render.Clean(n.Says))
		}
		addReferrers(branch, n.Referrers)
	}
}

func nodeType(n *modseal.TreeNode) string {
	s := render.Clean(n.ArtifactType)
	switch {
	case n.Unsigned:
		s = n.Claim + " (" + s + "), not signed"
	case n.Claim != "":
		s = n.Claim + " (" + render.Clean(n.PredicateType) + ")"
	}
	if n.Problem != "" {
		s += "  PROBLEM: " + render.Clean(n.Problem)
	}
	s += "  " + render.Bytes(n.Size)
	switch v := n.Verification; {
	case v == nil && n.ClaimedBy != "":
		s += "  says it is by " + render.Clean(n.ClaimedBy)
	case v == nil:
	case v.Verified:
		s += "  verified: by " + render.Clean(signedBy(verify.Check{Signer: v.Signer, Identity: v.Identity, Issuer: v.Issuer, Fingerprint: v.Fingerprint}))
	default:
		s += "  NOT VERIFIED: it " + render.Clean(v.Why)
	}
	return s
}
