//go:build unix

package modseal

import (
	"path/filepath"
	"testing"
)

// All commands name a directory alike in their results.
func TestDirectoriesAreNamedAlike(t *testing.T) {
	c, dir := newClient(t), makeModel(t)
	want := "dir:" + dir
	scanned, err := c.Scan(t.Context(), dir, ScanOptions{})
	if err != nil || scanned.Reference != want {
		t.Errorf("scan: %+v, %v", scanned, err)
	}
	inspected, err := c.Inspect(t.Context(), dir, InspectOptions{})
	if err != nil || inspected.Reference != want {
		t.Errorf("inspect: %+v, %v", inspected, err)
	}
	sbom, err := c.SBOM(t.Context(), dir, SBOMOptions{})
	if err != nil || sbom.Reference != want {
		t.Errorf("sbom: %+v, %v", sbom, err)
	}
	file, err := c.Scan(t.Context(), filepath.Join(dir, "config.json"), ScanOptions{})
	if err != nil || file.Reference != want+"/config.json" {
		t.Errorf("scan of a file: %+v, %v", file, err)
	}
}
