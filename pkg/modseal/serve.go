package modseal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"
	"github.com/olareg/olareg/types"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/internal/lazyregexp"
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
	err := answer(ctx, knownRepositories(dir, registry), listener)
	if closing := withoutMissing(registry.Close()); closing != nil {
		err = errors.Join(err, fmt.Errorf("registry at %s: %w", dir, closing))
	}
	return err
}

// knownRepositories answers for the tags of a repository that there is no layout of as
// the distribution specification has it (NAME_UNKNOWN): olareg 0.2.1 lists none, so
// that a name with a slip in it looks like an empty repository. What is pushed makes
// the layout before its first byte is stored.
func knownRepositories(dir string, registry http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, below := strings.CutPrefix(r.URL.Path, "/v2/")
		name, tags := strings.CutSuffix(name, "/tags/list")
		if below && tags && servedName.MatchString(name) {
			_, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name), ocispec.ImageIndexFile)) //nolint:gosec // servedName has no ".." in it
			if errors.Is(err, fs.ErrNotExist) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusNotFound)
				_, _ = io.WriteString(w, `{"errors":[{"code":"NAME_UNKNOWN","message":"there is no such repository"}]}`) // who asked is gone
				return
			}
		}
		registry.ServeHTTP(w, r)
	})
}

// servedName is a name as the distribution specification has it. Nothing that it
// matches leads out of a directory.
var servedName = lazyregexp.New(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)

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
