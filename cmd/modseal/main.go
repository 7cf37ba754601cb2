// Command modseal packs machine learning models as signed OCI artifacts, stores
// them in OCI registries and verifies them before a byte is used.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/modseal/modseal/cmd/modseal/cli"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return cli.Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}
