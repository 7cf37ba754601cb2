package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
)

// suggestCommands has every command that has others below it explain an argument
// that is none of them. Some of these commands take arguments of their own; the others
// show their help.
func suggestCommands(cmd *cobra.Command) {
	if !cmd.HasSubCommands() {
		return
	}
	if cmd.RunE == nil {
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		cmd.Args = noSuchCommand
	} else if validate := cmd.Args; validate != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := mistyped(cmd, args); err != nil {
				return err
			}
			return validate(cmd, args)
		}
	}
	for _, c := range cmd.Commands() {
		suggestCommands(c)
	}
}

// noSuchCommand explains an argument that is no command.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if err := mistyped(cmd, args); err != nil {
		return err
	}
	text := fmt.Sprintf("unknown command %q", args[0])
	if cmd.HasParent() {
		text += "; " + cmd.CommandPath() + " has " + strings.Join(commandNames(cmd), ", ")
	}
	return usageError(cmd, errors.New(text))
}

// mistyped explains an argument that looks like a command below cmd. No target does:
// those have a slash or a colon.
func mistyped(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	meant := nearest(args[0], commandNames(cmd))
	for _, c := range cmd.Commands() {
		if slices.Contains(c.SuggestFor, args[0]) {
			meant = append(meant, c.Name())
		}
	}
	if len(meant) == 0 {
		return nil
	}
	return usageError(cmd, fmt.Errorf("unknown command %q; did you mean %s?", args[0], strings.Join(meant, " or ")))
}

// commandNames are those of the commands below cmd that its help shows.
func commandNames(cmd *cobra.Command) []string {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			names = append(names, c.Name())
		}
	}
	return names
}

// helpCommand is that of cobra, which shows the help of the nearest command that there
// is, and says that all is well, where there is none of that name.
func helpCommand(root *cobra.Command) *cobra.Command {
	root.InitDefaultHelpCmd()
	help, _, err := root.Find([]string{"help"})
	if err != nil {
		panic(err) // it was made above
	}
	help.Run = nil
	help.RunE = func(_ *cobra.Command, args []string) error {
		about := root
		for _, name := range args {
			i := slices.IndexFunc(about.Commands(), func(c *cobra.Command) bool { return c.Name() == name || c.HasAlias(name) })
			if i < 0 {
				if err := noSuchCommand(about, []string{name}); about.HasSubCommands() {
					return err
				}
				return usageError(about, fmt.Errorf("%s has no command %q", about.CommandPath(), name))
			}
			about = about.Commands()[i]
		}
		about.InitDefaultHelpFlag()
		about.InitDefaultVersionFlag()
		return about.Help()
	}
	return help
}

// flagError says of a flag that there is not which one was meant, or that it is the
// command before it that there is not. Of a flag that is on or off it says what it
// takes, and not how Go reads that.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		// The arguments before the flag: nothing behind it was looked at.
		if before := cmd.Flags().Args(); cmd.HasSubCommands() && len(before) > 0 {
			if err := noSubcommand(cmd, before); err != nil {
				return err
			}
		}
		if meant := nearestFlags(cmd, unknown); meant != "" {
			err = fmt.Errorf("%w; did you mean %s?", err, meant)
		}
	}
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) && invalid.GetFlag().Value.Type() == "bool" {
		err = fmt.Errorf("invalid argument %q for \"--%s\" flag: it is neither true nor false", invalid.GetValue(), invalid.GetFlag().Name)
	}
	return usageError(cmd, err)
}

// noSubcommand is noSuchCommand for a command that may take arguments of its own.
func noSubcommand(cmd *cobra.Command, args []string) error {
	if takesArguments(cmd) {
		return mistyped(cmd, args)
	}
	return noSuchCommand(cmd, args)
}

// takesArguments reports whether the use line of a command names an argument.
func takesArguments(cmd *cobra.Command) bool { return strings.Contains(cmd.Use, " ") }

// nearestFlags are the flags of a command that an unknown one was probably meant to be.
func nearestFlags(cmd *cobra.Command, unknown *pflag.NotExistError) string {
	name := unknown.GetSpecifiedName()
	if unknown.GetSpecifiedShortnames() != "" {
		if name == "o" && cmd.Flags().Lookup("output") != nil {
			return "--output" // as -o is in other programs, and here where files are written
		}
		return ""
	}
	if name == option.FormatJSON && cmd.Flags().Lookup("output") != nil {
		return "--output json"
	}
	if meant := nearest(name, flagNames(cmd)); len(meant) > 0 {
		return "--" + strings.Join(meant, " or --")
	}
	return ""
}

func flagNames(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return names
}

// nearest returns the words that word was probably meant to be: those it begins, or
// those that the fewest slips lead to, one in a short word and two in a longer one.
func nearest(word string, words []string) []string {
	word = strings.ToLower(word)
	if len(word) < 2 {
		return nil
	}
	most := 1
	if len(word) > 4 {
		most = 2
	}
	var near, begun []string
	for _, w := range words {
		if strings.HasPrefix(w, word) {
			begun = append(begun, w)
		}
		switch d := slips(word, w); {
		case d > most, d >= len(w), len(word) == 2 && d > 0:
		case d < most:
			near, most = []string{w}, d
		default:
			near = append(near, w)
		}
	}
	if len(near) == 0 {
		return begun
	}
	return near
}

// slips counts the letters that are missing, too many, wrong or swapped with the one
// behind them: the distance of optimal string alignment.
func slips(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		now := make([]int, len(b)+1)
		now[0] = i + 1
		for j := range len(b) {
			wrong := 1
			if a[i] == b[j] {
				wrong = 0
			}
			now[j+1] = min(last[j]+wrong, last[j+1]+1, now[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				now[j+1] = min(now[j+1], before[j-1]+1)
			}
		}
		before, last = last, now
	}
	return last[len(b)]
}
