package materialize_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/materialize"
	"github.com/modseal/modseal/pkg/verify"
)

// The tests of this file are the defects of other tools that concern extraction,
// by their numbers in the formats reference, section 6.

// pullRaw takes a manifest as it came from a registry to the disk, as far as it
// gets.
func pullRaw(t *testing.T, m *model, dir string) error {
	t.Helper()
	v, err := verify.SkipUnsafe(t.Context(), verify.Subject{Descriptor: m.desc, Manifest: m.manifest})
	if err != nil {
		return err
	}
	m.verified = v
	_, err = m.pull(t, dir, materialize.Options{})
	return err
}

// 1 modctl, 8 DMR, 14 llmman: paths that lead out of the directory.
func TestDefect1TraversalInAnnotation(t *testing.T) {
	for _, name := range []string{
		"../x", "/x", "a/../../x", `C:\x`, `..\x`, "C:x", "x\x00y", "./x", "a//b", "a/./b", "..", ".", "a/", "a\nb",
		".modseal-partial/x", ".MODSEAL-partial/sha256-x", strings.Repeat("a", 256), strings.Repeat("a/", 2048) + "b", "\xff",
	} {
		l := raw("placeholder", "payload")
		delete(l.desc.Annotations, artifacttypes.AnnotationFileMetadata)
		m := storeModel(t, l)
		quoted, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		m.manifest = []byte(strings.Replace(string(m.manifest), `"placeholder"`, string(quoted), 1))
		if name == "\xff" {
			m.manifest = []byte(strings.Replace(string(m.manifest), `\ufffd`, name, 1))
		}
		m.desc.Digest, m.desc.Size = digest.FromBytes(m.manifest), int64(len(m.manifest))
		parent := t.TempDir()
		dir := filepath.Join(parent, "a", "b")
		err = pullRaw(t, m, dir)
		if name == "\xff" && err == nil {
			continue // encoding/json made it U+FFFD, which is a name
		}
		if !errors.Is(err, artifacttypes.ErrUnsafePath) {
			t.Errorf("%q: %v", name, err)
		}
		wantTree(t, parent, map[string]string{})
	}
}

// 1 modctl truncates the file that is there before it has the new one.
func TestDefect1NoTruncationInPlace(t *testing.T) {
	old := newModel(t, raw("model.bin", "the old bytes"))
	dir := t.TempDir()
	old.mustPull(t, dir, materialize.Options{})
	name := filepath.Join(dir, "model.bin")
	reader, err := os.Open(name) // an inference server has it mapped
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()

	next := newModel(t, raw("model.bin", "the new bytes"))
	next.record = old.record
	flip(t, next.blobFile(digest.FromString("the new bytes")))
	if _, err := next.pull(t, dir, materialize.Options{}); err == nil {
		t.Fatal("a flipped byte passed")
	}
	if got := tree(t, dir)["model.bin"]; got != "the old bytes" {
		t.Errorf("after a failed pull: %q", got)
	}
	flip(t, next.blobFile(digest.FromString("the new bytes")))
	next.mustPull(t, dir, materialize.Options{})
	if got := tree(t, dir)["model.bin"]; got != "the new bytes" {
		t.Errorf("%q", got)
	}
	held := make([]byte, 20)
	if n, _ := reader.Read(held); string(held[:n]) != "the old bytes" {
		t.Errorf("who had it open now reads %q", held[:n])
	}
}

// 2 modctl: a corrupt blob of the right size counts as done.
func TestDefect2CorruptBlobOfTheRightSize(t *testing.T) {
	m := newModel(t, raw("model.bin", "weights"))
	flip(t, m.blobFile(digest.FromString("weights")))
	dir := t.TempDir()
	var bad *integrity.Error
	for range 2 {
		if _, err := m.pull(t, dir, materialize.Options{}); !errors.As(err, &bad) {
			t.Errorf("%v", err)
		}
		wantTree(t, dir, map[string]string{})
	}
	flip(t, m.blobFile(digest.FromString("weights")))
	m.mustPull(t, dir, materialize.Options{})
	wantTree(t, dir, map[string]string{"model.bin": "weights"})
}

// 2 modctl, 4 build cache: a file edited later, its old time put back.
func TestDefect2FileEditedWithOldMtime(t *testing.T) {
	m := newModel(t, raw("model.bin", "weights"), tarLayer(member{name: "config.json", content: "config"}))
	for name, content := range map[string]string{"model.bin": "wEights", "config.json": "cOnfig"} {
		for _, check := range []bool{false, true} {
			dir := t.TempDir()
			m.mustPull(t, dir, materialize.Options{})
			full := filepath.Join(dir, name)
			before, err := os.Stat(full)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(full, []byte(content), 0); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(full, before.ModTime(), before.ModTime()); err != nil {
				t.Fatal(err)
			}
			if after, err := os.Stat(full); err != nil || !after.ModTime().Equal(before.ModTime()) || after.Size() != before.Size() {
				t.Fatal("the edit shows by time or size, so this test shows nothing")
			}
			r := m.mustPull(t, dir, materialize.Options{Check: check})
			if got := outcomes(r)[name]; got != materialize.Repaired {
				t.Errorf("%s, check %v: %s", name, check, got)
			}
			wantTree(t, dir, map[string]string{"model.bin": "weights", "config.json": "config"})
		}
	}
}

