package archive_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/archive"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// hostile is an archive that must not be opened.
type hostile struct {
	name string
	make func(s *small) []byte
	// What the error says: the entry, and what is wrong with it.
	entry, what string
	damaged     bool
}

// with adds entries before index.json.
func with(more ...entry) func(*small) []byte {
	return func(s *small) []byte { return tarOf(insert(s.entries(), "index.json", more...)) }
}

// changed changes the entry of the layer.
func changed(edit func(*entry)) func(*small) []byte {
	return func(s *small) []byte {
		list := s.entries()
		return tarOf(change(list, blobOf(s.layer).name, edit))
	}
}

// indexed writes another index.json.
func indexed(raw string) func(*small) []byte {
	return func(s *small) []byte {
		s.raw = []byte(raw)
		return tarOf(s.entries())
	}
}

func owned(make func(*small)) func(*small) []byte {
	return func(s *small) []byte {
		make(s)
		return tarOf(s.entries())
	}
}

const (
	layerName = "blobs/sha256/286aab53bbc3bbb3f2bda81635fa21668f15308f1cc98cab1b315d84b8a75d97"
	someBlob  = "blobs/sha256/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	indexName = "index.json"
)

func hostileEntries() []hostile {
	return []hostile{
		{name: "an absolute name", make: with(entry{name: "/etc/cron.d/x"}), entry: "/etc/cron.d/x", what: "absolute"},
		{name: "a drive", make: with(entry{name: `C:\x`}), entry: `C:\x`, what: "absolute"},
		{name: "a backslash first", make: with(entry{name: `\x`}), entry: `\x`, what: "absolute"},
		{name: "out of the archive", make: with(entry{name: "blobs/../../x"}), entry: "blobs/../../x", what: "leads out"},
		{name: "out by backslashes", make: with(entry{name: `blobs\..\..\x`}), entry: `blobs\..\..\x`, what: "leads out"},
		{name: "dots in the middle", make: with(entry{name: "blobs/sha256/../sha256/x"}), entry: "blobs/sha256/../sha256/x", what: "leads out"},
		{name: "no name", make: with(entry{name: ""}), what: "has no name"},
		{name: "a hard link", make: with(entry{name: someBlob, kind: '1'}), entry: someBlob, what: "a hard link"},
		{name: "a symbolic link", make: with(entry{name: someBlob, kind: '2', edit: func(h []byte) { copy(h[157:], "/etc/passwd") }}), entry: someBlob, what: "a symbolic link"},
		{name: "a character device", make: with(entry{name: someBlob, kind: '3'}), entry: someBlob, what: "a character device"},
		{name: "a block device", make: with(entry{name: someBlob, kind: '4'}), entry: someBlob, what: "a block device"},
		{name: "a fifo", make: with(entry{name: someBlob, kind: '6'}), entry: someBlob, what: "a fifo"},
		{name: "a sparse file of GNU tar", make: with(entry{name: someBlob, kind: 'S'}), entry: someBlob, what: "a sparse file"},
		{name: "a sparse file by PAX", make: with(pax("GNU.sparse.major=1", "GNU.sparse.realsize=9"), entry{name: someBlob}), what: "sparse"},
		{name: "a global header", make: with(entry{name: "pax_global_header", kind: 'g'}), entry: "pax_global_header", what: "a global extended header"},
		{name: "an unknown type", make: with(entry{name: someBlob, kind: 'Z'}), entry: someBlob, what: `of type 'Z'`},
		{name: "a foreign file", make: with(entry{name: "install.sh"}), entry: "install.sh", what: "no such file"},
		{name: "a foreign file deep down", make: with(entry{name: "modseal/root.json"}), entry: "modseal/root.json", what: "no such file"},
		{name: "a foreign directory", make: with(entry{name: "bin/", kind: '5'}), entry: "bin/", what: "no such directory"},
		{name: "a directory with content", make: with(entry{name: "blobs/", kind: '5', data: []byte("x")}), entry: "blobs/", what: "directory and has 1 bytes"},
		{name: "a blob twice", make: with(entry{name: layerName, data: []byte("other")}), entry: layerName, what: "twice"},
		{name: "a blob twice, with a dot", make: with(entry{name: "./" + layerName}), entry: "./" + layerName, what: "twice"},
		{name: "a file as a blob", make: with(entry{name: "blobs/sha256/x"}), entry: "blobs/sha256/x", what: "not named by a digest"},
		{name: "a blob by a weak hash", make: with(entry{name: "blobs/md5/d41d8cd98f00b204e9800998ecf8427e"}), what: "not named by a digest"},
		{name: "a digest in capitals", make: with(entry{name: strings.ToUpper(someBlob)}), what: "no such file"},
		{name: "hex in capitals", make: with(entry{name: "blobs/sha256/E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"}), what: "not named by a digest"},
		{name: "below a digest", make: with(entry{name: someBlob + "/x"}), what: "not named by a digest"},
		{name: "a digest as a directory", make: with(entry{name: someBlob + "/"}), what: "not named by a digest"},
		{name: "an over-long name", make: with(longName(strings.Repeat("a", limits.TarNameBytes+1)), entry{name: "x"}), what: "more than 1024"},
		{name: "an over-long name by PAX", make: with(pax("path="+strings.Repeat("a", limits.TarNameBytes+1)), entry{name: "x"}), what: "more than 1024"},
		{name: "a NUL in a name by PAX", make: with(pax("path=index.json\x00x"), entry{name: "x"}), what: "NUL"},
		{name: "a name by PAX and by GNU", make: with(pax("path="+someBlob), longName(someBlob), entry{name: "x"}), what: "two extended headers give it a name"},
		{name: "two PAX headers", make: with(pax("path="+someBlob), pax("size=0"), entry{name: "x"}), what: "two extended headers are about one entry"},
		{name: "two names in one PAX header", make: with(pax("path="+someBlob, "path=x"), entry{name: "x"}), what: "no name, or two"},
		{name: "a PAX header about nothing", make: func(s *small) []byte { return tarOf(append(s.entries(), pax("size=0"))) }, what: "about no entry"},
		{name: "a large PAX header", make: with(pax("comment="+strings.Repeat("a", limits.TarPAXBytes)), entry{name: someBlob}), what: "more than 65536"},
		{name: "a PAX record that is too long", make: with(entry{name: "x", kind: 'x', data: []byte("99 path=x\n")}, entry{name: someBlob}), what: "a record of a wrong length"},
		{name: "a PAX record without an end", make: with(entry{name: "x", kind: 'x', data: []byte("9 path=xy")}, entry{name: someBlob}), what: "a record of a wrong length"},
		{name: "a PAX record without a length", make: with(entry{name: "x", kind: 'x', data: []byte("path=x\n")}, entry{name: someBlob}), what: "without a length"},
	}
}

