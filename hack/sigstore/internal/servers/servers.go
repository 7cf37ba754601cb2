// Package servers are the parts of a Sigstore whose configuration is global to a
// process: Rekor and the timestamp authority. Each is this very program, started
// again under another name, so that there is one binary to build.
package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	rekor "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix/app"
	timestamp "github.com/sigstore/timestamp-authority/v2/pkg/server"
	"github.com/spf13/viper"

	"github.com/modseal/modseal/hack/sigstore/internal/child"
)

// The first argument says which server it is.
const (
	rekorServer     = "rekor-server"
	timestampServer = "timestamp-server"
)

// policy is the OID that the timestamp authority's own command has as its
// default: that of Sigstore's timestamps.
const policy = "1.3.6.1.4.1.57264.2"

// Bounds of a request.
const (
	maxRequest = 1 << 20
	patience   = 20 * time.Second
)

// Main runs a server if this process was started as one, and returns whether it
// was. It comes before everything else in a program that starts them.
func Main() bool {
	if len(os.Args) < 2 {
		return false
	}
	switch os.Args[1] {
	case rekorServer:
		go child.EndWithParent()
		os.Args = os.Args[1:]
		rekor.Execute()
		return true
	case timestampServer:
		go child.EndWithParent()
		if err := serveTimestamps(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "timestamp-server:", err)
			os.Exit(1)
		}
		return true
	}
	return false
}

// TimestampArgs are the arguments of a timestamp authority.
func TimestampArgs(address, key, chain string) []string {
	return []string{timestampServer, address, key, chain}
}

// serveTimestamps is the timestamp authority's REST server without what its own
// command adds: a clock check on the network and metrics on a fixed port.
func serveTimestamps(args []string) error {
	if len(args) != 3 {
		return errors.New("usage: ADDRESS KEY CHAIN")
	}
	for name, value := range map[string]any{
		"timestamp-signer":         "file",
		"timestamp-signer-hash":    "sha256",
		"file-signer-key-path":     args[1],
		"file-signer-passwd":       "",
		"certificate-chain-path":   args[2],
		"enforce-intermediate-eku": true,
		"default-policy-oid":       policy,
		"accepted-policy-oids":     []string{policy},
		"max-request-body-size":    maxRequest,
	} {
		viper.Set(name, value)
	}
	listener, err := net.Listen("tcp", args[0]) //nolint:noctx // the server below is what ends it
	if err != nil {
		return err
	}
	handler := timestamp.NewRestAPIServer("127.0.0.1", 0, []string{"http"}, false, patience, patience).GetHandler()
	s := &http.Server{Handler: handler, ReadTimeout: patience, WriteTimeout: patience}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { s.Close() })
	if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// RekorOptions of a Rekor v2 on loopback.
type RekorOptions struct {
	HTTP, GRPC, Metrics int    // ports
	Origin              string // the name of the log, which is the host of its URL in a trusted root
	Storage             string // a directory
	Key                 string // a PEM file
}

// RekorArgs are the arguments of a Rekor. Its intervals are the least it takes, so
// that an entry is there soon after it was sent.
func RekorArgs(o RekorOptions) []string {
	return []string{
		rekorServer, "serve", "--http-address=127.0.0.1", "--grpc-address=127.0.0.1",
		fmt.Sprintf("--http-port=%d", o.HTTP), fmt.Sprintf("--grpc-port=%d", o.GRPC), fmt.Sprintf("--http-metrics-port=%d", o.Metrics),
		"--hostname=" + o.Origin, "--storage-dir=" + o.Storage, "--signer-filepath=" + o.Key,
		"--checkpoint-interval=100ms", "--batch-max-age=50ms", "--log-level=warn",
	}
}
