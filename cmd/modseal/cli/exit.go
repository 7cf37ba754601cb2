package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/archive"
	"github.com/modseal/modseal/pkg/inventory"
	"github.com/modseal/modseal/pkg/materialize"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/remote/certsd"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/sign/keyref"
	"github.com/modseal/modseal/pkg/source"
	"github.com/modseal/modseal/pkg/store"
	"github.com/modseal/modseal/pkg/transfer"
	"github.com/modseal/modseal/pkg/verify"
)

// Exit codes. They are documented and stable: scripts branch on them.
const (
	exitDone         = 0
	exitOther        = 1
	exitUsage        = 2
	exitRefused      = 3
	exitUndecided    = 4
	exitNotFound     = 5
	exitUnauthorized = 6
	exitTransport    = 7
	exitIntegrity    = 8
	exitDrift        = 9
	exitInterrupted  = 130
)

// failure is what a command that was asked for JSON prints when it fails.
type failure struct {
	Error    string          `json:"error"`
	ExitCode int             `json:"exitCode"`
	Refusal  *verify.Refusal `json:"refusal,omitempty"` // with exit code 3, when verification refused
	Next     []string        `json:"next,omitempty"`
	// Promotion is the record of a promotion that failed.
	Promotion *modseal.PromoteResult `json:"promotion,omitempty"`
}

func jsonFailure(err error) failure {
	f := failure{Error: message(err), ExitCode: exitCode(err), Next: hints(err)}
	errors.As(err, &f.Refusal)
	var promotion *modseal.PromoteError
	if errors.As(err, &promotion) {
		f.Promotion = promotion.Record
	}
	return f
}

const exitHelp = `
Exit codes:
  0 done                      5 not found
  1 anything else             6 not authorised, or no token
  2 wrong usage               7 transport failed, try again
  3 refused by verification   8 bytes are not what their digest says
  4 undecided: nothing says   9 the destination holds something else
    whom to trust           130 interrupted
`

func exitCode(err error) int {
	if as[*cliUsageError](err) || errors.Is(err, keyref.ErrScheme) {
		return exitUsage
	}
	if as[*interruptedError](err) {
		return exitInterrupted
	}
	if errors.Is(err, errToldAlready) {
		return exitRefused
	}
	var told *toldError
	if errors.As(err, &told) && told.code != 0 {
		return told.code
	}
	if errors.Is(err, errDiffers) {
		return exitDrift
	}
	return exitOfClass(modseal.ClassOf(err))
}

func exitOfClass(c modseal.Class) int {
	switch c {
	case modseal.ClassNone:
		return exitDone
	case modseal.ClassUsage:
		return exitUsage
	case modseal.ClassRefused:
		return exitRefused
	case modseal.ClassUndecided:
		return exitUndecided
	case modseal.ClassNotFound:
		return exitNotFound
	case modseal.ClassUnauthorized:
		return exitUnauthorized
	case modseal.ClassTransport:
		return exitTransport
	case modseal.ClassIntegrity:
		return exitIntegrity
	case modseal.ClassDrift:
		return exitDrift
	case modseal.ClassInterrupted:
		return exitInterrupted
	case modseal.ClassOther:
	}
	return exitOther
}