// hostileHeaders are those that readers take for different things, or that only some
// of them read.
func hostileHeaders() []hostile {
	edit := func(at int, text string) func(*small) []byte {
		return changed(func(e *entry) { e.edit = func(h []byte) { copy(h[at:], text) } })
	}
	inPAX := func(record string) func(*small) []byte { return with(pax(record), entry{name: someBlob}) }
	const notANumber, noNumber = "0000x00\x00", "is no number"
	return []hostile{
		{name: "text in the place of a time", make: edit(345, "evil"), entry: layerName, what: "something where GNU tar has times"},
		{name: "a time where others have a prefix", make: edit(345, "00000000000\x00"), entry: layerName, what: "something where GNU tar has times"},
		{name: "a time that is too large", make: edit(345, "00000000000\x00\x80\x01"), entry: layerName, what: "something where GNU tar has times"},
		{name: "a header of star", make: changed(func(e *entry) {
			e.edit = func(h []byte) {
				copy(h[257:], "ustar\x0000")
				copy(h[508:], "tar\x00")
			}
		}), entry: layerName, what: "one of star"},
		{name: "a mode that is no number", make: edit(100, notANumber), entry: layerName, what: `its mode "0000x00\x00" ` + noNumber},
		{name: "a user ID that is no number", make: edit(108, notANumber), entry: layerName, what: "its user ID"},
		{name: "a group ID that is no number", make: edit(116, notANumber), entry: layerName, what: "its group ID"},
		{name: "a time that is no number", make: edit(136, "yesterday\x00"), entry: layerName, what: "its modification time"},
		{name: "a major number that is none", make: edit(329, notANumber), entry: layerName, what: "its major device number"},
		{name: "a minor number that is none", make: edit(337, notANumber), entry: layerName, what: "its minor device number"},
		{name: "a number with a sign", make: edit(108, "-000001\x00"), entry: layerName, what: noNumber},
		{name: "a number that is two", make: edit(108, "11 22 3\x00"), entry: layerName, what: noNumber},
		{name: "a number that is blank", make: edit(108, "        "), entry: layerName, what: noNumber}, // GNU tar fails at it
		{name: "a number behind a NUL", make: edit(108, "\x00000001\x00"), entry: layerName, what: noNumber},
		{name: "a binary number of neither sign", make: edit(108, "\x81\x00\x00\x00\x00\x00\x00\x01"), entry: layerName, what: noNumber},
		{name: "a binary time of 64 bits", make: edit(136, "\x80\x00\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00"), entry: layerName, what: noNumber},
		{name: "a binary time of more than 64 bits", make: edit(136, "\x80\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"), entry: layerName, what: noNumber},
		{name: "a binary time that is too small", make: edit(136, "\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff"), entry: layerName, what: noNumber},
		{name: "a mode of an extended header that is no number", make: with(entry{name: "x", kind: 'x', edit: func(h []byte) { copy(h[100:], notANumber) }}, entry{name: someBlob}), entry: "x", what: "its mode"},
		{name: "a PAX record without a name", make: inPAX("=x"), what: `a record whose name is ""`},
		{name: "a PAX record with a NUL in its name", make: inPAX("SCHILY.xattr.\x00=x"), what: `a record whose name is "SCHILY.xattr.\x00"`},
		{name: "a NUL in the name of a link by PAX", make: inPAX("linkpath=x\x00"), what: "a record linkpath with a NUL in it"},
		{name: "a NUL in a user by PAX", make: inPAX("uname=x\x00"), what: "a record uname with a NUL in it"},
		{name: "a NUL in a group by PAX", make: inPAX("gname=x\x00"), what: "a record gname with a NUL in it"},
		{name: "a user ID by PAX that is no number", make: inPAX("uid=0x1"), what: `a record uid of "0x1", which ` + noNumber},
		{name: "a group ID by PAX that is no number", make: inPAX("gid=9223372036854775808"), what: "a record gid of"},
		{name: "a time by PAX that is no number", make: inPAX("mtime=yesterday"), what: "a record mtime of"},
		{name: "a time by PAX without seconds", make: inPAX("atime=.5"), what: "a record atime of"},
		{name: "a time by PAX with two points", make: inPAX("ctime=1.5.2"), what: "a record ctime of"},
	}
}

