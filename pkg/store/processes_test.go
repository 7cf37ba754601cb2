package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/pkg/store"
)

const (
	processes  = 6
	pushesEach = 15
)

// pushMany is what each process does: it creates or opens the layout, and pushes
// artifacts, tags them, and attaches each to one subject that all share.
func pushMany(dir, worker string) error {
	ctx := context.Background()
	l, err := store.Create(dir)
	if err != nil {
		return err
	}
	subject := newManifest("the subject of all", testArtifact, nil)
	if err := subject.push(ctx, l); err != nil {
		return err
	}
	for i := range pushesEach {
		name := "w" + worker + "-" + strconv.Itoa(i)
		m := newManifest(name, testArtifact, &subject.desc)
		if err := m.push(ctx, l); err != nil {
			return err
		}
		if err := l.Tag(ctx, m.desc, name); err != nil {
			return err
		}
		if err := l.Tag(ctx, m.desc, "last"); err != nil {
			return err
		}
	}
	return nil
}

// TestManyProcesses: whatever many processes push and tag in one layout at the
// same time is there afterwards, and readers see a whole index all the time.
func TestManyProcesses(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "layout")
	commands := make([]*exec.Cmd, processes)
	outputs := make([]bytes.Buffer, processes)
	for i := range commands {
		c := exec.CommandContext(t.Context(), self)
		c.Env = append(os.Environ(), "MODSEAL_TEST_LAYOUT="+dir, "MODSEAL_TEST_WORKER="+strconv.Itoa(i))
		c.Stderr = &outputs[i]
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		commands[i] = c
	}
	done := make(chan struct{})
	read := make(chan error, 1)
	go func() { read <- readUntil(t.Context(), dir, done) }()
	for i, c := range commands {
		if err := c.Wait(); err != nil {
			t.Errorf("process %d: %v\n%s", i, err, outputs[i].String())
		}
	}
	close(done)
	if err := <-read; err != nil {
		t.Errorf("a reader meanwhile: %v", err)
	}

	l, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	subject := newManifest("the subject of all", testArtifact, nil)
	for w := range processes {
		for i := range pushesEach {
			name := fmt.Sprintf("w%d-%d", w, i)
			got, err := l.Resolve(t.Context(), name)
			if want := newManifest(name, testArtifact, &subject.desc).desc; err != nil || got.Digest != want.Digest {
				t.Errorf("%s: %v, %v", name, got.Digest, err)
			}
		}
	}
	if tags := allTags(t, l, ""); len(tags) != processes*pushesEach+1 {
		t.Errorf("%d tags", len(tags))
	}
	if found := allReferrers(t, l, subject.desc, testArtifact); len(found) != processes*pushesEach {
		t.Errorf("%d referrers", len(found))
	}
	noTemps(t, l)
}

func readUntil(ctx context.Context, dir string, done <-chan struct{}) error {
	for seen := false; ; {
		select {
		case <-done:
			return nil
		default:
		}
		l, err := store.Open(dir)
		if !seen && errors.Is(err, errdef.ErrNotFound) {
			continue // not there yet
		}
		if err != nil {
			return err
		}
		seen = true
		err = l.Tags(ctx, "", func([]string) error { return nil })
		_ = l.Close()
		if err != nil {
			return err
		}
	}
}
