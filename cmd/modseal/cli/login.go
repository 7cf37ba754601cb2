package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/remote"
)

type loginFlags struct {
	option.Registry
	username      string
	passwordStdin bool
}

func (a *app) loginCommand() *cobra.Command {
	var f loginFlags
	cmd := &cobra.Command{
		Use:   "login HOST",
		Short: "Check credentials for a registry and store them",
		Long: `Check the credentials with the registry and store them where docker keeps its own:
in the credential helper that its config.json names, or in that file.`,
		Example: `  modseal login registry.example.com -u alice
  echo "$TOKEN" | modseal login registry.example.com -u ci --password-stdin`,
		Args: exactArgs("HOST"),
	}
	f.Registry.AddFlags(cmd.Flags())
	cmd.Flags().StringVarP(&f.username, "username", "u", "", "user name; empty with an identity token as password")
	cmd.Flags().BoolVar(&f.passwordStdin, "password-stdin", false, "read the password from standard input")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runLogin(cmd.Context(), args[0], &f) }
	return cmd
}

func (a *app) runLogin(ctx context.Context, host string, f *loginFlags) error {
	if strings.Contains(host, "/") {
		return fmt.Errorf("%w: %q: the name of a registry is needed, without https:// and without a path", modseal.ErrUsage, host)
	}
	store, err := remote.NewCredentials(a.env.credentialFiles())
	if err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	options := a.registryOptions(&f.Registry)
	cred, err := a.credential(host, f)
	if err != nil {
		return err
	}
	if err := remote.Login(ctx, store, options, host, cred); err != nil {
		if remote.IsUnauthorized(err) {
			return &loginError{host, err}
		}
		return err
	}
	fmt.Fprintf(a.err, "logged in to %s\n", host)
	return nil
}

// loginError says that a registry does not take the credentials.
type loginError struct {
	host string
	err  error
}

func (e *loginError) Error() string { return e.host + " refuses this user name or password" }
func (e *loginError) Unwrap() error { return e.err }

func (a *app) credential(host string, f *loginFlags) (remote.Credential, error) {
	var password string
	if f.passwordStdin {
		line, err := bufio.NewReader(a.in).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return remote.Credential{}, err
		}
		if password = strings.TrimRight(line, "\r\n"); password == "" {
			return remote.Credential{}, fmt.Errorf("%w: the password is empty; is a variable not set?", modseal.ErrUsage)
		}
	} else {
		if f.username == "" {
			if err := a.askUsername(f); err != nil {
				return remote.Credential{}, err
			}
		}
		secret, err := a.ask("password for " + f.username + "@" + host + ": ")
		if err != nil {
			return remote.Credential{}, err
		}
		password = string(secret)
	}
	if f.username == "" {
		return remote.Credential{RefreshToken: password}, nil
	}
	return remote.Credential{Username: f.username, Password: password}, nil
}

// askUsername asks the person at the terminal.
func (a *app) askUsername(f *loginFlags) error {
	if !a.interactive() {
		return errNoTerminal
	}
	fmt.Fprint(a.err, "user name: ")
	line, err := bufio.NewReader(a.in).ReadString('\n')
	f.username = strings.TrimSpace(line)
	return err
}

func (a *app) logoutCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "logout HOST",
		Short:   "Forget the credentials for a registry",
		Example: "  modseal logout registry.example.com",
		Args:    exactArgs("HOST"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		store, err := remote.NewCredentials(a.env.credentialFiles())
		if err != nil {
			return fmt.Errorf("credentials: %w", err)
		}
		if err := remote.Logout(cmd.Context(), store, args[0]); err != nil {
			return err
		}
		fmt.Fprintf(a.err, "logged out of %s\n", args[0])
		return nil
	}
	return cmd
}
