package archive

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
)

// tape is a tar file as it is laid out: bytes that are known, and windows for
// blobs between them.
type tape struct {
	size    int64
	fixed   []fixed
	blobs   []placed
	entries hash.Hash // over what there is, and where; nil before the first entry
	copied  int64     // bytes of fixed that come from another archive
}

// fixed is a run of known bytes.
type fixed struct {
	at  int64
	raw []byte
}

// placed is a blob with the offset of its first byte.
type placed struct {
	InputBlob

	at int64
}

// tarBlock is what everything in a tar file is a multiple of.
const tarBlock = 512

// write adds known bytes.
func (t *tape) write(raw []byte) {
	if last := len(t.fixed) - 1; last >= 0 && t.fixed[last].at+int64(len(t.fixed[last].raw)) == t.size {
		t.fixed[last].raw = append(t.fixed[last].raw, raw...)
	} else {
		t.fixed = append(t.fixed, fixed{t.size, slices.Clone(raw)})
	}
	t.size += int64(len(raw))
}

// window leaves room for a blob.
func (t *tape) window(b InputBlob) {
	t.blobs = append(t.blobs, placed{b, t.size})
	t.size += b.Descriptor.Size
}

// pad fills the last block of an entry.
func (t *tape) pad() { t.write(make([]byte, -t.size&(tarBlock-1))) }

// header adds the header of a file: GNU's, since its field for the size has room
// for more than 8 GiB, where others need an entry before it that not every reader
// looks at (registries.md §7.2).
func (t *tape) header(name string, size int64) error {
	var buf bytes.Buffer
	err := tar.NewWriter(&buf).WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: name, Size: size, Mode: int64(artifacttypes.ModeRegular),
		ModTime: time.Unix(0, 0), Format: tar.FormatGNU,
	})
	t.write(buf.Bytes())
	t.note(name, size)
	return err
}

// note takes note of an entry, whose bytes come next.
func (t *tape) note(name string, size int64) {
	if t.entries == nil {
		t.entries = sha256.New()
	}
	fmt.Fprintf(t.entries, "%q %d %d\n", name, size, t.size)
}

// file adds an entry whose bytes are known.
func (t *tape) file(name string, raw []byte) error {
	if err := t.header(name, int64(len(raw))); err != nil {
		return err
	}
	t.write(raw)
	t.pad()
	return nil
}

// blob adds an entry for a blob.
func (t *tape) blob(b InputBlob) error {
	name := blobEntry(b.Descriptor.Digest)
	if b.Bring == nil {
		return t.file(name, b.raw)
	}
	if err := t.header(name, b.Descriptor.Size); err != nil {
		return err
	}
	t.window(b)
	t.pad()
	return nil
}

// end adds what marks the end of a tar file.
func (t *tape) end() { t.write(make([]byte, 2*tarBlock)) }

// key identifies what lies where, in parts of one size or, with 0, in one file. The
// known bytes themselves are written by every call anew.
func (t *tape) key(partSize int64) digest.Digest {
	h := sha256.New()
	fmt.Fprintf(h, "%d %d\n", t.size, partSize)
	if t.entries != nil {
		h.Write(t.entries.Sum(nil))
	}
	return digest.NewDigest(digest.SHA256, h)
}

func blobEntry(d digest.Digest) string {
	return ocispec.ImageBlobsDir + "/" + d.Algorithm().String() + "/" + d.Encoded()
}

// layOut puts everything in its place.
func (b *builder) layOut() (*Plan, error) {
	p := &Plan{digest: b.own.Digest, manifests: len(b.manifests)}
	t := &p.tape
	if err := t.file(ocispec.ImageLayoutFile, []byte(`{"imageLayoutVersion":`+strconv.Quote(ocispec.ImageLayoutVersion)+`}`)); err != nil {
		return nil, err
	}
	for _, d := range slices.Sorted(maps.Keys(b.blobs)) {
		if err := t.blob(b.blobs[d]); err != nil {
			return nil, err
		}
	}
	for _, n := range b.sorted() {
		if err := t.file(blobEntry(n.desc.Digest), n.raw); err != nil {
			return nil, err
		}
	}
	index, err := b.index()
	if err != nil {
		return nil, err
	}
	if err := t.file(ocispec.ImageIndexFile, index); err != nil {
		return nil, err
	}
	t.end()
	return p, nil
}
