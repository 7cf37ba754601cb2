package materialize_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/materialize"
)

func three(t testing.TB) *model {
	return newModel(t, raw("a.bin", strings.Repeat("a", 3000)), raw("b.bin", strings.Repeat("b", 2000)), raw("z/last.bin", strings.Repeat("z", 1000)))
}

// One bad layer: no file gets its name, what was verified is kept and used.
func TestNothingBeforeEverythingIsGood(t *testing.T) {
	m := three(t)
	last := m.verified.Model().Layers[2].Descriptor
	flip(t, m.blobFile(last.Digest))
	dir := t.TempDir()
	_, err := m.pull(t, dir, materialize.Options{Concurrency: 1})
	var bad *integrity.Error
	if !errors.As(err, &bad) || bad.Want != last.Digest {
		t.Fatalf("%v", err)
	}
	wantNothing(t, dir)
	var incomplete *materialize.IncompleteError
	if !errors.As(err, &incomplete) || incomplete.Kept != 2 || incomplete.Bytes != 5000 {
		t.Errorf("what is kept: %v", err)
	}
	if !strings.Contains(err.Error(), filepath.Join(dir, materialize.StagingName)) {
		t.Errorf("the error does not say where: %v", err)
	}
	m.source.count()
	flip(t, m.blobFile(last.Digest)) // back
	r := m.mustPull(t, dir, materialize.Options{})
	if n := m.source.count(); n != 1 || r.BytesFetched != last.Size {
		t.Errorf("%d fetches, %d bytes after two of three layers were kept", n, r.BytesFetched)
	}
	if _, err := os.Stat(filepath.Join(dir, materialize.StagingName)); err == nil {
		t.Error("the staging directory is still there")
	}
	if len(tree(t, dir)) != 3 {
		t.Errorf("%v", tree(t, dir))
	}
}

// What was kept is only a name until its bytes are hashed again.
func TestKeptLayersAreVerifiedAgain(t *testing.T) {
	m := three(t)
	layers := m.verified.Model().Layers
	flip(t, m.blobFile(layers[2].Descriptor.Digest))
	dir := t.TempDir()
	if _, err := m.pull(t, dir, materialize.Options{Concurrency: 1}); err == nil {
		t.Fatal("a flipped byte passed")
	}
	flip(t, m.blobFile(layers[2].Descriptor.Digest))
	kept := filepath.Join(dir, materialize.StagingName, "sha256-"+layers[0].Descriptor.Digest.Encoded())
	flip(t, kept)
	// And one that is a link to a file elsewhere.
	secret := filepath.Join(t.TempDir(), "b")
	put(t, filepath.Dir(secret), "b", strings.Repeat("b", 2000))
	second := filepath.Join(dir, materialize.StagingName, "sha256-"+layers[1].Descriptor.Digest.Encoded())
	if err := errors.Join(os.Remove(second), os.Symlink(secret, second)); err != nil {
		t.Fatal(err)
	}
	m.mustPull(t, dir, materialize.Options{})
	if got := tree(t, dir); got["a.bin"] != strings.Repeat("a", 3000) || got["b.bin"] != strings.Repeat("b", 2000) {
		t.Errorf("%v", got)
	}
}

func TestTheFirstRealErrorIsReported(t *testing.T) {
	var layers []layer
	for i := range 20 {
		layers = append(layers, raw(fmt.Sprintf("f%02d", i), strings.Repeat(fmt.Sprint(i), 10_000)))
	}
	m := newModel(t, layers...)
	broken := errors.New("the line is cut")
	var started atomic.Int32
	m.source.on = func(ctx context.Context, _ ocispec.Descriptor, rc io.ReadCloser) (io.ReadCloser, error) {
		if started.Add(1) == 3 {
			return nil, broken
		}
		// The others hang until they are told to stop.
		return struct {
			io.Reader
			io.Closer
		}{untilDone{ctx}, rc}, nil
	}
	dir := t.TempDir()
	_, err := m.pull(t, dir, materialize.Options{})
	if !errors.Is(err, broken) || errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if n := started.Load(); n > 5 {
		t.Errorf("%d layers were begun", n)
	}
	wantNothing(t, dir)
}

type untilDone struct {
	ctx context.Context
}

func (u untilDone) Read([]byte) (int, error) { <-u.ctx.Done(); return 0, u.ctx.Err() }

func TestCancelLeavesNoFile(t *testing.T) {
	m := three(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupted := errors.New("interrupted")
	var once sync.Once
	m.source.on = func(_ context.Context, desc ocispec.Descriptor, rc io.ReadCloser) (io.ReadCloser, error) {
		if desc.Size == 1000 {
			once.Do(func() { cancel(interrupted) })
		}
		return rc, nil
	}
	dir := t.TempDir()
	_, err := materialize.Materialize(ctx, m.verified, m.source, dir, materialize.Options{Concurrency: 1, StateFile: m.record})
	if !errors.Is(err, interrupted) {
		t.Errorf("%v", err)
	}
	wantNothing(t, dir)
	for name := range tree(t, dir) {
		if strings.Contains(name, "part-") {
			t.Errorf("%s was left", name)
		}
	}
	if _, err := os.Stat(m.record); err == nil {
		t.Error("a record was written")
	}
	m.source.on = nil
	m.mustPull(t, dir, materialize.Options{})
}

// A disk that is too small is noticed before the first byte.
func TestDiskTooSmall(t *testing.T) {
	huge := raw("huge.bin", "x")
	huge.desc.Annotations = map[string]string{"org.cncf.model.filepath": "huge.bin"}
	m := storeModel(t, huge)
	// The manifest announces as much as a blob can have, and so more than the disk.
	m.manifest = []byte(strings.Replace(string(m.manifest), `","size":1,"annotations"`, `","size":70368744177664,"annotations"`, 1))
	m.desc.Digest, m.desc.Size = m.desc.Digest.Algorithm().FromBytes(m.manifest), int64(len(m.manifest))
	m.verified = verified(t, m)
	dir := t.TempDir()
	_, err := m.pull(t, dir, materialize.Options{})
	var full *materialize.DiskFullError
	if !errors.As(err, &full) || full.Need != artifacttypes.MaxBlobBytes || full.Free <= 0 {
		t.Fatalf("%v", err)
	}
	if m.source.count() != 0 {
		t.Error("it was fetched all the same")
	}
	wantTree(t, dir, map[string]string{})
}

// Two pulls into one directory at the same time: one does the work.
func TestTwoPullsAtOnce(t *testing.T) {
	m := small(t)
	dir := t.TempDir()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			v := m.verified
			if _, err := materialize.Materialize(t.Context(), v, m.source, dir, materialize.Options{StateFile: m.record}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	wantTree(t, dir, smallTree)
	if n := m.source.count(); n != 4 {
		t.Errorf("%d fetches", n)
	}
}
