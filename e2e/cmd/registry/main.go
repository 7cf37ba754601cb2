// Command registry serves one registry on the loopback interface, in a process
// of its own, so that what it costs is told apart from what its clients cost.
//
//	registry -kind distribution -dir DIR
//
// It prints "listening on 127.0.0.1:PORT" and ends on an interrupt, or when its
// standard input ends: with the process that started it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/modseal/modseal/e2e/registrytest"
)

func main() {
	kind := flag.String("kind", string(registrytest.Distribution), fmt.Sprintf("one of %v", registrytest.Kinds))
	dir := flag.String("dir", "", "directory to store in")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, registrytest.Kind(*kind), *dir); err != nil {
		fmt.Fprintln(os.Stderr, "registry:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, kind registrytest.Kind, dir string) error {
	if dir == "" {
		return errors.New("-dir is missing")
	}
	if why := kind.Missing(); why != "" {
		return errors.New(why)
	}
	handler, stop, err := registrytest.Handler(kind, dir)
	if err != nil {
		return err
	}
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, stop())
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the process that holds the other end
		cancel()
	}()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	fmt.Printf("listening on %s\n", l.Addr())
	select {
	case <-ctx.Done():
		_ = server.Close()
		return stop()
	case err := <-ended:
		return errors.Join(err, stop())
	}
}
