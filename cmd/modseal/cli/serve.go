package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
)

type serveFlags struct {
	listen   string
	readOnly bool
	anywhere bool
}

func (a *app) serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:        "serve DIR|archive:FILE",
		SuggestFor: []string{"registry"},
		Short:      "Serve a directory of OCI layouts, or an archive, as a registry",
		Long: `Serve DIR as an OCI registry until interrupted. Each repository is the OCI layout
at DIR/<repository>, so that "modseal pack ./model oci:DIR/team/model:v1" makes
what is served as team/model:v1.

Serve archive:FILE to pull straight from an archive, without loading it: each artifact
is in the repository that it was saved from, without the host. Nobody can write to it,
and nothing is verified: who pulls does that.

It speaks plain HTTP without authentication, and so listens on loopback; another
address needs --allow-any-address, and something in front of it.`,
		Example: `  modseal serve ./registry
  modseal push ./model 127.0.0.1:5000/team/model:v1 --key release.key

  modseal serve archive:models.tar
  modseal pull 127.0.0.1:5000/team/model:v1 -o ./model --key release.pub`,
		Args: exactArgs("DIR"),
	}
	cmd.Flags().StringVar(&f.listen, "listen", "127.0.0.1:5000", "`ADDRESS` to listen on; port 0 takes a free one")
	cmd.Flags().BoolVar(&f.readOnly, "read-only", false, "refuse pushes and deletions")
	cmd.Flags().BoolVar(&f.anywhere, "allow-any-address", false, "listen on an address that is not loopback")
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runServe(cmd.Context(), cmd, args[0], &f) }
	return cmd
}

func (a *app) runServe(ctx context.Context, cmd *cobra.Command, dir string, f *serveFlags) error {
	host, _, err := net.SplitHostPort(f.listen)
	if err != nil {
		return usageError(cmd, fmt.Errorf("--listen %q: %w", f.listen, err))
	}
	if ip := net.ParseIP(host); !f.anywhere && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return usageError(cmd, fmt.Errorf("--listen %q is reachable from elsewhere, and there is no authentication: use 127.0.0.1, or --allow-any-address", f.listen))
	}
	serve := func(listener net.Listener) error {
		return modseal.Serve(ctx, dir, listener, modseal.ServeOptions{ReadOnly: f.readOnly})
	}
	if file, ok := strings.CutPrefix(dir, "archive:"); ok {
		// Before anybody is told to come: it may be no archive.
		r, err := modseal.OpenArchiveRegistry(ctx, file)
		if err != nil {
			return err
		}
		defer r.Close()
		fmt.Fprintf(a.err, "serving %s, read-only: %s\n", render.Clean(file), render.Clean(strings.Join(r.Repositories(), ", ")))
		serve = func(listener net.Listener) error { return r.Serve(ctx, listener) }
	} else if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return usageError(cmd, fmt.Errorf("%s is a file; to serve an archive write archive:%[1]s", dir))
	}
	return a.listen(ctx, f.listen, serve)
}

// listen serves until it is told to stop, which is no failure.
func (a *app) listen(ctx context.Context, address string, serve func(net.Listener) error) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		// The cause is no failure of a transfer: nothing to try again.
		return fmt.Errorf("cannot listen on %s: %v; choose another --listen", address, err) //nolint:errorlint // wrapped, it would be told as a failed transfer: exit 7
	}
	fmt.Fprintf(a.err, "listening on %s\n", listener.Addr())
	err = serve(listener)
	if errors.Is(err, context.Canceled) {
		return nil // told to stop, and stopped
	}
	return err
}
