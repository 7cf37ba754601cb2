//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// tampered finds out whether a tool compares digests at all: bytes of
// the large blobs are changed in the registry's storage, and the pull must fail. A
// tool that takes them has done less work than the others, so it has no
// number.
func (b *bench) tampered(ctx context.Context, t tool, w work, p place, r *registry) error {
	if !t.does(w) || b.why[t.name][w] != "" {
		return nil
	}
	if err := changeBytes(r.dir); err != nil {
		return err
	}
	home, err := b.home()
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(home) }()
	p.out = b.fresh("out")
	defer func() { _ = os.RemoveAll(p.out) }()
	if err := os.MkdirAll(p.out, 0o755); err != nil {
		return err
	}
	if err := b.unmeasured(ctx, t, w, p, home); err == nil {
		b.leaveOut(t, w, errors.New("it takes bytes that are not what their digest says"))
	}
	return ctx.Err()
}

// changeBytes changes one byte in the middle of every large file below dir.
func changeBytes(dir string) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Size() < 1<<20 {
			return err
		}
		return changeByte(name, info.Size()/2)
	})
}

func changeByte(name string, at int64) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var one [1]byte
	if _, err := f.ReadAt(one[:], at); err != nil {
		return err
	}
	one[0] ^= 1
	if _, err := f.WriteAt(one[:], at); err != nil {
		return err
	}
	return f.Close()
}

// same fails unless the files of the model are in dir.
func same(m model, dir string) error {
	for _, name := range m.files {
		if err := sameFile(filepath.Join(m.dir, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func sameFile(want, got string) error {
	a, err := os.Open(want)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := os.Open(got)
	if err != nil {
		return err
	}
	defer b.Close()
	left, right := make([]byte, 1<<20), make([]byte, 1<<20)
	for {
		n, errLeft := io.ReadFull(a, left)
		m, errRight := io.ReadFull(b, right)
		if string(left[:n]) != string(right[:m]) {
			return fmt.Errorf("it wrote other bytes to %s", filepath.Base(got))
		}
		if errLeft != nil || errRight != nil {
			if errors.Is(errLeft, io.EOF) || errors.Is(errLeft, io.ErrUnexpectedEOF) {
				return nil
			}
			return errors.Join(errLeft, errRight)
		}
	}
}