func hostileSizes() []hostile {
	size := func(f func([]byte)) func(*small) []byte { return changed(func(e *entry) { e.size = f }) }
	return []hostile{
		{name: "a sparse file of star", make: with(pax("SCHILY.realsize=10"), entry{name: someBlob}), what: "sparse file"},
		{name: "a size beyond the end", make: size(octalSize(1 << 30)), entry: layerName, what: "behind the end", damaged: true},
		{name: "a size of 8 GiB that is not there", make: size(binarySize(8 << 30)), entry: layerName, what: "behind the end", damaged: true},
		{name: "the largest size", make: size(binarySize(1<<63 - 1)), entry: layerName, what: "larger than any blob"},
		{name: "a size that is no int64", make: size(binarySize(1 << 63)), entry: layerName, what: "larger than any blob"},
		{name: "a size of more than 64 bits", make: size(func(f []byte) { f[0], f[1] = 0x80, 1 }), entry: layerName, what: "larger than any file"},
		{name: "a negative size", make: size(func(f []byte) { copy(f, bytes.Repeat([]byte{0xff}, 12)) }), entry: layerName, what: "negative"},
		{name: "a size that is no number", make: size(func(f []byte) { copy(f, "0000000001x\x00") }), entry: layerName, what: "no number"},
		{name: "a size with a sign", make: size(func(f []byte) { copy(f, "-0000000001\x00") }), entry: layerName, what: "no number"},
		{name: "a size that is two", make: size(func(f []byte) { copy(f, "11 22 33\x00\x00\x00\x00") }), entry: layerName, what: "no number"},
		{name: "another size by PAX", make: with(pax("size=512"), entry{name: someBlob}), entry: someBlob, what: "header has a size of 0 bytes and its extended header one of 512"},
		{name: "a size that is too small", make: size(octalSize(0)), what: "no header of an entry here", damaged: true},
		{name: "two sizes by PAX", make: with(pax("size=0", "size=0"), entry{name: someBlob}), what: "or two"},
		{name: "a size by PAX that is negative", make: with(pax("size=-1"), entry{name: someBlob}), what: `a size of "-1"`},
		{name: "a size by PAX that no blob has", make: with(pax("size=9223372036854775807"), entry{name: someBlob}), what: "larger than any blob"},
		{name: "a wrong sum", make: changed(func(e *entry) { e.spoil = func(h []byte) { h[0] ^= 1 } }), what: "the sum of its header", damaged: true},
		{name: "a sum that is no number", make: changed(func(e *entry) { e.spoil = func(h []byte) { copy(h[148:], "xxxxxxxx") } }), what: "no header of an entry here", damaged: true},
		{name: "a header of another format", make: changed(func(e *entry) { e.edit = func(h []byte) { clear(h[257:265]) } }), what: "neither of POSIX nor of GNU"},
		{name: "no tar at all", make: func(*small) []byte { return bytes.Repeat([]byte("safetensors"), 100) }, what: "no header of an entry here", damaged: true},
		{name: "a compressed tar", make: func(*small) []byte { return append([]byte{0x1f, 0x8b, 8}, make([]byte, 600)...) }, what: "compressed with gzip"},
		{name: "nothing", make: func(*small) []byte { return nil }, what: "cut off", damaged: true},
		{name: "an empty tar", make: func(*small) []byte { return tarOf(nil) }, what: "has no oci-layout"},
		{name: "cut off in a header", make: func(s *small) []byte { return tarOf(s.entries())[:700] }, what: "", damaged: true},
		{name: "cut off in a blob", make: func(s *small) []byte { return tarOf(s.entries())[:1024+512+5] }, entry: layerName, what: "behind the end", damaged: true},
		{name: "cut off before its end", make: func(s *small) []byte {
			raw := tarOf(s.entries())
			return raw[:len(raw)-1024]
		}, what: "cut off", damaged: true},
		{name: "cut off in its end", make: func(s *small) []byte {
			raw := tarOf(s.entries())
			return raw[:len(raw)-512]
		}, what: "cut off", damaged: true},
		{name: "something behind the end", make: func(s *small) []byte { return append(tarOf(s.entries()), "#!/bin/sh\n"...) }, what: "something follows the end"},
		{name: "an archive behind the end", make: func(s *small) []byte { return append(tarOf(s.entries()), tarOf(s.entries())...) }, what: "something follows the end"},
		{name: "an end that does not end", make: func(s *small) []byte {
			return append(tarOf(s.entries()), make([]byte, limits.ArchiveEndBytes)...)
		}, what: "that may be padding"},
	}
}

