package integrity_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/internal/integrity"
)

func descriptor(s string) ocispec.Descriptor {
	return ocispec.Descriptor{Digest: digest.FromString(s), Size: int64(len(s))}
}

func TestReaderPassesTheAnnouncedBytes(t *testing.T) {
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"plain":         func(r io.Reader) io.Reader { return r },
		"byte by byte":  iotest.OneByteReader,
		"data with EOF": iotest.DataErrReader,
	} {
		for _, text := range []string{"", "weights"} {
			got, err := io.ReadAll(integrity.NewReader(wrap(strings.NewReader(text)), descriptor(text), "layer"))
			if err != nil || string(got) != text {
				t.Errorf("%s %q: %q, %v", name, text, got, err)
			}
		}
	}
}

func TestReaderFailsTheLastRead(t *testing.T) {
	for name, tt := range map[string]struct{ sent, announced, says string }{
		"flipped":         {"weighTs", "weights", "its bytes hash to"},
		"short":           {"weigh", "weights", "it ends after 5 of 7 bytes"},
		"long":            {"weights!", "weights", "longer than the 7 bytes announced"},
		"something empty": {"!", "", "longer than the 0 bytes announced"},
	} {
		for _, reader := range []io.Reader{strings.NewReader(tt.sent), iotest.DataErrReader(iotest.OneByteReader(strings.NewReader(tt.sent)))} {
			t.Run(name, func(t *testing.T) {
				v := integrity.NewReader(reader, descriptor(tt.announced), "layer")
				got, err := io.ReadAll(v)
				var bad *integrity.Error
				if !errors.As(err, &bad) || !strings.Contains(err.Error(), tt.says) {
					t.Fatalf("%q, %v", got, err)
				}
				if len(got) > len(tt.announced) {
					t.Fatalf("%d bytes came through", len(got))
				}
				if _, again := v.Read(make([]byte, 1)); again == nil || errors.Is(again, io.EOF) {
					t.Fatal("the error was forgotten")
				}
			})
		}
	}
}

func TestReadAllIsBounded(t *testing.T) {
	_, err := integrity.ReadAll(strings.NewReader("weights"), descriptor("weights"), 6, "manifest")
	var large *integrity.TooLargeError
	if !errors.As(err, &large) {
		t.Fatal(err)
	}
	huge := descriptor("weights")
	huge.Size = 1 << 62
	if _, err := integrity.ReadAll(strings.NewReader("weights"), huge, 1<<20, "manifest"); !errors.As(err, &large) {
		t.Fatal(err)
	}
	got, err := integrity.ReadAll(iotest.OneByteReader(strings.NewReader("weights")), descriptor("weights"), 7, "manifest")
	if err != nil || !bytes.Equal(got, []byte("weights")) {
		t.Fatalf("%q, %v", got, err)
	}
}