// 6 modctl, kit: modes are applied as they come.
func TestDefect6UnmaskedModes(t *testing.T) {
	l := raw("setuid.bin", "x")
	l.desc.Annotations[artifacttypes.AnnotationFileMetadata] = `{"name":"setuid.bin","mode":35309,"uid":0,"gid":0,"size":1,"mtime":"1970-01-01T00:00:00Z","typeflag":0}`
	world := raw("world.bin", "y")
	world.desc.Annotations[artifacttypes.AnnotationFileMetadata] = `{"name":"world.bin","mode":438,"uid":0,"gid":0,"size":1,"mtime":"1970-01-01T00:00:00Z","typeflag":0}`
	m := newModel(t, l, world, tarLayer(
		member{name: "tool", content: "z", header: headerMode(0o6777)},
		member{name: "none", content: "w", header: headerMode(0o1000)},
	))
	dir := t.TempDir()
	m.mustPull(t, dir, materialize.Options{})
	for name, want := range map[string]fs.FileMode{"setuid.bin": 0o755, "world.bin": 0o644, "tool": 0o755, "none": 0o644} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, want %v (%v)", name, info.Mode(), want, err)
		}
	}
}

// 6 modctl refuses honest names.
func TestDefect6HonestNames(t *testing.T) {
	names := []string{"a..b", "..a", "...", "a...", ".hidden/.file", "name with space", "ünïcode/模型.bin", "-rf", "~", "$HOME", "a:b", "CON"}
	want := map[string]string{}
	var members []member
	var layers []layer
	for _, n := range names {
		members = append(members, member{name: "tar/" + n, content: n})
		layers = append(layers, raw("raw/"+n, n))
		want["tar/"+n], want["raw/"+n] = n, n
	}
	m := newModel(t, append(layers, tarLayer(members...))...)
	dir := t.TempDir()
	m.mustPull(t, dir, materialize.Options{})
	wantTree(t, dir, want)
}

// 7 DMR writes a tar as the model file: all 20 layer types.
func TestDefect7EveryLayerType(t *testing.T) {
	types := 0
	for _, role := range artifacttypes.Roles() {
		for _, encoding := range []artifacttypes.Encoding{artifacttypes.EncodingRaw, artifacttypes.EncodingTar, artifacttypes.EncodingTarGzip, artifacttypes.EncodingTarZstd} {
			types++
			plain := tarBytes(member{name: "dir/file.txt", content: "content"})
			var l layer
			switch encoding {
			case artifacttypes.EncodingRaw:
				l = typedRaw(role, "dir/file.txt", "content", false)
			case artifacttypes.EncodingTar:
				l = blobLayer(role, encoding, plain, plain)
			case artifacttypes.EncodingTarGzip:
				l = blobLayer(role, encoding, gzipLayer(plain).content, plain)
			case artifacttypes.EncodingTarZstd:
				l = blobLayer(role, encoding, zstdBytes(plain), plain)
			}
			dir := t.TempDir()
			if _, err := newModel(t, l).pull(t, dir, materialize.Options{}); err != nil {
				t.Errorf("%s: %v", l.desc.MediaType, err)
			}
			wantTree(t, dir, map[string]string{"dir/file.txt": "content"})
		}
	}
	if types != 20 {
		t.Errorf("%d types", types)
	}
}

// 8 DMR: the second of two layers with one path is dropped; 19 CRI-O likewise.
func TestDefect8TwoLayersWithOnePath(t *testing.T) {
	for name, layers := range map[string][]layer{
		"equal":             {raw("a", "1"), raw("a", "2")},
		"letter case":       {raw("README.md", "1"), raw("readme.md", "2")},
		"normalisation":     {raw("\u00e9", "1"), raw("e\u0301", "2")},
		"file as directory": {raw("a", "1"), raw("a/b", "2")},
		"raw and member":    {raw("a", "1"), tarLayer(member{name: "a", content: "2"})},
		"member and raw":    {tarLayer(member{name: "b/c", content: "2"}), raw("b", "1")},
		"two members":       {tarLayer(member{name: "a", content: "1"}, member{name: "A", content: "2"})},
		"two tars":          {tarLayer(member{name: "a", content: "1"}), tarLayer(member{name: "a", content: "2"})},
	} {
		dir := t.TempDir()
		if err := pullRaw(t, storeModel(t, layers...), dir); !errors.Is(err, artifacttypes.ErrUnsafePath) {
			t.Errorf("%s: %v", name, err)
		}
		wantNothing(t, dir)
	}
}

