// Command sigstore runs a private Sigstore on loopback, for tests and for who
// wants to try keyless signing without the public one:
//
//	sigstore -dir DIR [-leaf-lifetime 10m] [-untrusted] [-no-ct-log] [-rekor-v1] [-until-eof]
//
// It writes the files of README.md to DIR, prints "ready" and runs until SIGINT
// or SIGTERM, or with -until-eof until its standard input ends, so that it never
// outlives who started it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/modseal/modseal/hack/sigstore/internal/fulcio"
	"github.com/modseal/modseal/hack/sigstore/internal/instance"
	"github.com/modseal/modseal/hack/sigstore/internal/servers"
)

func main() {
	if servers.Main() {
		return
	}
	os.Exit(run())
}

func run() int {
	var o instance.Options
	dir := flag.String("dir", "", "`directory` for keys, logs and the files that clients need; what is there is used again")
	flag.DurationVar(&o.LeafLifetime, "leaf-lifetime", 0, "lifetime of Fulcio's certificates (10m)")
	flag.BoolVar(&o.Untrusted, "untrusted", false, "also start a Rekor and a timestamp authority that are not in the trusted root")
	flag.BoolVar(&o.NoCTLog, "no-ct-log", false, "no certificate transparency log: certificates carry no SCT")
	rekorV1 := flag.Bool("rekor-v1", false, "also start a Rekor v1: the program sigstore-rekor-v1, which is beside this one")
	untilEOF := flag.Bool("until-eof", false, "stop when standard input ends")
	flag.Parse()
	if *dir == "" || flag.NArg() > 0 || o.LeafLifetime < 0 {
		flag.Usage()
		return 2
	}
	if *rekorV1 {
		self, err := os.Executable()
		if err != nil {
			fmt.Fprintln(os.Stderr, "sigstore:", err)
			return 1
		}
		o.RekorV1 = filepath.Join(filepath.Dir(self), "sigstore-rekor-v1")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *untilEOF {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	if err := serve(ctx, *dir, o); err != nil {
		fmt.Fprintln(os.Stderr, "sigstore:", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, dir string, o instance.Options) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := fulcio.LogTo(filepath.Join(dir, "fulcio.log")); err != nil {
		return err
	}
	i, err := instance.Start(ctx, dir, o)
	if err != nil {
		return err
	}
	defer i.Stop()
	fmt.Println("ready")
	return i.Failed(ctx)
}
