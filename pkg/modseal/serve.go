package modseal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	protocol "github.com/modseal/modseal/pkg/registry"
	"github.com/modseal/modseal/pkg/store/registry"
)

// ServeOptions configure the embedded registry.
type ServeOptions struct {
	ReadOnly bool
}

// Serve is an OCI registry over a directory of OCI layouts, one for each
// repository at dir/<repository>. It answers on listener until ctx is done,
// without authentication: bind it to loopback, or put something in front of it.
func Serve(ctx context.Context, dir string, listener net.Listener, o ServeOptions) error {
	layouts, err := registry.Open(dir, o.ReadOnly)
	if err != nil {
		return err
	}
	var why string
	if o.ReadOnly {
		why = "this registry is read-only"
	}
	ctx, stop := context.WithCancel(ctx)
	collected := make(chan struct{})
	go func() {
		defer close(collected)
		layouts.Run(ctx)
	}()
	err = answer(ctx, protocol.New(layouts, protocol.Options{ReadOnly: why}), listener)
	stop()
	<-collected
	if closing := layouts.Close(); closing != nil {
		err = errors.Join(err, fmt.Errorf("registry at %s: %w", dir, closing))
	}
	return err
}

// answer answers requests until ctx is done.
func answer(ctx context.Context, handler http.Handler, listener net.Listener) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) }}
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
