package modseal

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/pkg/archive"
	"github.com/modseal/modseal/pkg/store"
	"github.com/modseal/modseal/pkg/transfer"
)

func parcelAt(t *testing.T, names, tags []string, contents ...archive.ContentsArtifact) []parcel {
	t.Helper()
	return parcelsOf(&archive.Contents{Artifacts: contents}, archive.Artifact{
		Descriptor: ocispec.Descriptor{Digest: digest.FromString("m")}, Names: names, Tags: tags,
	})
}

// Where an artifact goes is decided by what the caller says; of its names in the
// archive only the path of the repository and the tag count.
func TestWhereParcelsGo(t *testing.T) {
	d := digest.FromString("m").String()
	tagged := parcel{name: "dev.example.com/team/llama:v1", repository: "team/llama", tag: "v1", desc: ocispec.Descriptor{Digest: digest.Digest(d)}}
	untagged := parcel{name: "dev.example.com/team/llama@" + d, repository: "team/llama", desc: tagged.desc}
	nameless := parcel{name: "v1", tag: "v1", desc: tagged.desc}
	for _, c := range []struct {
		dst  string
		p    parcel
		want string // empty: it is refused
	}{
		{"site.example/one", tagged, "site.example/one:v1"},
		{"site.example/one:v9", tagged, "site.example/one:v9"},
		{"site.example/one", untagged, "site.example/one@" + d},
		{"site.example/one", nameless, "site.example/one:v1"},
		{"site.example/one@" + d, tagged, "site.example/one@" + d},
		{"site.example/one@" + digest.FromString("n").String(), tagged, ""},
		{"site.example/", tagged, "site.example/team/llama:v1"},
		{"site.example/a/b/", tagged, "site.example/a/b/team/llama:v1"},
		{"site.example/", untagged, "site.example/team/llama@" + d},
		{"site.example/", nameless, ""},
		{"127.0.0.1:5000/", tagged, "127.0.0.1:5000/team/llama:v1"},
		{"oci:dir/", tagged, "oci:dir/team/llama:v1"},
		{"oci:/", tagged, "oci:/team/llama:v1"},
		{"oci:dir", tagged, "oci:dir:v1"},
		{"oci:dir:v9", tagged, "oci:dir:v9"},
		{"oci:dir/", nameless, ""},
	} {
		to, err := parseDestination(c.dst)
		if err != nil {
			t.Errorf("%s: %v", c.dst, err)
			continue
		}
		got, err := to.of(c.p)
		switch {
		case c.want == "":
			if !errors.Is(err, ErrUsage) {
				t.Errorf("%s to %s: %v, %v", c.p.name, c.dst, got, err)
			}
		case err != nil || got.String() != c.want:
			t.Errorf("%s to %s: %v, %v, not %s", c.p.name, c.dst, got, err, c.want)
		}
	}
}

func TestNoDestination(t *testing.T) {
	for _, dst := range []string{"", "/", "oci:", "./dir", "dir:x", "archive:x.tar", "nohost/", "site.example/A/", "site.example/x:v1/", "https://site.example/"} {
		if to, err := parseDestination(dst); !errors.Is(err, ErrUsage) {
			t.Errorf("%q: %+v, %v", dst, to, err)
		}
	}
}

// A name that an archive made up leads nowhere but below the destination.
func TestNamesOfParcels(t *testing.T) {
	for _, c := range []struct {
		names, tags []string
		repository  string
		tag         string
	}{
		{[]string{"dev.example.com/team/llama:v1"}, []string{"v1"}, "team/llama", "v1"},
		{nil, []string{"dev.example.com/team/llama:v1"}, "team/llama", "v1"},
		{nil, []string{"v1"}, "", "v1"},
		{[]string{"dev.example.com/../../etc:v1"}, []string{"v1"}, "", "v1"},
		{[]string{"dev.example.com//etc:v1"}, nil, "", ""},
		{[]string{"dev.example.com/a@" + digest.FromString("m").String()}, nil, "a", ""},
		{nil, []string{"../v1"}, "v1", ""}, // a host that nobody asks
		{nil, nil, "", ""},
	} {
		got := parcelAt(t, c.names, c.tags)
		if len(got) != 1 || got[0].repository != c.repository || got[0].tag != c.tag || strings.Contains(got[0].repository, "..") {
			t.Errorf("%q %q: %+v", c.names, c.tags, got)
		}
	}
	got := parcelAt(t, nil, nil, archive.ContentsArtifact{Name: "dev.example.com/team/llama@" + digest.FromString("m").String(), Digest: digest.FromString("m")})
	if len(got) != 1 || got[0].repository != "team/llama" || got[0].tag != "" {
		t.Errorf("what the contents say is not taken: %+v", got)
	}
}

