package transfer_test

import (
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/olareg/olareg/config"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/partial"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/transfer"
)

// A manifest that says that a blob has as many bytes as a number can is refused
// before anything is asked for or counted.
func TestImpossibleSizes(t *testing.T) {
	asked := false
	reg := newRegistry(t, config.Config{}, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		asked = true
		w.Header().Set("Content-Length", "3")
		_, _ = io.WriteString(w, "abc")
	})
	repo := reg.repository(t, "team/model", remote.Options{RetryFor: time.Second})
	f := transfer.NewFetcher(repo)
	desc := ocispec.Descriptor{MediaType: "application/x-test", Digest: digest.FromString("abc"), Size: math.MaxInt64}
	if rc, err := f.Fetch(t.Context(), desc); err == nil {
		_, err = io.ReadAll(rc)
		t.Error("read:", err)
	} else if !strings.Contains(err.Error(), "which no blob has") {
		t.Errorf("fetch: %v", err)
	}
	if err := f.Download(t.Context(), desc, endless{}, nil); err == nil || !strings.Contains(err.Error(), "which no blob has") {
		t.Errorf("download: %v", err)
	}
	if asked {
		t.Error("the registry was asked")
	}
}

// endless takes everything, and never has all of it.
type endless struct{}

func (endless) Missing() []partial.Span { return []partial.Span{{Start: 0, End: math.MaxInt64}} }

func (endless) WriteFrom(r io.Reader, _ int64) (int64, error) { return io.Copy(io.Discard, r) }
