//go:build unix

package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/olareg/olareg/config"
	"oras.land/oras-go/v2/registry"

	"github.com/modseal/modseal/pkg/fileid"
	"github.com/modseal/modseal/pkg/ingest"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/transfer"
)

// TestKilledUpload: SIGKILL in the middle of an upload leaves a journal, with
// which the next process goes on, and that one leaves nothing.
func TestKilledUpload(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range transfer.Modes() {
		t.Run(string(mode), func(t *testing.T) {
			const have = 9*mib + 12345
			reg := newRegistry(t, config.Config{}, nil)
			raw := randomBytes(24 * mib)
			name, state := filepath.Join(t.TempDir(), "weights.bin"), t.TempDir()
			if err := os.WriteFile(name, raw, 0o600); err != nil {
				t.Fatal(err)
			}
			waitSettled(t, name)
			c := exec.CommandContext(t.Context(), self)
			c.Env = append(os.Environ(), "MODSEAL_TEST_UPLOAD="+name, "MODSEAL_TEST_STATE="+state, "MODSEAL_TEST_HOST="+reg.host, "MODSEAL_TEST_MODE="+string(mode))
			var output bytes.Buffer
			c.Stdout, c.Stderr = &output, &output
			// The process is killed as soon as the registry has so many bytes.
			var had atomic.Int64
			started := make(chan struct{})
			reg.setFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				left := have - had.Load()
				if (r.Method == http.MethodPatch || r.Method == http.MethodPut) && r.ContentLength > left {
					r.Body = brokenBody(r.Body, left)
					next.ServeHTTP(httptest.NewRecorder(), r)
					<-started
					_ = c.Process.Kill()
					panic(http.ErrAbortHandler)
				}
				if r.ContentLength > 0 {
					had.Add(r.ContentLength)
				}
				next.ServeHTTP(w, r)
			})
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			close(started)
			err := c.Wait()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("it was not killed: %v\n%s", err, output.String())
			}
			files := left(t, state)
			if len(files) != 1 || !strings.HasSuffix(files[0], ".json") {
				t.Fatalf("left behind: %v", files)
			}
			reg.setFault(nil)
			reg.forget()
			repo := reg.repository(t, "team/model", remote.Options{})
			p := newReporter()
			u := transfer.NewUploader(repo, transfer.UploadOptions{Mode: mode, ChunkBytes: 4 * mib, StateDir: state, Progress: p})
			if _, err := u.Ingest(t.Context(), identified(t, name)); err != nil {
				t.Fatal(err)
			}
			stored(t, repo, raw)
			if sent := reg.bytesReceived(); sent != int64(len(raw))-have {
				t.Errorf("%d bytes were sent, want %d: %s", sent, len(raw)-have, reg.methods())
			}
			if s := u.Stats(); s.Resumed != have || s.Sent != int64(len(raw))-have {
				t.Errorf("stats: %+v", s)
			}
			if p.moved["weights.bin"] != int64(len(raw)) {
				t.Errorf("progress: %d", p.moved["weights.bin"])
			}
			if files := left(t, state); len(files) != 0 {
				t.Errorf("left behind: %v", files)
			}
		})
	}
}

// waitSettled waits until a change of the file would show.
func waitSettled(t *testing.T, name string) {
	t.Helper()
	for {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if id, trusted := fileid.Of(info); !trusted || id.Settled() {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func identified(t *testing.T, name string) ingest.Blob {
	t.Helper()
	b, err := blobOf(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func blobOf(name string) (ingest.Blob, error) {
	info, err := os.Stat(name)
	if err != nil {
		return ingest.Blob{}, err
	}
	id, _ := fileid.Of(info)
	return ingest.Blob{
		Name: "weights.bin", MediaType: "application/x-test", Size: info.Size(), Identity: id.String(),
		Open: func() (io.ReadCloser, error) { return os.Open(name) },
	}, nil
}

// init makes the test binary the process that is killed.
func init() {
	name := os.Getenv("MODSEAL_TEST_UPLOAD")
	if name == "" {
		return
	}
	fmt.Fprintln(os.Stderr, "still alive:", uploadAndDie(name))
	os.Exit(1)
}

func uploadAndDie(name string) error {
	c, err := remote.NewClient(remote.Options{RetryFor: 10 * time.Second})
	if err != nil {
		return err
	}
	repo, err := c.Repository(registry.Reference{Registry: os.Getenv("MODSEAL_TEST_HOST"), Repository: "team/model"})
	if err != nil {
		return err
	}
	blob, err := blobOf(name)
	if err != nil {
		return err
	}
	_, err = transfer.NewUploader(repo, transfer.UploadOptions{
		Mode: transfer.Mode(os.Getenv("MODSEAL_TEST_MODE")), ChunkBytes: 4 * mib, StateDir: os.Getenv("MODSEAL_TEST_STATE"),
	}).Ingest(context.Background(), blob)
	return err
}