// 8 DMR keeps a stale file that exists, 14 llmman trusts it.
func TestDefect8And14ExistingFile(t *testing.T) {
	m := newModel(t, raw("model.bin", "weights"))
	dir := t.TempDir()
	put(t, dir, "model.bin", "wEights")
	if _, err := m.pull(t, dir, materialize.Options{}); !errors.Is(err, materialize.ErrForeignFile) {
		t.Errorf("%v", err)
	}
}

// 13 kit unpacks to disk without comparing a digest; a flipped byte anywhere in
// any kind of layer must be an integrity error, and leave nothing.
func TestDefect13FlippedByte(t *testing.T) {
	plain := tarBytes(member{name: "a.json", content: strings.Repeat("content", 1000)})
	for name, l := range map[string]layer{
		"raw": raw("a.bin", strings.Repeat("weights", 1000)), "tar": blobLayer("weight", artifacttypes.EncodingTar, plain, plain),
		"gzip": gzipLayer(plain), "zstd": blobLayer("weight", artifacttypes.EncodingTarZstd, zstdBytes(plain), plain),
	} {
		for _, at := range []int{0, 1, 200, len(l.content) / 2, len(l.content) - 1} {
			if at >= len(l.content) {
				continue
			}
			m := newModel(t, l, raw("z-good.bin", "good"))
			content := append([]byte{}, l.content...)
			content[at] ^= 0x10
			put(t, filepath.Dir(m.blobFile(l.desc.Digest)), l.desc.Digest.Encoded(), string(content))
			dir := t.TempDir()
			_, err := m.pull(t, dir, materialize.Options{})
			var bad *integrity.Error
			if !errors.As(err, &bad) || bad.Want != l.desc.Digest {
				t.Errorf("%s, byte %d: %v", name, at, err)
			}
			wantNothing(t, dir)
		}
	}
}

// Layers shorter or longer than they say.
func TestDefect13WrongLength(t *testing.T) {
	plain := tarBytes(member{name: "a.json", content: "content"})
	for name, l := range map[string]layer{"raw": raw("a.bin", "weights"), "tar": blobLayer("weight", artifacttypes.EncodingTar, plain, plain)} {
		for kind, content := range map[string]string{
			"shorter": string(l.content[:len(l.content)-1]), "empty": "", "longer": string(l.content) + "\x00",
		} {
			m := newModel(t, l)
			put(t, filepath.Dir(m.blobFile(l.desc.Digest)), l.desc.Digest.Encoded(), content)
			dir := t.TempDir()
			_, err := m.pull(t, dir, materialize.Options{})
			var bad *integrity.Error
			if !errors.As(err, &bad) {
				t.Errorf("%s, %s: %v", name, kind, err)
			}
			wantTree(t, dir, map[string]string{})
		}
	}
}

// The size in the metadata is not that of the layer.
func TestSizeMismatchIsRefused(t *testing.T) {
	l := raw("a.bin", "weights")
	l.desc.Annotations[artifacttypes.AnnotationFileMetadata] = strings.Replace(l.desc.Annotations[artifacttypes.AnnotationFileMetadata], `"size":7`, `"size":8`, 1)
	if err := pullRaw(t, storeModel(t, l), t.TempDir()); !errors.Is(err, artifacttypes.ErrInvalidManifest) {
		t.Errorf("%v", err)
	}
	// Zero bytes are not fetched, so their digest is compared with that of nothing.
	lie := raw("a.bin", "")
	lie.desc.Digest = digest.FromString("weights")
	m := storeModel(t, raw("b.bin", "weights"))
	var manifest ocispec.Manifest
	if err := json.Unmarshal(m.manifest, &manifest); err != nil {
		t.Fatal(err)
	}
	manifest.Layers[0] = lie.desc
	m.manifest, _ = json.Marshal(manifest)
	m.desc.Digest, m.desc.Size = digest.FromBytes(m.manifest), int64(len(m.manifest))
	dir := t.TempDir()
	var bad *integrity.Error
	if err := pullRaw(t, m, dir); !errors.As(err, &bad) {
		t.Errorf("an empty file with the digest of another: %v", err)
	}
	wantTree(t, dir, map[string]string{})
}

// 15 ramalama: a failed download must say what failed and leave no temp file.
func TestDefect15FailedFetch(t *testing.T) {
	m := newModel(t, raw("a.bin", "weights"))
	if err := os.Remove(m.blobFile(digest.FromString("weights"))); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	_, err := m.pull(t, dir, materialize.Options{})
	if err == nil || !strings.Contains(err.Error(), "a.bin") {
		t.Errorf("%v", err)
	}
	wantTree(t, dir, map[string]string{})
}
