package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
)

// The annotation by which cobra marks flags that exclude each other
// (MarkFlagsMutuallyExclusive of cobra v1.10); that of required flags it exports.
const exclusiveFlags = "cobra_annotation_mutually_exclusive"

// checkUsage has every command look at how it was called, in the words of this
// program: values that stand apart from their flag, flags that exclude each other, and
// those that are missing. args are those of the command line, as they were given.
func checkUsage(cmd *cobra.Command, args []string) {
	if cmd.RunE != nil {
		validate := cmd.Args
		if validate == nil {
			validate = cobra.ArbitraryArgs // as cobra has it of a command below another
		}
		cmd.Args = func(cmd *cobra.Command, positional []string) error {
			if err := valuesApart(cmd, args, positional); err != nil {
				return err
			}
			if err := validate(cmd, positional); err != nil {
				return err
			}
			return flagGroups(cmd)
		}
	}
	for _, c := range cmd.Commands() {
		checkUsage(c, args)
	}
}

// valuesApart finds the value of a flag that may stand without one, behind a blank: it
// is an argument then, and whatever is said of that argument is hard to understand.
func valuesApart(cmd *cobra.Command, args, positional []string) error {
	for i := range max(len(args)-1, 0) {
		if args[i] == "--" {
			return nil
		}
		name, long := strings.CutPrefix(args[i], "--")
		if f := cmd.Flags().Lookup(name); !long || f == nil || f.NoOptDefVal == "" || !option.Takes(f, args[i+1]) || !slices.Contains(positional, args[i+1]) {
			continue
		}
		return usageError(cmd, fmt.Errorf("%q is no value of --%s, which takes one only behind =: write --%[2]s=%[1]s (or ./%[1]s for a file of that name)", args[i+1], name))
	}
	return nil
}

// flagGroups refuses flags that exclude each other, and asks for those that are
// missing.
func flagGroups(cmd *cobra.Command) error {
	var err error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if err != nil {
			return
		}
		for _, group := range f.Annotations[exclusiveFlags] {
			given := slices.DeleteFunc(strings.Fields(group), func(name string) bool { return !cmd.Flags().Changed(name) })
			if len(given) > 1 {
				err = notBoth(cmd, given[0], given[1])
				return
			}
		}
		if !f.Changed && slices.Contains(f.Annotations[cobra.BashCompOneRequiredFlag], "true") {
			err = usageError(cmd, fmt.Errorf("--%s is missing", f.Name))
		}
	})
	return err
}
