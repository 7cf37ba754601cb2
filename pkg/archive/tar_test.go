package archive_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
)

// entry is an entry of a tar, as odd as a test wants it.
type entry struct {
	name string
	data []byte
	kind byte // '0' when it is 0
	// size is what the header says, where that is not the length of data.
	size func(field []byte)
	// edit changes the header before its sum is made.
	edit func(header []byte)
	// spoil changes it afterwards.
	spoil func(header []byte)
}

// header returns the header of e, as GNU tar writes it.
func (e entry) header() []byte {
	h := make([]byte, 512)
	copy(h, e.name)
	copy(h[100:], "0000644\x000000000\x000000000\x00")
	octalSize(int64(len(e.data)))(h[124:136])
	copy(h[136:], "00000000000\x00")
	h[156] = e.kind
	if e.kind == 0 {
		h[156] = '0'
	}
	copy(h[257:], "ustar  \x00")
	if e.size != nil {
		e.size(h[124:136])
	}
	if e.edit != nil {
		e.edit(h)
	}
	copy(h[148:156], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:156], fmt.Sprintf("%06o\x00 ", sum))
	if e.spoil != nil {
		e.spoil(h)
	}
	return h
}

func octalSize(n int64) func([]byte) {
	return func(field []byte) { copy(field, fmt.Sprintf("%011o\x00", n)) }
}

// binarySize is the size as GNU tar writes one of 8 GiB and more.
func binarySize(n uint64) func([]byte) {
	return func(field []byte) {
		clear(field)
		field[0] = 0x80
		binary.BigEndian.PutUint64(field[4:], n)
	}
}

func pax(records ...string) entry {
	var data []byte
	for _, r := range records {
		n := len(r) + 3 // the blank, the newline, and one digit
		for n != len(fmt.Sprintf("%d %s\n", n, r)) {
			n = len(fmt.Sprintf("%d %s\n", n, r))
		}
		data = fmt.Appendf(data, "%d %s\n", n, r)
	}
	return entry{name: "PaxHeaders.0/x", data: data, kind: 'x', edit: func(h []byte) { copy(h[257:], "ustar\x0000") }}
}

func longName(name string) entry {
	return entry{name: "././@LongLink", data: append([]byte(name), 0), kind: 'L'}
}

// tarOf returns a tar of entries, with its end.
func tarOf(entries []entry) []byte {
	var b bytes.Buffer
	for _, e := range entries {
		b.Write(e.header())
		b.Write(e.data)
		b.Write(make([]byte, (512-len(e.data)%512)%512))
	}
	b.Write(make([]byte, 1024))
	return b.Bytes()
}

// small is a layout of one artifact with one layer, as a list of entries.
type small struct {
	layer, config, manifest []byte
	index                   ocispec.Index
	raw                     []byte // of index.json, when it is not that of index
	others                  []entry
}

func newSmall() *small {
	s := &small{layer: []byte("the layer"), config: []byte("{}")}
	s.manifest = mustJSON(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifacttypes.ArtifactTypeModel,
		Config: ocispec.Descriptor{MediaType: artifacttypes.MediaTypeModelConfig, Digest: digest.FromBytes(s.config), Size: int64(len(s.config))},
		Layers: []ocispec.Descriptor{{
			MediaType: "application/vnd.cncf.model.weight.v1.raw", Digest: digest.FromBytes(s.layer), Size: int64(len(s.layer)),
			Annotations: map[string]string{artifacttypes.AnnotationFilePath: "model.bin"},
		}},
	})
	s.index = ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	s.add(s.entryOf(map[string]string{ocispec.AnnotationRefName: "v1", artifacttypes.AnnotationImageName: "example.com/team/llama:v1"}))
	return s
}

func (s *small) add(d ocispec.Descriptor) { s.index.Manifests = append(s.index.Manifests, d) }

// entryOf is the entry of index.json for the manifest.
func (s *small) entryOf(annotations map[string]string) ocispec.Descriptor {
	return ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifacttypes.ArtifactTypeModel,
		Digest: digest.FromBytes(s.manifest), Size: int64(len(s.manifest)), Annotations: annotations,
	}
}

// push adds a manifest and lists it.
func (s *small) push(raw []byte, mediaType, artifactType string, annotations map[string]string) ocispec.Descriptor {
	s.others = append(s.others, blobOf(raw))
	d := ocispec.Descriptor{MediaType: mediaType, ArtifactType: artifactType, Digest: digest.FromBytes(raw), Size: int64(len(raw)), Annotations: annotations}
	s.add(d)
	return d
}

// own adds an archive's own manifest with these contents; edit changes it first.
func (s *small) own(contents string, edit func(*ocispec.Manifest)) {
	raw := []byte(contents)
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifacttypes.ArtifactTypeArchive,
		Config: ocispec.DescriptorEmptyJSON,
		Layers: []ocispec.Descriptor{{MediaType: artifacttypes.MediaTypeArchiveContents, Digest: digest.FromBytes(raw), Size: int64(len(raw))}},
	}
	m.Config.Data = nil
	s.others = append(s.others, blobOf(raw))
	if edit != nil {
		edit(&m)
	}
	s.push(mustJSON(m), ocispec.MediaTypeImageManifest, artifacttypes.ArtifactTypeArchive, nil)
}

// says returns contents that are right; edit changes them.
func (s *small) says(edit func(*map[string]any)) string {
	artifact := map[string]any{
		"name": "example.com/team/llama:v1", "digest": digest.FromBytes(s.manifest),
		"mediaType": ocispec.MediaTypeImageManifest, "size": len(s.manifest),
	}
	if edit != nil {
		edit(&artifact)
	}
	return string(mustJSON(map[string]any{
		"mediaType": artifacttypes.MediaTypeArchiveContents, "tool": map[string]string{"name": "modseal", "version": "1"},
		"artifacts": []any{artifact},
	}))
}

func blobOf(raw []byte) entry {
	return entry{name: "blobs/sha256/" + digest.FromBytes(raw).Encoded(), data: raw}
}

// entries returns the entries in the order that modseal writes.
func (s *small) entries() []entry {
	raw := s.raw
	if raw == nil {
		raw = mustJSON(s.index)
	}
	list := []entry{{name: "oci-layout", data: []byte(`{"imageLayoutVersion":"1.0.0"}`)}}
	list = append(list, blobOf(s.layer), blobOf(s.config), blobOf(s.manifest))
	list = append(list, s.others...)
	return append(list, entry{name: "index.json", data: raw})
}

// offset returns where the header of the entry of this name begins in the tar.
func offset(entries []entry, name string) int64 {
	at := 0
	for _, e := range entries {
		if e.name == name {
			return int64(at)
		}
		at += 512 + (len(e.data)+511)/512*512
	}
	return -1
}

func mustJSON(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

// put writes a file and returns its name.
func put(t testing.TB, name string, raw []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// insert puts entries before that of the given name.
func insert(list []entry, before string, more ...entry) []entry {
	i := slices.IndexFunc(list, func(e entry) bool { return e.name == before })
	return slices.Insert(list, i, more...)
}

// change changes the entry of the given name.
func change(list []entry, name string, edit func(*entry)) []entry {
	i := slices.IndexFunc(list, func(e entry) bool { return e.name == name })
	edit(&list[i])
	return list
}
