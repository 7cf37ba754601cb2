package e2e_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/rogpeppe/go-internal/testscript"
)

// entry is one file of an archive.
type tarEntry struct {
	header  *tar.Header
	content int64 // where it begins
	begins  int64 // its header
}

// tarEntries lists what is in an archive and where.
func tarEntries(ts *testscript.TestScript, f *os.File) []tarEntry {
	_, err := f.Seek(0, io.SeekStart)
	ts.Check(err)
	var out []tarEntry
	r := tar.NewReader(f)
	for ends := int64(0); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		ts.Check(err)
		at, err := f.Seek(0, io.SeekCurrent)
		ts.Check(err)
		out = append(out, tarEntry{header: h, content: at, begins: ends})
		ends = at + (h.Size+511)/512*512
	}
}

func blobEntry(ts *testscript.TestScript, f *os.File, d digest.Digest) tarEntry {
	for _, e := range tarEntries(ts, f) {
		if e.header.Name == "blobs/"+d.Algorithm().String()+"/"+d.Encoded() {
			return e
		}
	}
	ts.Fatalf("%s has no blob %s", f.Name(), d)
	return tarEntry{}
}

// tamper FILE DIGEST OFFSET changes one byte of a blob in an archive.
func tamper(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 3, neg, "tamper FILE DIGEST OFFSET")
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_RDWR, 0)
	ts.Check(err)
	defer f.Close()
	at := blobEntry(ts, f, parseDigest(ts, args[1])).content + parseSize(ts, args[2])
	var b [1]byte
	_, err = f.ReadAt(b[:], at)
	ts.Check(err)
	b[0] ^= 0xff
	_, err = f.WriteAt(b[:], at)
	ts.Check(err)
}

// swapindex [-foreign] FILE FROM TO makes index.json name the artifact TO where it
// named FROM; -foreign also takes away what the archive says of itself, as if
// another tool had written it.
func swapindex(ts *testscript.TestScript, neg bool, args []string) {
	foreign := len(args) > 0 && args[0] == "-foreign"
	if foreign {
		args = args[1:]
	}
	usage(ts, len(args) == 3, neg, "swapindex [-foreign] FILE FROM TO")
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_RDWR, 0)
	ts.Check(err)
	defer f.Close()
	entries := tarEntries(ts, f)
	last := entries[len(entries)-1]
	if last.header.Name != ocispec.ImageIndexFile {
		ts.Fatalf("the last entry of %s is %s", args[0], last.header.Name)
	}
	raw := make([]byte, last.header.Size)
	_, err = f.ReadAt(raw, last.content)
	ts.Check(err)
	raw, err = json.Marshal(swapped(ts, f, raw, parseDigest(ts, args[1]), parseDigest(ts, args[2]), foreign))
	ts.Check(err)
	ts.Check(f.Truncate(last.begins))
	_, err = f.Seek(last.begins, io.SeekStart)
	ts.Check(err)
	last.header.Size = int64(len(raw))
	w := tar.NewWriter(f)
	ts.Check(w.WriteHeader(last.header))
	_, err = io.Copy(w, bytes.NewReader(raw))
	ts.Check(err)
	ts.Check(w.Close())
}

func swapped(ts *testscript.TestScript, f *os.File, raw []byte, from, to digest.Digest, foreign bool) ocispec.Index {
	var index ocispec.Index
	ts.Check(json.Unmarshal(raw, &index))
	found := false
	for i, d := range index.Manifests {
		if d.Digest == from && len(d.Annotations) > 0 {
			index.Manifests[i].Digest, index.Manifests[i].Size = to, blobEntry(ts, f, to).header.Size
			found = true
		}
	}
	if !found {
		ts.Fatalf("index.json does not name %s", from)
	}
	if foreign {
		index.Manifests = slices.DeleteFunc(index.Manifests, func(d ocispec.Descriptor) bool {
			return d.ArtifactType == "application/vnd.modseal.archive.v1"
		})
	}
	return index
}
