package instance

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/modseal/modseal/hack/sigstore/internal/child"
	"github.com/modseal/modseal/hack/sigstore/internal/servers"
)

// host is where everything listens, and the name of the logs: a verifier takes
// it from the log's URL in the trusted root.
const host = "127.0.0.1"

// attempts to start a server: the ports that it is told are free when they are
// chosen, but anybody may take them before it does.
const attempts = 3

// startServices starts the child processes, all at once.
func (i *Instance) startServices(ctx context.Context) error {
	sets := []struct {
		*services
		suffix string
	}{{&i.trusted, ""}}
	if i.options.Untrusted {
		sets = append(sets, struct {
			*services
			suffix string
		}{&i.others, "-untrusted"})
	}
	started := make(chan *child.Process, 2*len(sets)+1)
	var group errgroup.Group
	if i.options.RekorV1 != "" {
		group.Go(func() (err error) {
			i.urls.RekorV1, err = retry(func() (string, error) { return i.startRekorV1(ctx, started) })
			return err
		})
	}
	for _, s := range sets {
		group.Go(func() (err error) {
			s.urls.Rekor, err = retry(func() (string, error) { return i.startRekor(ctx, s.services, s.suffix, started) })
			return err
		})
		group.Go(func() (err error) {
			s.urls.TSA, err = retry(func() (string, error) { return i.startTSA(ctx, s.services, s.suffix, started) })
			return err
		})
	}
	err := group.Wait()
	close(started)
	for p := range started {
		i.children = append(i.children, p)
	}
	i.urls.ServiceURLs = i.trusted.urls
	if i.options.Untrusted {
		i.urls.Untrusted = &i.others.urls
	}
	return err
}

func retry(start func() (string, error)) (u string, err error) {
	for range attempts {
		if u, err = start(); err == nil {
			return u, nil
		}
	}
	return "", err
}

func (i *Instance) startRekor(ctx context.Context, s *services, suffix string, started chan<- *child.Process) (string, error) {
	ports, err := freePorts(ctx, 3)
	if err != nil {
		return "", err
	}
	u := "http://" + net.JoinHostPort(host, strconv.Itoa(ports[0]))
	p, err := child.Start(ctx, child.Command{
		Name: "rekor" + suffix, Log: filepath.Join(i.dir, "rekor"+suffix+".log"), Health: u + "/healthz",
		Args: servers.RekorArgs(servers.RekorOptions{
			HTTP: ports[0], GRPC: ports[1], Metrics: ports[2],
			Origin: host, Storage: filepath.Join(i.dir, "rekor"+suffix), Key: s.rekor.File,
		}),
	})
	if err != nil {
		return "", err
	}
	started <- p
	return u, nil
}

func (i *Instance) startRekorV1(ctx context.Context, started chan<- *child.Process) (string, error) {
	ports, err := freePorts(ctx, 1)
	if err != nil {
		return "", err
	}
	address := net.JoinHostPort(host, strconv.Itoa(ports[0]))
	p, err := child.Start(ctx, child.Command{
		Name: "rekor-v1", Program: i.options.RekorV1, Args: []string{"-address", address, "-key", i.rekorV1.File},
		Log: filepath.Join(i.dir, "rekor-v1.log"), Health: "http://" + address + "/ping",
	})
	if err != nil {
		return "", err
	}
	started <- p
	return "http://" + address, nil
}

func (i *Instance) startTSA(ctx context.Context, s *services, suffix string, started chan<- *child.Process) (string, error) {
	ports, err := freePorts(ctx, 1)
	if err != nil {
		return "", err
	}
	address := net.JoinHostPort(host, strconv.Itoa(ports[0]))
	p, err := child.Start(ctx, child.Command{
		Name: "tsa" + suffix, Log: filepath.Join(i.dir, "tsa"+suffix+".log"), Health: "http://" + address + "/ping",
		Args: servers.TimestampArgs(address, s.tsa.Key.File, s.tsa.File),
	})
	if err != nil {
		return "", err
	}
	started <- p
	return "http://" + address + "/api/v1/timestamp", nil
}

// freePorts returns n ports that were free a moment ago.
func freePorts(ctx context.Context, n int) ([]int, error) {
	ports := make([]int, n)
	for k := range ports {
		listener, _, err := listen(ctx)
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		address, ok := listener.Addr().(*net.TCPAddr)
		if !ok {
			return nil, fmt.Errorf("%s is no TCP address", listener.Addr())
		}
		ports[k] = address.Port
	}
	return ports, nil
}
