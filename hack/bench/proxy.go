//go:build linux

package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// slice is how much passes a throttled connection at once: small enough for an
// even flow, large enough not to cost.
const slice = 256 << 10

// A proxy passes TCP connections on to a registry and counts their bytes. It
// does not look into them: what it counts is all that went over the wire,
// headers included.
type proxy struct {
	host     string // where it listens
	up, down atomic.Int64

	listener net.Listener
	target   string
	rate     int64 // bytes a second that each connection gets downwards; 0: all it can
	open     sync.WaitGroup
	active   atomic.Int64 // connections that are not counted to their end
	stopped  chan struct{}
}

// startProxy listens on a port of the loopback interface.
func startProxy(ctx context.Context, target string, rate int64) (*proxy, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{host: l.Addr().String(), listener: l, target: target, rate: rate, stopped: make(chan struct{})}
	p.open.Go(p.serve)
	return p, nil
}

// close ends the proxy and every connection, and waits for them.
func (p *proxy) close() {
	close(p.stopped)
	_ = p.listener.Close()
	p.open.Wait()
}

// counted returns the bytes since the last call. The client has ended; its
// connections are waited for, since they are counted when they end.
func (p *proxy) counted() (up, down int64) {
	for deadline := time.Now().Add(10 * time.Second); p.active.Load() > 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	return p.up.Swap(0), p.down.Swap(0)
}

func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.active.Add(1)
		p.open.Go(func() {
			defer p.active.Add(-1)
			p.pass(client.(*net.TCPConn))
		})
	}
}

func (p *proxy) pass(client *net.TCPConn) {
	defer client.Close()
	conn, err := net.DialTimeout("tcp", p.target, 10*time.Second) //nolint:noctx // ends with the connection
	if err != nil {
		return
	}
	server := conn.(*net.TCPConn)
	defer server.Close()
	ended := make(chan struct{}, 2)
	go func() {
		n, _ := io.Copy(server, client) // a cut ends the connection, which the client sees
		p.up.Add(n)
		_ = server.CloseWrite()
		ended <- struct{}{}
	}()
	go func() {
		n, _ := p.copyDown(client, server)
		p.down.Add(n)
		_ = client.CloseWrite()
		ended <- struct{}{}
	}()
	for range 2 {
		select {
		case <-ended:
		case <-p.stopped:
			_ = client.Close()
			_ = server.Close()
			<-ended
		}
	}
}

// copyDown copies at the rate of a connection. Time that was not used is not
// saved up: after a pause a connection is no faster than before.
func (p *proxy) copyDown(to, from *net.TCPConn) (int64, error) {
	if p.rate == 0 {
		return io.Copy(to, from)
	}
	var total int64
	next := time.Now()
	for {
		n, err := io.CopyN(to, from, slice)
		total += n
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return total, err
		}
		took := time.Duration(n * int64(time.Second) / p.rate)
		if now := time.Now(); next.Before(now.Add(-took)) {
			next = now.Add(-took)
		}
		next = next.Add(took)
		time.Sleep(time.Until(next))
	}
}