func as[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

// cliUsageError is a mistake in how a command was called.
type cliUsageError struct {
	command string
	err     error
}

func usageError(cmd *cobra.Command, err error) error {
	return &cliUsageError{command: cmd.CommandPath(), err: err}
}

func (e *cliUsageError) Error() string { return e.err.Error() }
func (e *cliUsageError) Unwrap() error { return e.err }

// errToldAlready ends a command whose result on standard output says already
// that the model is refused.
var errToldAlready = errors.New("refused")

// toldError ends a command that has told of its failure already, in the result on
// standard output. Its code, if it has one, is that of the command; otherwise err
// says which.
type toldError struct {
	code int
	err  error
}

func (e *toldError) Error() string {
	if e.err == nil {
		return "the result says what is wrong"
	}
	return e.err.Error()
}
func (e *toldError) Unwrap() error { return e.err }

// interruptedError is whatever a command failed with after it was told to stop.
type interruptedError struct {
	err   error
	moves bool // the command moves files, and goes on when it is run again
}

func (e *interruptedError) Error() string { return "interrupted: " + e.err.Error() }
func (e *interruptedError) Unwrap() error { return e.err }

// printError writes what failed, and what to do next where that is known.
//
// Much of it is foreign text: names of files, answers of registries, statements.
// Nothing of it may drive the terminal, or begin a line that looks like one of
// modseal's own.
func printError(w io.Writer, name string, err error) {
	say := func(format string, args ...string) {
		shown := make([]any, len(args))
		for i, a := range args {
			shown[i] = indented(a)
		}
		fmt.Fprintf(w, format+"\n", shown...)
	}
	var set *modseal.PromotionsError
	if errors.As(err, &set) {
		say("%s: %s; of the first of them:", name, set.Count())
		err = set.Err
	}
	var refusal *verify.Refusal
	if errors.As(err, &refusal) && len(refusal.Reasons) > 0 {
		say("%s: %s: found %s", name, refusal.Summary(), beginning(refusal.Reasons[0].Found))
		for _, r := range refusal.Reasons {
			if r.Policy != "" {
				say("  policy:      %s", r.Policy) // of several, this one refuses
			}
			say("  requirement: %s\n  looked for:  %s\n  found:       %s", r.Requirement, r.LookedFor, r.Found)
			for _, d := range r.Details {
				say("               - %s", d)
			}
		}
	} else {
		say("%s: %s", name, message(err))
	}
	var promotion *modseal.PromoteError
	if errors.As(err, &promotion) {
		say("  step:        %s\n  state:       %s", promotion.Step, promotion.State)
	}
	for _, h := range hints(err) {
		say("  next: %s", h)
	}
}

// indented is foreign text of perhaps several lines.
func indented(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = render.Clean(line)
	}
	return strings.Join(lines, "\n      ")
}

// message is the text of err without the advice in it that hints gives.
func message(err error) string {
	text := err.Error()
	var service *sign.ServiceError
	if errors.As(err, &service) && service.Next != "" {
		text = strings.Replace(text, "; "+service.Next, "", 1)
	}
	var reference *sign.ReferenceError
	if errors.As(err, &reference) && reference.Next != "" {
		text = strings.Replace(text, "; "+reference.Next, "", 1)
	}
	if errors.Is(err, modseal.ErrUsage) {
		text = withoutUsage(text)
	}
	return text
}

// withoutUsage takes out the word that says of which kind an error is, wherever it
// was wrapped: the exit code says so.
func withoutUsage(text string) string {
	word := modseal.ErrUsage.Error() + ": "
	if rest, ok := strings.CutPrefix(text, word); ok {
		return rest
	}
	return strings.Replace(text, ": "+word, ": ", 1)
}

// beginning keeps a sentence short where the whole of it follows below.
func beginning(s string) string {
	const most = 100
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most]) + "…"
}

// advisedError is an error of the library that knows what is to be done.
type advisedError interface {
	error
	Next() string
}

