package modseal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"
	"github.com/olareg/olareg/types"
)

// ServeOptions configure the embedded registry.
type ServeOptions struct {
	ReadOnly bool
}

// Serve is an OCI registry over a directory of OCI layouts, one for each
// repository at dir/<repository>. It answers on listener until ctx is done,
// without authentication: bind it to loopback, or put something in front of it.
func Serve(ctx context.Context, dir string, listener net.Listener, o ServeOptions) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	yes := true
	writable := !o.ReadOnly
	registry := olareg.New(config.Config{
		Storage: config.ConfigStorage{StoreType: config.StoreDir, RootDir: dir, ReadOnly: &o.ReadOnly},
		API:     config.ConfigAPI{PushEnabled: &writable, DeleteEnabled: &writable, Referrer: config.ConfigAPIReferrer{Enabled: &yes}},
	})
	err := answer(ctx, registry, listener)
	if closing := withoutMissing(registry.Close()); closing != nil {
		err = errors.Join(err, fmt.Errorf("registry at %s: %w", dir, closing))
	}
	return err
}

// answer answers requests until ctx is done.
func answer(ctx context.Context, handler http.Handler, listener net.Listener) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		// Requests that move bytes get the time to end them.
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err = server.Shutdown(grace); err != nil {
			err = errors.Join(err, server.Close())
		}
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// withoutMissing drops what olareg 0.2.1 says, when it closes, of repositories
// that somebody asked for and that never were.
func withoutMissing(err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		if errors.Is(err, types.ErrNotFound) {
			return nil
		}
		return err
	}
	var rest []error
	for _, e := range joined.Unwrap() {
		rest = append(rest, withoutMissing(e))
	}
	return errors.Join(rest...)
}
