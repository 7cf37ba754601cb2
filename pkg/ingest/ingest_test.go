package ingest_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/ingest"
)

func blob(content string, size int64) ingest.Blob {
	return ingest.Blob{Name: "config.json", MediaType: "x/y", Size: size, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(content)), nil
	}}
}

func TestDigests(t *testing.T) {
	d, err := ingest.Digests{}.Ingest(t.Context(), blob("weights", 7))
	if err != nil {
		t.Fatal(err)
	}
	if d.Digest != digest.FromString("weights") || d.Size != 7 || d.MediaType != "x/y" {
		t.Errorf("got %+v", d)
	}
}

func TestAFileThatChangesIsNoticed(t *testing.T) {
	for _, announced := range []int64{6, 8} {
		_, err := ingest.Digests{}.Ingest(t.Context(), blob("weights", announced))
		var changed *ingest.SizeError
		if !errors.As(err, &changed) || changed.Name != "config.json" {
			t.Errorf("announced %d: %v", announced, err)
		}
	}
}

func TestCancelStopsReading(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	if _, err := (ingest.Digests{}).Ingest(ctx, blob("weights", 7)); !errors.Is(err, why) {
		t.Fatal(err)
	}
}
