//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"slices"
)

// The works fall into groups that are measured one after the other. Within a
// group every round asks one tool after the other, so that what changes on the
// machine meanwhile meets all of them, and each round begins with another tool.

// interleaved calls f for every round and tool that has something to do.
func (b *bench) interleaved(rounds []int, works []work, f func(round int, t tool) error) error {
	for _, round := range rounds {
		for i := range b.tools {
			t := b.tools[(i+round)%len(b.tools)]
			if !slices.ContainsFunc(works, t.does) || b.enough(t, works, round) {
				continue
			}
			if err := f(round, t); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
		}
	}
	return nil
}

// rounds are the numbers of all rounds, with 0 for the warm-up.
func (b *bench) rounds(warmup bool) []int {
	var all []int
	if warmup {
		all = append(all, 0)
	}
	for i := range b.repeat {
		all = append(all, i+1)
	}
	return all
}

// prepared runs what a tool wants to have done once for a model, and returns
// the directory with that.
func (b *bench) prepared(ctx context.Context, m model) (map[string]string, error) {
	all := map[string]string{}
	for _, t := range b.tools {
		if t.prepare == nil {
			continue
		}
		aux := b.fresh("aux")
		if err := os.MkdirAll(aux, 0o755); err != nil {
			return nil, err
		}
		home, err := b.home()
		if err != nil {
			return nil, err
		}
		p := place{program: t.program, model: m, aux: aux, home: home}
		commands := b.inEnvironment(t.prepare(p), aux, home)
		if _, err := b.limited(ctx, commands); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			// The work itself will fail, and say this.
			fmt.Fprintf(b.log, "   preparation      %-16s %v\n", t.name, err)
		}
		all[t.name] = aux
		if err := os.RemoveAll(home); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// life measures push, pull and what lies between them for one tool, with a
// registry of its own: every layer is new to it.
func (b *bench) life(ctx context.Context, round int, t tool, first, second model, aux, aux2 string, small bool) (err error) {
	r, err := startRegistry(ctx, b.program, b.kind, b.fresh("registry"))
	if err != nil {
		return err
	}
	defer r.stop()
	host, c := r.host, circumstances{round: round, registries: []*registry{r}}
	if round == 0 {
		counting, err := startProxy(ctx, r.host, 0)
		if err != nil {
			return err
		}
		defer counting.close()
		host, c.down, c.watch = counting.host, counting, true
	}
	if c.home, err = b.home(); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(c.home) }()
	p := place{host: host, ref: host + "/bench/model:v1", model: first, aux: aux, keys: b.dir}
	pushing, pulling := push, pull
	if small {
		pushing, pulling = smallPush, smallPull
	}
	if t.foreign {
		if err := b.unmeasured(ctx, b.modseal, pushing, p, c.home); err != nil {
			return err
		}
		if c.down != nil {
			c.down.counted()
		}
	} else if ok, err := b.measured(ctx, t, pushing, p, c); err != nil || !ok {
		return err
	}
	if !small {
		if _, err := b.measured(ctx, t, repush, p, c); err != nil {
			return err
		}
		next := p
		next.model, next.ref, next.aux = second, host+"/bench/model:v2", aux2
		if _, err := b.measured(ctx, t, changed, next, c); err != nil {
			return err
		}
	}
	pulls := []work{pulling}
	if !small {
		pulls = append(pulls, pullUnverified, verifyOnly)
	}
	for _, w := range pulls {
		if err := b.pulled(ctx, t, w, p, c); err != nil {
			return err
		}
	}
	if round == 0 && !small {
		return b.tampered(ctx, t, pull, p, r)
	}
	return nil
}

// pulled measures a pull into an empty directory by a user who has nothing yet.
func (b *bench) pulled(ctx context.Context, t tool, w work, p place, c circumstances) (err error) {
	if !t.does(w) {
		return nil
	}
	if c.home, err = b.home(); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(c.home) }()
	p.out = b.fresh("out")
	defer func() { _ = os.RemoveAll(p.out) }()
	if err := os.MkdirAll(p.out, 0o755); err != nil {
		return err
	}
	ok, err := b.measured(ctx, t, w, p, c)
	if err != nil || !ok || t.foreign || w == verifyOnly || c.round > 1 {
		return err
	}
	if err := same(p.model, p.out); err != nil {
		b.leaveOut(t, w, err)
	}
	return nil
}