// hints returns advice by the kind of the error, never by its text.
func hints(err error) []string {
	var undecided *verify.Undecided
	var refusal *verify.Refusal
	var usage *cliUsageError
	var noScope *policy.NoScopeError
	var interrupted *interruptedError
	var service *sign.ServiceError
	var reference *sign.ReferenceError
	var advised advisedError
	var unreadable *archive.Error
	var parts *archive.PartsError
	switch {
	case errors.As(err, &interrupted):
		if !interrupted.moves {
			return nil
		}
		return []string{"run the same command again: it goes on from what was kept"}
	case errors.As(err, &advised):
		return []string{advised.Next()}
	case as[*certsd.Error](err):
		return []string{"mend the file, or leave mirrors out with --hosts-dir none"}
	case errors.As(err, &noScope):
		return []string{noScope.Next()}
	case errors.As(err, &usage):
		return []string{usage.command + " --help"}
	case errors.As(err, &undecided):
		return []string{undecided.Next}
	case errors.As(err, &service) && service.Next != "":
		return []string{service.Next}
	case errors.As(err, &reference) && reference.Next != "":
		return []string{reference.Next}
	case as[*modseal.SitePolicyError](err):
		return []string{"leave --no-verify out; what the policy asks for: modseal policy explain REF"}
	case errors.As(err, &refusal):
		var out []string
		seen := map[string]bool{}
		for _, r := range refusal.Reasons {
			if r.Next != "" && !seen[r.Next] {
				seen[r.Next] = true
				out = append(out, r.Next)
			}
		}
		return out
	case as[*modseal.WarnedError](err):
		return []string{"promote by a policy that enforces what it asks for, or sign and attest what is missing; what that is: modseal policy explain REF"}
	case as[*modseal.MovedError](err):
		return []string{"run it again: it decides on what the tag holds then"}
	case as[*archive.ExistsError](err):
		return []string{"write to another file, or replace it with --overwrite"}
	case as[*archive.BusyError](err):
		return []string{"wait until it is done: its result is the same when it is the same command"}
	case as[*inventory.Error](err):
		return []string{"mend the inventory and run it again"}
	case errors.As(err, &parts):
		return []string{bringAgain(parts.Again())}
	case errors.As(err, &unreadable) && unreadable.Next != "":
		return []string{unreadable.Next}
	case errors.Is(err, archive.ErrReadOnly):
		return []string{"name a registry reference or an OCI layout as the destination"}
	case errors.Is(err, errNoTerminal):
		return []string{"run in a terminal, set MODSEAL_PASSWORD for a key or COSIGN_PKCS11_PIN for a token, or use --password-stdin for a registry"}
	case errors.Is(err, sign.ErrPassword):
		return []string{"give the password that the key was made with, in MODSEAL_PASSWORD or COSIGN_PASSWORD, or unset both to be asked"}
	case isOfTrust(err):
		return trustHints(err)
	case withoutDirectory(err):
		return []string{"the working directory was removed: cd to one that is there, or name files from /"}
	case errors.Is(err, store.ErrBusy):
		return []string{"try again when the other commands are done, or let gc wait for them with --wait"}
	case errors.Is(err, source.ErrChanged):
		return []string{"run it again when nothing writes to the directory any more"}
	case errors.Is(err, syscall.ENOSPC), as[*materialize.DiskFullError](err):
		return []string{"free some space and run it again: it goes on from what was kept"}
	case as[*transfer.LimitError](err):
		return []string{"split large files into shards, put many small ones into one, or use another registry"}
	case as[*transfer.SpoolError](err):
		return []string{"name a directory that can be written with --spool-dir"}
	case errors.Is(err, materialize.ErrForeignFile):
		return []string{"move the file away, pull into another directory, or replace it with --overwrite"}
	}
	return hintsByClass(err)
}

// withoutDirectory reports whether a relative name could not be read, since the working
// directory is gone.
func withoutDirectory(err error) bool {
	var call *os.SyscallError
	return errors.As(err, &call) && call.Syscall == "getwd"
}

// bringAgain says which files of an archive are to be carried once more.
func bringAgain(files []string) string {
	return "bring again: " + strings.Join(files, " ")
}

func hintsByClass(err error) []string {
	var at *remote.Error
	errors.As(err, &at)
	switch modseal.ClassOf(err) {
	case modseal.ClassUnauthorized:
		if at != nil && !as[*loginError](err) {
			return []string{"modseal login " + at.Registry}
		}
		return nil
	case modseal.ClassNotFound:
		if at != nil && at.Repository != "" && at.Op != remote.OpListTags { // which is what list did
			return []string{"see what is there: modseal list " + at.Registry + "/" + at.Repository}
		}
		return nil
	case modseal.ClassTransport:
		return []string{"check that the registry is up and its name is right, then try again"}
	case modseal.ClassIntegrity:
		return []string{"the registry, or something before it, gives wrong bytes; pull from another copy, or have the damaged blob removed there and the artifact pushed again: a push does not replace what is there"}
	case modseal.ClassDrift:
		return driftHints(err)
	default:
		return nil
	}
}

// driftHints says what to do about a tag that holds something else.
func driftHints(err error) []string {
	var drift *modseal.DriftError
	if !errors.As(err, &drift) || drift.Have == "" {
		return []string{"see what is there, and name that with --expect"}
	}
	return []string{"use another tag, or move this one if that is meant: --expect " + drift.Have + " moves it only while it holds that, --overwrite whatever it holds"}
}
