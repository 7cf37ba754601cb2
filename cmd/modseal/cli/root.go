//go:generate go run github.com/modseal/modseal/hack/gendocs ../../../docs/reference

// Package cli is the command line of modseal: one file per command, each of
// which parses flags, calls one function of the library and renders what it
// returned.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
)

// Main runs modseal with the arguments after the program's name and returns the
// exit code. Results go to stdout, everything else to stderr.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := Command(stdin, stdout, stderr)
	root.SetArgs(args)
	checkUsage(root, args)
	started := false
	onRun(root, func(cmd *cobra.Command) error {
		started = true
		return noEmptyFlags(cmd)
	})
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	if errors.Is(err, errToldAlready) || errors.Is(err, errDiffers) || as[*toldError](err) && ctx.Err() == nil {
		return exitCode(err)
	}
	if !started && !as[*cliUsageError](err) {
		// What fails before a command runs is how it was called: a required
		// flag that is missing, two that exclude each other.
		err = usageError(cmd, err)
	}
	err = ended(ctx, cmd, err)
	if !wantsJSON(cmd, args) {
		printError(stderr, root.Name(), err)
		return exitCode(err)
	}
	// Where neither can be written, the exit code remains.
	failure := jsonFailure(err)
	_ = render.WriteEvent(stderr, time.Now(), render.Event{
		Event: render.EventError, Message: failure.Error, ExitCode: &failure.ExitCode, Next: failure.Next,
	})
	_ = render.JSON(stdout, failure)
	return exitCode(err)
}

// wantsJSON reports whether the command was asked for JSON. Arguments that could
// not be parsed are searched for it: who reads JSON wants to read about them too.
func wantsJSON(cmd *cobra.Command, args []string) bool {
	f := cmd.Flags().Lookup("output")
	if f == nil {
		return false
	}
	for i, a := range args {
		if a == "--" || f.Changed {
			break
		}
		if a == "--output="+option.FormatJSON || i > 0 && args[i-1] == "--output" && a == option.FormatJSON {
			return true
		}
	}
	return f.Value.String() == option.FormatJSON
}

// onRun has fn called before any command runs.
func onRun(cmd *cobra.Command, fn func(*cobra.Command) error) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if err := fn(cmd); err != nil {
				return err
			}
			return run(cmd, args)
		}
	}
	for _, c := range cmd.Commands() {
		onRun(c, fn)
	}
}

// afterRun has fn called after any command ran, failed or not.
func afterRun(root *cobra.Command, fn func(*cobra.Command)) {
	if run := root.RunE; run != nil {
		root.RunE = func(cmd *cobra.Command, args []string) error {
			defer fn(cmd)
			return run(cmd, args)
		}
	}
	for _, c := range root.Commands() {
		afterRun(c, fn)
	}
}

// Command returns the command tree, for [Main] and for the generated reference.
func Command(stdin io.Reader, stdout, stderr io.Writer) *cobra.Command {
	a := &app{in: stdin, out: stdout, err: stderr, env: processEnvironment()}
	root := a.rootCommand()
	afterRun(root, a.warnOfMirrors)
	completeChoices(root)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root
}

