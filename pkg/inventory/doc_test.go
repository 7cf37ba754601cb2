package inventory_test

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/inventory"
)

// The examples of docs/inventory.md are what the format is.
func TestDocumentedExamples(t *testing.T) {
	var blobs []inventory.Blob
	for _, s := range []string{"1", "2", "3", "4"} {
		blobs = append(blobs, inventory.Blob{Digest: digest.FromString(s), Size: 1 << 20})
	}
	inv := inventory.New([]inventory.Artifact{{Name: "registry.site.example/ml/llama:v1", Digest: digest.FromString("a")}}, blobs)
	page, err := os.ReadFile("../../docs/inventory.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := text(t, inv); !strings.Contains(string(page), want) {
		t.Errorf("docs/inventory.md does not show\n%s", want)
	}
	codes, err := inv.Codes()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), codes[0]) {
		t.Errorf("docs/inventory.md does not show\n%s", codes[0])
	}
}
