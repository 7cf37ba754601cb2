package inventory_test

import (
	"encoding/json"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/inventory"
)

// FuzzParse holds: whatever is read can be written and read again, with the same
// content.
func FuzzParse(f *testing.F) {
	inv := sample(3)
	s, err := inv.Text()
	if err != nil {
		f.Fatal(err)
	}
	codes, err := inv.Codes()
	if err != nil {
		f.Fatal(err)
	}
	raw, err := json.Marshal(inv)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(s))
	f.Add([]byte(codes[0]))
	f.Add(raw)
	f.Add([]byte("MODSEAL INVENTORY 1 LINES 0\nEND: 0000 0000 00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		inv, err := inventory.Parse(data)
		if err != nil {
			return
		}
		again, err := inv.Text()
		if err != nil {
			t.Fatalf("no text: %v", err)
		}
		same, err := inventory.Parse([]byte(again))
		if err != nil {
			t.Fatalf("its text cannot be read: %v\n%s", err, again)
		}
		if inv.Len() != same.Len() {
			t.Fatalf("%d entries became %d", inv.Len(), same.Len())
		}
		for _, b := range inv.Blobs {
			if !same.Set().Has(ocispec.Descriptor{Digest: b.Digest}) {
				t.Fatalf("%s was lost", b.Digest)
			}
		}
	})
}
