// Command rekorv1 is a Rekor v1 on loopback, which "sigstore -rekor-v1" starts:
// Rekor's own REST server in front of Trillian, both in this process. Trillian
// keeps the log in memory, so it begins anew with the process; what it promised
// before still verifies, for its key is kept.
//
// It is a program of its own since Rekor and the timestamp authority define the
// same global flags.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-openapi/loads"
	"github.com/sigstore/rekor/pkg/api"
	"github.com/sigstore/rekor/pkg/generated/restapi"
	"github.com/sigstore/rekor/pkg/generated/restapi/operations"
	"github.com/sigstore/rekor/pkg/types"
	"github.com/sigstore/rekor/pkg/types/dsse"
	_ "github.com/sigstore/rekor/pkg/types/dsse/v0.0.1" // registers itself
	"github.com/sigstore/rekor/pkg/types/hashedrekord"
	_ "github.com/sigstore/rekor/pkg/types/hashedrekord/v0.0.1" // registers itself
	"github.com/sigstore/rekor/pkg/types/intoto"
	_ "github.com/sigstore/rekor/pkg/types/intoto/v0.0.2" // registers itself
	"github.com/spf13/viper"

	"github.com/modseal/modseal/hack/sigstore/internal/child"
)

// Bounds of a request.
const (
	maxRequest = 4 << 20
	patience   = 30 * time.Second
)

func main() {
	address := flag.String("address", "", "`host:port` to listen on")
	key := flag.String("key", "", "PEM `file` of the log's key")
	flag.Parse()
	if *address == "" || *key == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	go child.EndWithParent()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *address, *key); err != nil {
		fmt.Fprintln(os.Stderr, "rekor-v1:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, address, key string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	port, err := startTrillian(ctx)
	if err != nil {
		return err
	}
	for name, value := range map[string]any{
		"trillian_log_server.address": "127.0.0.1",
		"trillian_log_server.port":    port,
		"rekor_server.hostname":       host,
		"rekor_server.signer":         key,
		"max_request_body_size":       maxRequest,
		// All but searchIndex, which needs Redis or MySQL.
		"enabled_api_endpoints": []string{
			"getLogInfo", "getPublicKey", "getLogProof", "createLogEntry", "getLogEntryByIndex", "getLogEntryByUUID", "searchLogQuery",
		},
	} {
		viper.Set(name, value)
	}
	types.SetAllowedKindsForSubmission([]string{dsse.KIND, hashedrekord.KIND, intoto.KIND})
	document, err := loads.Embedded(restapi.SwaggerJSON, restapi.FlatSwaggerJSON)
	if err != nil {
		return err
	}
	rekor := restapi.NewServer(operations.NewRekorServerAPI(document))
	api.ConfigureAPI(0) // a tree of ID 0 is made
	rekor.ConfigureAPI()

	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	s := &http.Server{Handler: rekor.GetHandler(), ReadTimeout: patience, WriteTimeout: patience}
	context.AfterFunc(ctx, func() { s.Close() })
	if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