func TestChoosingParcels(t *testing.T) {
	all := []parcel{
		{name: "dev.example.com/team/llama:v1", repository: "team/llama", tag: "v1", desc: ocispec.Descriptor{Digest: digest.FromString("1")}},
		{name: "dev.example.com/team/llama:v2", repository: "team/llama", tag: "v2", desc: ocispec.Descriptor{Digest: digest.FromString("2")}},
		{name: "dev.example.com/other:v1", repository: "other", tag: "v1", desc: ocispec.Descriptor{Digest: digest.FromString("3")}},
	}
	for pattern, want := range map[string]string{
		"team/llama:v1":                     "team/llama:v1",
		"team/llama:*":                      "team/llama:v1 team/llama:v2",
		"v1":                                "team/llama:v1 other:v1",
		"dev.example.com/**":                "team/llama:v1 team/llama:v2 other:v1",
		"*":                                 "team/llama:v1 team/llama:v2 other:v1",
		digest.FromString("2").String():     "team/llama:v2",
		"team/*":                            "team/llama:v1 team/llama:v2",
		"dev.example.com/team/llama:{v2,x}": "team/llama:v2",
	} {
		chosen, err := selected(all, []string{pattern})
		var got []string
		for _, p := range chosen {
			got = append(got, p.repository+":"+p.tag)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %q, %v, not %q", pattern, got, err, want)
		}
	}
	for _, pattern := range []string{"llama", "v3", "team"} {
		if _, err := selected(all, []string{"v1", pattern}); !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("%q chooses nothing, and that is %v", pattern, err)
		}
	}
	if _, err := selected(all, []string{"[v1"}); !errors.Is(err, ErrUsage) {
		t.Errorf("a broken pattern: %v", err)
	}
}

// Nothing is written by a permit for something else, or by none.
func TestNothingIsDeliveredWithoutAPermit(t *testing.T) {
	l := &loading{}
	s := &shipment{graph: &transfer.Graph{}}
	if err := l.deliver(t.Context(), permit{}, s, s); !errors.Is(err, errNotPermitted) {
		t.Errorf("without a permit: %v", err)
	}
	other := &shipment{graph: &transfer.Graph{}}
	if err := l.deliver(t.Context(), s.permit, s, other); !errors.Is(err, errNotPermitted) {
		t.Errorf("something else: %v", err)
	}
}

func TestCompanions(t *testing.T) {
	hex := strings.Repeat("a", 64)
	for tag, want := range map[string]digest.Digest{
		"sha256-" + hex + ".sig": digest.Digest("sha256:" + hex), "sha256-" + hex + ".att": digest.Digest("sha256:" + hex),
		"sha256-" + hex: "", "sha256-aa.sig": "", "v1.sig": "", "sha256-" + hex + ".sig.sig": "",
	} {
		got, is := parcel{tag: tag}.legacy()
		if is != (want != "") || is && got != want {
			t.Errorf("%s: %s, %t", tag, got, is)
		}
	}
}

// As many names as an index can have are looked through once, not each with each.
func TestManyNames(t *testing.T) {
	names := make([]string, 100_000)
	for i := range names {
		names[i] = fmt.Sprintf("dev.example.com/team/llama:v%d", i)
	}
	if got := parcelAt(t, append(names, names...), nil); len(got) != len(names) {
		t.Errorf("%d parcels of %d names", len(got), len(names))
	}
}

// A repository may be called like something in a layout.
func TestNoLayoutWithinAnother(t *testing.T) {
	dir := t.TempDir()
	to, err := parseDestination("oci:" + dir + "/")
	if err != nil {
		t.Fatal(err)
	}
	at := func(repository string) Target { return Target{Kind: KindLayout, Path: filepath.Join(dir, repository)} }
	l := &loading{to: to, shipments: []*shipment{{to: at("team/llama")}}}
	for repository, allowed := range map[string]bool{
		"team/llama": true, "team/llama2": true, "team/other": true, "team": false, "team/llama/blobs/sha256": false,
	} {
		if err := l.mayBeLayout(at(repository)); (err == nil) != allowed || err != nil && !errors.Is(err, ErrUsage) {
			t.Errorf("%s beside team/llama: %v", repository, err)
		}
	}
	if _, err := store.Create(filepath.Join(dir, "old")); err != nil {
		t.Fatal(err)
	}
	if err := l.mayBeLayout(at("old/blobs/sha256")); !errors.Is(err, ErrUsage) {
		t.Errorf("within what is there: %v", err)
	}
	if err := l.mayBeLayout(at("old")); err != nil {
		t.Errorf("what is there: %v", err)
	}
}
