package archive_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/archive"
)

// FuzzOpen opens any bytes as an archive. It must not panic. What opens keeps what
// it promises: every blob lies within the file, and all that is asked is answered.
func FuzzOpen(f *testing.F) {
	s := newSmall()
	f.Add(tarOf(s.entries()))
	s.own(s.says(nil), nil)
	f.Add(tarOf(s.entries()))
	f.Add(tarOf(insert(newSmall().entries(), indexName, pax("path="+someBlob, "size=0"), entry{name: "x"})))
	f.Add(tarOf(insert(newSmall().entries(), indexName, longName(someBlob), entry{name: "x", size: binarySize(0)})))
	f.Add([]byte("ustar"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		file := filepath.Join(t.TempDir(), "x.tar")
		if err := os.WriteFile(file, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := archive.Open(t.Context(), file, archive.OpenOptions{})
		if err != nil {
			return
		}
		defer a.Close()
		for d := range a.Blobs() {
			b, err := a.Blob(d.Digest)
			if err != nil || b.Size() != d.Size {
				t.Fatalf("%s: %v", d.Digest, err)
			}
			if n, err := io.Copy(io.Discard, b); err != nil || n != d.Size {
				t.Fatalf("%s: %d of %d bytes: %v", d.Digest, n, d.Size, err)
			}
		}
		artifacts, err := a.Artifacts(t.Context())
		if err != nil {
			return
		}
		for _, artifact := range artifacts {
			for _, label := range artifact.Labels {
				if d, err := a.Resolve(t.Context(), label); err == nil && d.Digest != artifact.Descriptor.Digest {
					t.Errorf("%q is %s and %s", label, d.Digest, artifact.Descriptor.Digest)
				}
			}
			_ = a.Referrers(t.Context(), artifact.Descriptor, "", func([]ocispec.Descriptor) error { return nil })
		}
		_, _ = a.Missing(t.Context())
		if _, err := archive.Check(t.Context(), file, archive.CheckOptions{Concurrency: 1}); err != nil {
			t.Errorf("it opens and cannot be checked: %v", err)
		}
	})
}

// FuzzParseParts reads any bytes as a list of parts. What is accepted names files
// of one directory, and sizes that add up.
func FuzzParseParts(f *testing.F) {
	set := &archive.Parts{MediaType: artifacttypes.MediaTypeArchiveParts, Size: 3, PartSize: 2, Parts: []archive.Part{
		{Name: "x.tar.000", Size: 2, SHA256: digest.FromString("ab").Encoded()}, {Name: "x.tar.001", Size: 1, SHA256: digest.FromString("c").Encoded()},
	}}
	set.Set = set.ID()
	f.Add(mustJSON(set))
	f.Add([]byte(`{"parts":[{"name":"../x.000","size":-1}]}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := archive.ParseParts(raw)
		if err != nil {
			return
		}
		var size int64
		for _, part := range p.Parts {
			if filepath.Base(part.Name) != part.Name || part.Size <= 0 || part.Size > p.PartSize {
				t.Fatalf("%+v was accepted", part)
			}
			size += part.Size
		}
		if size != p.Size || p.Set != p.ID() {
			t.Fatalf("%+v was accepted", p)
		}
	})
}

// FuzzParseContents reads any bytes as contents. What is accepted can be followed,
// and is written as it was read.
func FuzzParseContents(f *testing.F) {
	f.Add([]byte(newSmall().says(nil)))
	f.Add([]byte(`{"mediaType":"application/vnd.modseal.archive.contents.v1+json","omitted":[{"digest":"` + digest.FromString("x").String() + `","size":3,"artifact":"` + digest.FromString("y").String() + `","reason":"role","role":"doc"}]}`))
	f.Add([]byte(`{"artifacts":[null,{}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := archive.ParseContents(raw)
		if err != nil {
			return
		}
		for _, o := range c.Omitted {
			if o.Size < 0 || artifacttypes.ValidateDigest(o.Digest) != nil || artifacttypes.ValidateDigest(o.Artifact) != nil {
				t.Fatalf("%+v was accepted", o)
			}
		}
		again, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := archive.ParseContents(again); err != nil {
			t.Fatalf("what was read cannot be read again: %v\n%s", err, again)
		}
	})
}

func TestPartsThatAreRefused(t *testing.T) {
	good := func() *archive.Parts {
		return &archive.Parts{MediaType: artifacttypes.MediaTypeArchiveParts, Size: 3, PartSize: 2, Parts: []archive.Part{
			{Name: "x.tar.000", Size: 2, SHA256: digest.FromString("ab").Encoded()}, {Name: "x.tar.001", Size: 1, SHA256: digest.FromString("c").Encoded()},
		}}
	}
	for name, edit := range map[string]func(*archive.Parts){
		"another type":         func(p *archive.Parts) { p.MediaType = "x" },
		"no parts":             func(p *archive.Parts) { p.Parts = nil },
		"too many":             func(p *archive.Parts) { p.Parts = slices.Repeat(p.Parts, 501) },
		"a directory":          func(p *archive.Parts) { p.Parts[0].Name = "d/x.tar.000" },
		"the parent":           func(p *archive.Parts) { p.Parts[0].Name = "../x.tar.000" },
		"an absolute name":     func(p *archive.Parts) { p.Parts[0].Name = "/x.tar.000" },
		"a backslash":          func(p *archive.Parts) { p.Parts[0].Name = `d\x.tar.000` },
		"only a number":        func(p *archive.Parts) { p.Parts[0].Name = ".000" },
		"two sets":             func(p *archive.Parts) { p.Parts[1].Name = "y.tar.001" },
		"out of order":         func(p *archive.Parts) { slices.Reverse(p.Parts) },
		"one twice":            func(p *archive.Parts) { p.Parts[1] = p.Parts[0] },
		"sizes that are short": func(p *archive.Parts) { p.Size = 4 },
		"sizes that are long":  func(p *archive.Parts) { p.Size = 2 },
		"a negative size":      func(p *archive.Parts) { p.Parts[1].Size = -1 },
		"an empty part":        func(p *archive.Parts) { p.Parts[1].Size, p.Size = 0, 2 },
		"a negative sum":       func(p *archive.Parts) { p.Size = -3 },
		"no part size":         func(p *archive.Parts) { p.PartSize = 0 },
		"a sum that is none":   func(p *archive.Parts) { p.Parts[0].SHA256 = "abc" },
		"a sum in capitals":    func(p *archive.Parts) { p.Parts[0].SHA256 = "A" + p.Parts[0].SHA256[1:] },
	} {
		p := good()
		edit(p)
		p.Set = p.ID()
		if got, err := archive.ParseParts(mustJSON(p)); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	p := good()
	if _, err := archive.ParseParts(mustJSON(p)); err == nil {
		t.Error("a set of no name was accepted")
	}
	p.Set = p.ID()
	if _, err := archive.ParseParts(mustJSON(p)); err != nil {
		t.Error(err)
	}
	if _, err := archive.ParseParts(append(mustJSON(p), '1')); err == nil {
		t.Error("something behind the end was accepted")
	}
	file := put(t, "x.tar.parts.json", []byte("{}"))
	var e *archive.Error
	if _, err := archive.Open(t.Context(), file, archive.OpenOptions{}); !errors.As(err, &e) || e.Path != file || e.Next == "" {
		t.Errorf("%v", err)
	}
}
