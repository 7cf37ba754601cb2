package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/modseal/modseal/pkg/sign"
)

var errNoTerminal = errors.New("there is no terminal to ask at")

// keyPassword asks for the password of the private key file: the environment
// first, then the person at the terminal. The PIN of a token has a variable of its
// own: a token that is tried with passwords locks itself.
func (a *app) keyPassword(file string) func() ([]byte, error) {
	return func() ([]byte, error) {
		if strings.HasPrefix(file, "pkcs11:") {
			return a.ask("PIN of " + sign.Redact(file) + ": ")
		}
		if v, ok := a.env.password(); ok {
			return []byte(v), nil
		}
		return a.ask("password of " + sign.Redact(file) + ": ")
	}
}

// newPassword asks twice.
func (a *app) newPassword() ([]byte, error) {
	if v, ok := a.env.password(); ok {
		return []byte(v), nil
	}
	first, err := a.ask("password for the new key (empty for none): ")
	if err != nil {
		return nil, err
	}
	second, err := a.ask("the same again: ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, second) {
		return nil, errors.New("the two passwords differ")
	}
	// Never nil: that would mean not to encrypt at all.
	return append([]byte{}, first...), nil
}

// interactive reports whether there is a person to ask.
func (a *app) interactive() bool {
	f, ok := a.in.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// ask reads a line without echo from the terminal.
func (a *app) ask(prompt string) ([]byte, error) {
	if !a.interactive() {
		return nil, errNoTerminal
	}
	f := a.in.(*os.File) // interactive says so
	fmt.Fprint(a.err, prompt)
	line, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(a.err)
	return line, err
}