// models measures a model of some large files.
func (b *bench) models(ctx context.Context, first, second model) error {
	aux, err := b.prepared(ctx, first)
	if err != nil {
		return err
	}
	aux2, err := b.prepared(ctx, second)
	if err != nil {
		return err
	}
	return b.interleaved(b.rounds(true), []work{push, repush, changed, pull}, func(round int, t tool) error {
		return b.life(ctx, round, t, first, second, aux[t.name], aux2[t.name], false)
	})
}

// smallFiles measures very many files of a few bytes.
func (b *bench) smallFiles(ctx context.Context, m model) error {
	aux, err := b.prepared(ctx, m)
	if err != nil {
		return err
	}
	return b.interleaved(b.rounds(true), []work{smallPush, smallPull}, func(round int, t tool) error {
		return b.life(ctx, round, t, m, m, aux[t.name], "", true)
	})
}

// published starts a registry with a model that modseal has pushed and signed.
func (b *bench) published(ctx context.Context, m model) (*registry, place, error) {
	source, err := startRegistry(ctx, b.program, b.kind, b.fresh("registry"))
	if err != nil {
		return nil, place{}, err
	}
	p := place{host: source.host, ref: source.host + "/bench/model:v1", model: m, keys: b.dir}
	home, err := b.home()
	if err == nil {
		err = b.unmeasured(ctx, b.modseal, push, p, home)
	}
	if err != nil {
		source.stop()
		return nil, place{}, err
	}
	return source, p, nil
}

// copies measures a copy from one registry to another, empty one.
func (b *bench) copies(ctx context.Context, m model) error {
	source, p, err := b.published(ctx, m)
	if err != nil {
		return err
	}
	defer source.stop()
	return b.interleaved(b.rounds(true), []work{copying}, func(round int, t tool) (err error) {
		destination, err := startRegistry(ctx, b.program, b.kind, b.fresh("registry"))
		if err != nil {
			return err
		}
		defer destination.stop()
		p, c := p, circumstances{round: round, registries: []*registry{source, destination}}
		p.to = destination.host + "/bench/copied:v1"
		if round == 0 {
			if c.down, err = startProxy(ctx, source.host, 0); err != nil {
				return err
			}
			defer c.down.close()
			if c.up, err = startProxy(ctx, destination.host, 0); err != nil {
				return err
			}
			defer c.up.close()
			p.host, p.ref, p.to, c.watch = c.down.host, c.down.host+"/bench/model:v1", c.up.host+"/bench/copied:v1", true
		}
		if c.home, err = b.home(); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(c.home) }()
		_, err = b.measured(ctx, t, copying, p, c)
		return err
	})
}

// throttled measures the pull of one huge file when each connection is slow. It
// takes so long, and is so even, that it is not warmed up.
func (b *bench) throttled(ctx context.Context, m model) error {
	r, err := startRegistry(ctx, b.program, b.kind, b.fresh("registry"))
	if err != nil {
		return err
	}
	defer r.stop()
	aux, err := b.prepared(ctx, m)
	if err != nil {
		return err
	}
	pushed := map[string]bool{}
	return b.interleaved(b.rounds(false), []work{hugePull}, func(round int, t tool) error {
		p := place{host: r.host, ref: r.host + "/bench/" + t.name + ":v1", model: m, aux: aux[t.name], keys: b.dir}
		if !pushed[t.name] {
			pushed[t.name] = true
			home, err := b.home()
			if err != nil {
				return err
			}
			defer func() { _ = os.RemoveAll(home) }()
			if err := b.unmeasured(ctx, t, hugePush, p, home); err != nil {
				b.leaveOut(t, hugePull, err)
				return ctx.Err()
			}
		}
		slow, err := startProxy(ctx, r.host, b.rate)
		if err != nil {
			return err
		}
		defer slow.close()
		p.host, p.ref = slow.host, slow.host+"/bench/"+t.name+":v1"
		return b.pulled(ctx, t, hugePull, p, circumstances{round: round, registries: []*registry{r}, down: slow, watch: true})
	})
}
