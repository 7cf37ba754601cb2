package archive

import (
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// What tools write beside the layout into the same tar, and what is passed over.
var (
	// ignoredFiles: docker save and regctl write the first two for docker load;
	// the others are locks in the directory of a layout that was put into a tar.
	ignoredFiles = map[string]bool{
		"manifest.json": true, "repositories": true,
		".modseal.lock": true, ".modseal-writers.lock": true,
	}
	// directories of a layout. oras has ingest in those that it writes.
	directories = map[string]bool{
		".": true, ocispec.ImageBlobsDir: true,
		ocispec.ImageBlobsDir + "/sha256": true, ocispec.ImageBlobsDir + "/sha512": true,
		"ingest": true, ".modseal-tmp": true, ".modseal-partial": true,
	}
)

// plainName checks what every name must be, and takes away the "./" with which
// tar begins names of what lies in a directory.
func plainName(name string) (string, *fault) {
	switch {
	case name == "":
		return "", refused("it has no name")
	case len(name) > limits.TarNameBytes:
		return "", refused("its name has %d bytes, more than %d", len(name), limits.TarNameBytes)
	case strings.ContainsRune(name, 0):
		return "", refused("its name has a NUL in it")
	case name[0] == '/' || name[0] == '\\' || len(name) > 1 && name[1] == ':':
		return "", refused("its name is absolute")
	}
	for _, part := range strings.FieldsFunc(name, func(r rune) bool { return r == '/' || r == '\\' }) {
		if part == ".." {
			return "", refused("its name leads out of the archive")
		}
	}
	if plain := strings.TrimPrefix(name, "./"); plain != "" {
		return plain, nil
	}
	return ".", nil
}

// blobName returns the digest that the name of a blob is made of.
func blobName(name string) (d digest.Digest, isBlob bool, f *fault) {
	rest, isBlob := strings.CutPrefix(name, ocispec.ImageBlobsDir+"/")
	if !isBlob {
		return "", false, nil
	}
	algorithm, hex, _ := strings.Cut(rest, "/")
	d = digest.Digest(algorithm + ":" + hex)
	if err := artifacttypes.ValidateDigest(d); err != nil || name != entryName(d) {
		return "", true, refused("it lies among the blobs and is not named by a digest")
	}
	return d, true, nil
}

// entryName is the name of the entry of a blob.
func entryName(d digest.Digest) string {
	return path.Join(ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

func checkDirectory(name string, size int64) *fault {
	if size != 0 {
		return refused("it is a directory and has %d bytes", size)
	}
	if !directories[strings.TrimSuffix(name, "/")] {
		return refused("an OCI layout has no such directory")
	}
	return nil
}
