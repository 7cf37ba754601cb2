//go:build linux

package main

import (
	"context"
	"os"
)

// archives measures saving into an archive, and loading from it into an empty
// registry.
func (b *bench) archives(ctx context.Context, m model) error {
	source, p, err := b.published(ctx, m)
	if err != nil {
		return err
	}
	defer source.stop()
	return b.interleaved(b.rounds(true), []work{saving}, func(round int, t tool) error {
		p := p
		p.out = b.fresh("out")
		defer func() { _ = os.RemoveAll(p.out) }()
		if err := os.MkdirAll(p.out, 0o755); err != nil {
			return err
		}
		if ok, err := b.saved(ctx, t, p, circumstances{round: round, registries: []*registry{source}}); err != nil || !ok {
			return err
		}
		return b.loaded(ctx, t, p, circumstances{round: round})
	})
}

// saved measures a save by a user who has nothing yet.
func (b *bench) saved(ctx context.Context, t tool, p place, c circumstances) (ok bool, err error) {
	if c.round == 0 {
		if c.down, err = startProxy(ctx, p.host, 0); err != nil {
			return false, err
		}
		defer c.down.close()
		p.host, p.ref, c.watch = c.down.host, c.down.host+"/bench/model:v1", true
	}
	if c.home, err = b.home(); err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(c.home) }()
	return b.measured(ctx, t, saving, p, c)
}

// loaded measures a load into a registry that was just started.
func (b *bench) loaded(ctx context.Context, t tool, p place, c circumstances) error {
	destination, err := startRegistry(ctx, b.program, b.kind, b.fresh("registry"))
	if err != nil {
		return err
	}
	defer destination.stop()
	c.registries = []*registry{destination}
	p.host = destination.host
	if c.round == 0 {
		if c.up, err = startProxy(ctx, destination.host, 0); err != nil {
			return err
		}
		defer c.up.close()
		p.host, c.watch = c.up.host, true
	}
	p.to = p.host + "/bench/loaded:v1"
	if c.home, err = b.home(); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(c.home) }()
	_, err = b.measured(ctx, t, loading, p, c)
	return err
}
