package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/pkg/modseal"
)

// completionTimeout bounds how long a shell waits for the tags of a registry.
const completionTimeout = 3 * time.Second

// completeTarget completes tags once the repository is spelled out, and files
// otherwise, for layouts, archives and directories.
func (a *app) completeTarget(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if rest, ok := strings.CutPrefix(toComplete, "archive:"); ok {
		return a.completeArchive(cmd, rest)
	}
	i := strings.LastIndexByte(toComplete, ':')
	if i < 0 || strings.Contains(toComplete[i:], "/") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	repository := toComplete[:i]
	client, err := a.client(&option.Registry{}, nil)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	target, err := modseal.ParseTarget(repository)
	if err != nil || target.Kind == modseal.KindDirectory {
		return nil, cobra.ShellCompDirectiveDefault
	}
	res, err := client.List(ctx, repository)
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var out []string
	for _, t := range res.Tags {
		if candidate := repository + ":" + t.Tag; strings.HasPrefix(candidate, toComplete) {
			out = append(out, candidate)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeArchive completes the names of the artifacts in an archive once its file
// is spelled out, and files before that. Names have colons themselves.
func (a *app) completeArchive(cmd *cobra.Command, rest string) ([]string, cobra.ShellCompDirective) {
	path, _, named := strings.Cut(rest, ":")
	if !named {
		return nil, cobra.ShellCompDirectiveDefault
	}
	client, err := a.client(&option.Registry{}, nil)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	res, err := client.List(cmd.Context(), "archive:"+path)
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var out []string
	for _, t := range res.Tags {
		if candidate := "archive:" + path + ":" + t.Tag; t.Tag != "" && strings.HasPrefix(candidate, "archive:"+rest) {
			out = append(out, candidate)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func completeRoles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, r := range artifacttypes.Roles() {
		out = append(out, string(r))
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) completeDirThenTarget(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	return a.completeTarget(cmd, args, toComplete)
}

// completeLayout completes the directory of a layout, behind its prefix.
func completeLayout(_ *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	switch {
	case len(args) > 0:
		return nil, cobra.ShellCompDirectiveNoFileComp
	case strings.HasPrefix("oci:", toComplete):
		return []string{"oci:"}, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// completeChoices has the values of all flags completed that take one of a few.
func completeChoices(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if choices := option.Choices(f); choices != nil {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
		}
	})
	for _, c := range cmd.Commands() {
		completeChoices(c)
	}
}
