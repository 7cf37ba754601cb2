package main

import (
	"context"
	"net"
	"time"

	"github.com/google/trillian"
	"github.com/google/trillian/extension"
	trillianlog "github.com/google/trillian/log"
	"github.com/google/trillian/monitoring"
	"github.com/google/trillian/quota"
	"github.com/google/trillian/server"
	"github.com/google/trillian/server/admin"
	"github.com/google/trillian/storage/memory"
	"github.com/google/trillian/util/clock"
	"github.com/google/trillian/util/election"
	"github.com/google/trillian/util/election2"
	"google.golang.org/grpc"
)

// sequencing is how often what was sent is put into the tree.
const sequencing = 20 * time.Millisecond

// startTrillian runs Trillian's log server and its sequencer, whose storage is
// the memory of this process, and returns the port of its gRPC API.
func startTrillian(ctx context.Context) (int, error) {
	trees := memory.NewTreeStorage()
	registry := extension.Registry{
		AdminStorage:    memory.NewAdminStorage(trees),
		LogStorage:      memory.NewLogStorage(trees, monitoring.InertMetricFactory{}),
		ElectionFactory: election2.NoopFactory{}, // there is nobody else to be master
		QuotaManager:    quota.Noop(),
		MetricFactory:   monitoring.InertMetricFactory{},
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	s := grpc.NewServer()
	trillian.RegisterTrillianLogServer(s, server.NewTrillianLogRPCServer(registry, clock.System))
	trillian.RegisterTrillianAdminServer(s, admin.New(registry, nil))
	go func() { _ = s.Serve(listener) }() // ends with the process; Rekor tells when it is gone

	sequencer := trillianlog.NewOperationManager(trillianlog.OperationInfo{
		Registry: registry, BatchSize: 100, NumWorkers: 1, RunInterval: sequencing, TimeSource: clock.System,
		ElectionConfig: election.RunnerConfig{TimeSource: clock.System},
	}, trillianlog.NewSequencerManager(registry, 0))
	go sequencer.OperationLoop(ctx)
	return listener.Addr().(*net.TCPAddr).Port, nil
}