// app is what the commands share: the outside world.
type app struct {
	in       io.Reader
	out, err io.Writer
	env      environment
	clients  []*modseal.Client // that the command made
	result   any               // of the command, for its reports
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "modseal",
		Short: "Signed machine learning models in OCI registries, verified before a byte is used",
		Long: `modseal packs a model directory as an OCI artifact, signs it, stores it in any
OCI registry, and writes no byte of it to disk that policy has not accepted.

A TARGET is a registry reference (host/repository:tag, host/repository@digest),
an OCI layout on disk (oci:PATH:TAG), an archive (archive:FILE, archive:FILE:NAME), or
a local path (./PATH, /PATH, dir:PATH).`,
		Version:       buildVersion().Version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(flagError)
	root.SetUsageTemplate(root.UsageTemplate() + exitHelp)
	root.AddGroup(
		&cobra.Group{ID: groupModel, Title: "Models:"},
		&cobra.Group{ID: groupCarry, Title: "Between registries and sites:"},
		&cobra.Group{ID: groupTrust, Title: "Trust:"},
		&cobra.Group{ID: groupRegistry, Title: "Registries:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add(groupModel, a.packCommand(), a.pushCommand(), a.pullCommand(), a.inspectCommand(), a.scanCommand(), a.treeCommand(), a.lineageCommand(), a.listCommand(), a.diffCommand(), a.digestCommand())
	add(groupCarry, a.copyCommand(), a.promoteCommand(), a.saveCommand(), a.checkCommand(), a.loadCommand(), a.inventoryCommand())
	add(groupTrust, a.signCommand(), a.attestCommand(), a.sbomCommand(), a.provenanceCommand(), a.verifyCommand(), a.lintCommand(), a.keygenCommand(), a.policyCommand(), a.trustCommand())
	add(groupRegistry, a.loginCommand(), a.logoutCommand(), a.serveCommand(), a.gcCommand())
	root.AddCommand(a.versionCommand())
	root.InitDefaultCompletionCmd()
	root.SetHelpCommand(helpCommand(root))
	suggestCommands(root)
	return root
}

const (
	groupModel    = "model"
	groupCarry    = "carry"
	groupTrust    = "trust"
	groupRegistry = "registry"
)

// noEmptyFlags refuses a flag that is given and empty: nearly always a variable
// of a script that is not set, and never what was meant.
func noEmptyFlags(cmd *cobra.Command) error {
	var err error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		empty := f.Value.String() == "" && f.Value.Type() == "string"
		if list, ok := f.Value.(pflag.SliceValue); ok {
			empty = slices.Contains(list.GetSlice(), "")
		}
		if empty && f.Name != "username" && err == nil {
			err = usageError(cmd, fmt.Errorf("--%s is empty; is a variable not set?", f.Name))
		}
	})
	return err
}

// notBoth refuses flags that contradict each other.
func notBoth(cmd *cobra.Command, a, b string) error {
	if cmd.Flags().Changed(a) && cmd.Flags().Changed(b) {
		return usageError(cmd, fmt.Errorf("--%s and --%s contradict each other: use one of them", a, b))
	}
	return nil
}

// exactArgs requires the named arguments.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usageError(cmd, fmt.Errorf("%s is missing", names[len(args)]))
		case len(args) > len(names):
			return usageError(cmd, fmt.Errorf("unexpected argument %q", args[len(names)]))
		}
		return nil
	}
}

// printer writes the result of a command in the form that o asks for.
func (a *app) print(o *option.Output, result any, text func(w io.Writer)) error {
	a.result = result
	if o.JSON() {
		return render.JSON(a.out, result)
	}
	text(a.out)
	return nil
}

func (a *app) warn(o *option.Output, warnings ...string) {
	for _, w := range warnings {
		switch {
		case o.Quiet:
		case o.JSON():
			// Not as text: whoever parses each line would break on it.
			_ = render.WriteEvent(a.err, time.Now(), render.Event{Event: render.EventWarning, Message: w}) // as Fprintf below
		default:
			fmt.Fprintf(a.err, "modseal: warning: %s\n", render.Clean(w))
		}
	}
}

// warnOfMirrors says what was mended by asking elsewhere.
func (a *app) warnOfMirrors(cmd *cobra.Command) {
	quiet, err := cmd.Flags().GetBool("quiet")
	o := option.Output{Format: option.FormatText, Quiet: err == nil && quiet}
	if f := cmd.Flags().Lookup("output"); f != nil {
		o.Format = f.Value.String()
	}
	for _, c := range a.clients {
		a.warn(&o, c.Warnings()...)
	}
}

// progress returns who draws what is moved, and how to end it.
func (a *app) progress(o *option.Output) *render.Progress {
	return render.NewProgress(a.err, render.ProgressOptions{Quiet: o.Quiet, JSON: o.JSON(), Terminal: a.env.terminal(a.err)})
}