func hostileIndexes() []hostile {
	d := func(s *small) string { return digest.FromBytes(s.manifest).String() }
	return []hostile{
		{name: "no oci-layout", make: func(s *small) []byte { return tarOf(s.entries()[1:]) }, what: "has no oci-layout"},
		{name: "no index.json", make: func(s *small) []byte {
			list := s.entries()
			return tarOf(list[:len(list)-1])
		}, what: "has no index.json"},
		{name: "index.json twice", make: with(entry{name: indexName, data: []byte("{}")}), entry: indexName, what: "twice"},
		{name: "index.json twice, with a dot", make: with(entry{name: "./index.json", data: []byte("{}")}), entry: indexName, what: "twice"},
		{name: "manifest.json twice", make: with(entry{name: "manifest.json"}, entry{name: "manifest.json"}), entry: "manifest.json", what: "twice"},
		{name: "a large oci-layout", make: func(s *small) []byte {
			return tarOf(change(s.entries(), "oci-layout", func(e *entry) { e.data = make([]byte, limits.LayoutFileBytes+1) }))
		}, entry: "oci-layout", what: "more than 4096"},
		{name: "an index that is too large", make: func(s *small) []byte {
			list := s.entries()
			at := offset(list, indexName)
			raw := tarOf(change(list, indexName, func(e *entry) { e.size = octalSize(limits.LayoutIndexBytes + 1) }))
			return append(raw[:at+512], make([]byte, limits.LayoutIndexBytes+1<<20)...)
		}, entry: indexName, what: "more than 67108864"},
		{name: "an index that is none", make: indexed("no JSON"), entry: indexName, what: "invalid character"},
		{name: "an index and more", make: indexed(`{"schemaVersion":2,"manifests":[]} {}`), entry: indexName, what: "after top-level value"},
		{name: "an index of another kind", make: indexed(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[]}`), entry: indexName, what: "media type"},
		{name: "two lists of manifests", make: indexed(`{"schemaVersion":2,"manifests":[],"Manifests":[]}`), entry: indexName, what: "twice"},
		{name: "a million entries", make: indexed(`{"schemaVersion":2,"manifests":[` + strings.Repeat(`{},`, 1_000_000) + `{}]}`), entry: indexName, what: "more than 100000 entries"},
		{name: "a tag and a name that differ, by another tool", make: owned(func(s *small) {
			s.index.Manifests[0].Annotations[ocispec.AnnotationRefName] = "v2"
		}), entry: indexName, what: `both "v2" and "example.com/team/llama:v1"`},
		{name: "millions of annotations", make: owned(func(s *small) {
			for i := range limits.LayoutIndexMembers {
				s.index.Manifests[0].Annotations[strconv.Itoa(i)] = ""
			}
		}), entry: indexName, what: "more than 1500000"},
		{name: "an index of what is not there", make: owned(func(s *small) {
			e := s.entryOf(nil)
			e.Digest = digest.FromString("elsewhere")
			s.add(e)
		}), entry: indexName, what: "which is not in the archive"},
		{name: "an index with another size", make: owned(func(s *small) {
			e := s.entryOf(nil)
			e.Size++
			s.add(e)
		}), entry: indexName, what: "and the archive has"},
		{name: "an index with a negative size", make: func(s *small) []byte {
			return indexed(`{"schemaVersion":2,"manifests":[{"mediaType":"x","digest":"` + d(s) + `","size":-1}]}`)(s)
		}, entry: indexName, what: "negative size"},
		{name: "an index with a path as a digest", make: indexed(`{"schemaVersion":2,"manifests":[{"mediaType":"x","digest":"sha256:../../index.json","size":1}]}`), entry: indexName, what: "digest"},
	}
}

func hostileOwn() []hostile {
	other := func(key string, value any) func(*small) []byte {
		return owned(func(s *small) { s.own(s.says(func(a *map[string]any) { (*a)[key] = value }), nil) })
	}
	return []hostile{
		{name: "contents of another artifact", make: other("digest", digest.FromString("another")), entry: indexName, what: "index.json does not have"},
		{name: "contents with another name", make: other("name", "example.com/team/other:v1"), entry: indexName, what: `index.json calls it "example.com/team/llama:v1"`},
		{name: "contents with another size", make: other("size", 7), entry: indexName, what: "in index.json"},
		{name: "contents with another type", make: other("mediaType", ocispec.MediaTypeImageIndex), entry: indexName, what: "in index.json"},
		{name: "contents with a referrer that is not there", make: other("referrers", []string{digest.FromString("x").String()}), entry: indexName, what: "does not have its referrer"},
		{name: "contents with a field that is not known", make: other("trusted", true), entry: indexName, what: "unknown field"},
		{name: "a tag and a name that differ", make: owned(func(s *small) {
			s.index.Manifests[0].Annotations[ocispec.AnnotationRefName] = "v2"
			s.own(s.says(nil), nil)
		}), entry: indexName, what: `both "v2" and "example.com/team/llama:v1"`},
		{name: "a tag without its name", make: owned(func(s *small) {
			s.index.Manifests[0].Annotations = map[string]string{ocispec.AnnotationRefName: "v2"}
			s.own(s.says(nil), nil)
		}), entry: indexName, what: `index.json has "v2"`},
		{name: "two full names that differ", make: owned(func(s *small) {
			s.index.Manifests[0].Annotations[ocispec.AnnotationRefName] = "example.com/team/llama:v2"
			s.own(s.says(nil), nil)
		}), entry: indexName, what: `it knows that as "example.com/team/llama:v1"`},
		{name: "contents without what the index has", make: owned(func(s *small) {
			s.own(s.says(nil), nil)
			s.add(s.entryOf(map[string]string{ocispec.AnnotationRefName: "latest", artifacttypes.AnnotationImageName: "example.com/team/llama:latest"}))
		}), entry: indexName, what: `index.json has "latest"`},
		{name: "no contents", make: owned(func(s *small) { s.own("{ }", func(m *ocispec.Manifest) { m.Layers = nil }) }), entry: indexName, what: "says nothing of the contents"},
		{name: "contents of another kind", make: owned(func(s *small) { s.own(`{"mediaType":"x"}`, nil) }), entry: indexName, what: `media type "x"`},
		{name: "contents twice", make: owned(func(s *small) {
			s.own(s.says(nil), func(m *ocispec.Manifest) { m.Layers = append(m.Layers, m.Layers[0]) })
		}), entry: indexName, what: "two of this kind"},
		{name: "a layer that is not there", make: owned(func(s *small) {
			s.own(s.says(nil), func(m *ocispec.Manifest) {
				m.Layers = append(m.Layers, ocispec.Descriptor{MediaType: artifacttypes.MediaTypeTrust, Digest: digest.FromString("trust"), Size: 5})
			})
		}), entry: indexName, what: "which is not in the archive"},
		{name: "two that say what there is", make: owned(func(s *small) {
			s.own(s.says(nil), nil)
			s.own(s.says(nil)+" ", func(m *ocispec.Manifest) { m.Annotations = map[string]string{"x": "y"} })
		}), entry: indexName, what: "two manifests that say what the archive holds"},
		{name: "an index in the place of its own manifest", make: owned(func(s *small) {
			s.push(mustJSON(s.index), ocispec.MediaTypeImageIndex, artifacttypes.ArtifactTypeArchive, nil)
		}), entry: indexName, what: "invalid manifest"},
		{name: "a model in the place of its own manifest", make: owned(func(s *small) {
			e := s.entryOf(nil)
			e.ArtifactType = artifacttypes.ArtifactTypeArchive
			s.add(e)
		}), entry: indexName, what: "its artifact type is"},
		{name: "its own manifest is attached to another", make: owned(func(s *small) {
			s.own(s.says(nil), func(m *ocispec.Manifest) {
				e := s.entryOf(nil)
				m.Subject = &e
			})
		}), entry: indexName, what: "refers to another manifest"},
		{name: "its own manifest is damaged", make: func(s *small) []byte {
			s.own(s.says(nil), nil)
			list := s.entries()
			name := s.others[len(s.others)-1].name
			return tarOf(change(list, name, func(e *entry) {
				e.data = slices.Clone(e.data)
				e.data[20] ^= 1
			}))
		}, entry: indexName, what: "its bytes hash to"},
	}
}

func TestHostileArchivesAreRefused(t *testing.T) {
	all := slices.Concat(hostileEntries(), hostileHeaders(), hostileSizes(), hostileIndexes(), hostileOwn())
	for _, tt := range all {
		t.Run(tt.name, func(t *testing.T) {
			s := newSmall()
			if got := blobOf(s.layer).name; got != layerName {
				t.Fatalf("the layer is %s", got)
			}
			raw := tt.make(s)
			file := put(t, "x.tar", raw)
			a, err := archive.Open(t.Context(), file, archive.OpenOptions{})
			if err == nil {
				_ = a.Close()
				t.Fatal("it was opened")
			}
			var e *archive.Error
			if !errors.As(err, &e) {
				t.Fatalf("no *archive.Error: %v", err)
			}
			if !strings.Contains(err.Error(), tt.what) || tt.entry != "" && e.Entry != tt.entry {
				t.Errorf("%v; want entry %q and %q", err, tt.entry, tt.what)
			}
			if e.Path != file || e.Next == "" || e.Damaged != tt.damaged {
				t.Errorf("path %q, next %q, damaged %v", e.Path, e.Next, e.Damaged)
			}
			if e.Entry != "" && (e.Offset < 0 || !bytes.Contains(raw[e.Offset:min(int(e.Offset)+512, len(raw))], []byte(e.Entry[:min(len(e.Entry), 100)]))) && !strings.Contains(tt.name, "PAX") {
				t.Errorf("there is no header of %q at byte %d", e.Entry, e.Offset)
			}
		})
	}
	if len(all) < 30 {
		t.Errorf("only %d archives", len(all))
	}
}

// What is no regular file is not opened, and nobody waits for it.
func TestWhatIsNoFileIsRefused(t *testing.T) {
	for _, path := range []string{t.TempDir(), os.DevNull} {
		if _, err := archive.Open(t.Context(), path, archive.OpenOptions{}); err == nil || !strings.Contains(err.Error(), "no regular file") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := archive.Open(t.Context(), filepath.Join(t.TempDir(), "none.tar"), archive.OpenOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// A layout that names one kind of manifest and has the other is found where it is
// read.
func TestMediaTypeConfusion(t *testing.T) {
	index := mustJSON(ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}})
	both := []byte(`{"schemaVersion":2,"config":{},"layers":[],"manifests":[]}`)
	silent := []byte(`{"schemaVersion":2,"manifests":[]}`)
	for name, tt := range map[string]struct {
		raw       []byte
		mediaType string
	}{
		"an index as a manifest":           {index, ocispec.MediaTypeImageManifest},
		"an index that does not say it is": {silent, ocispec.MediaTypeImageManifest},
		"both at once":                     {both, ocispec.MediaTypeImageManifest},
		"both at once, as an index":        {both, ocispec.MediaTypeImageIndex},
		"a manifest as an index":           {newSmall().manifest, ocispec.MediaTypeImageIndex},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSmall()
			if !bytes.Equal(tt.raw, s.manifest) {
				s.others = append(s.others, blobOf(tt.raw))
			}
			s.index.Manifests = []ocispec.Descriptor{{
				MediaType: tt.mediaType, Digest: digest.FromBytes(tt.raw), Size: int64(len(tt.raw)),
				Annotations: map[string]string{ocispec.AnnotationRefName: "v1"},
			}}
			a, err := archive.Open(t.Context(), put(t, "x.tar", tarOf(s.entries())), archive.OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			if d, err := a.Resolve(t.Context(), "v1"); err == nil || !strings.Contains(err.Error(), "manifest sha256:") {
				t.Errorf("%v, %v", d, err)
			}
		})
	}
}

// What other tools leave in a tar of a layout is passed over.
func TestWhatOtherToolsLeaveIsPassedOver(t *testing.T) {
	s := newSmall()
	list := s.entries()
	for i := range list {
		list[i].name = "./" + list[i].name
	}
	list = slices.Insert(list, 0, entry{name: "./", kind: '5'}, entry{name: "./blobs", kind: '5'}, entry{name: "./blobs/sha256/", kind: '5'},
		entry{name: "manifest.json", data: []byte("[]")}, entry{name: "repositories", data: []byte("{}")}, entry{name: "./.modseal.lock"}, entry{name: "ingest/", kind: '5'})
	list = append(list, pax("mtime=1.5", "SCHILY.xattr.user.x=\x00y"), entry{name: someBlob})
	raw := append(tarOf(list), make([]byte, 9*1024)...)
	a, err := archive.Open(t.Context(), put(t, "x.tar", raw), archive.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if d, err := a.Resolve(t.Context(), "v1"); err != nil || d.Digest != digest.FromBytes(s.manifest) {
		t.Errorf("%v, %v", d, err)
	}
}

// A sha512 blob has a name for which a header has no room, and a size of 8 GiB one
// that PAX holds.
func TestLongNamesAndLargeSizes(t *testing.T) {
	raw := []byte("by sha512")
	d := digest.SHA512.FromBytes(raw)
	for name, first := range map[string]entry{
		"GNU": longName("blobs/sha512/" + d.Encoded()),
		"PAX": pax("path=./blobs/sha512/"+d.Encoded(), fmt.Sprintf("size=%d", len(raw))),
	} {
		s := newSmall()
		list := insert(s.entries(), indexName, first, entry{name: ("blobs/sha512/" + d.Encoded())[:100], data: raw})
		a, err := archive.Open(t.Context(), put(t, "x.tar", tarOf(list)), archive.OpenOptions{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defer a.Close()
		if ok, err := a.Exists(t.Context(), ocispec.Descriptor{Digest: d, Size: int64(len(raw))}); !ok || err != nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
}
