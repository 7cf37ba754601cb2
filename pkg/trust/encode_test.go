package trust_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/hack/tufrepo"
	"github.com/modseal/modseal/pkg/trust"
)

// items are one of each kind, and a root that came from TUF.
func items(t testing.TB) []trust.Item {
	t.Helper()
	repo, err := tufrepo.New(nil, day.Add(year))
	if err != nil {
		t.Fatal(err)
	}
	fetched := rootItem(t, "corp")
	fetched.Source, fetched.Fetched = "https://tuf.example.com", day.Add(-48*time.Hour)
	fetched.TUF = &trust.Source{Name: "corp", URL: fetched.Source, Initial: repo.Root()}
	top := issue(t, "root", nil, nil)
	return []trust.Item{
		keyItem(t, "release"),
		{Kind: trust.KindCertificate, Name: "corp", Source: "ca.pem", Data: certificatePEM(top)},
		{Kind: trust.KindSigningConfig, Name: "corp", Source: "signing.json", Data: signingJSON()},
		rootItem(t, "files"),
		fetched,
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	in := items(t)
	data, err := trust.Encode(in)
	if err != nil {
		t.Fatal(err)
	}
	turned := []trust.Item{in[3], in[1], in[4], in[0], in[2]}
	again, err := trust.Encode(turned)
	if err != nil || !bytes.Equal(data, again) {
		t.Errorf("the order of the items shows: %v", err)
	}
	out, err := trust.Decode("export.json", data)
	if err != nil {
		t.Fatal(err)
	}
	want := []trust.Item{in[4], in[3], in[2], in[0], in[1]}
	if diff := cmp.Diff(want, out); diff != "" {
		t.Error(diff)
	}
	// White space is nobody's business.
	if _, err := trust.Decode("export.json", bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n\t"))); err != nil {
		t.Error(err)
	}
	if !trust.IsEncoded(data) || trust.IsEncoded(in[0].Data) || trust.IsEncoded(signingJSON()) {
		t.Error("IsEncoded")
	}
}

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*trust.Item){
		"path as name":        func(it *trust.Item) { it.Name = "../x" },
		"no name":             func(it *trust.Item) { it.Name = "" },
		"long name":           func(it *trust.Item) { it.Name = strings.Repeat("x", 65) },
		"dot first":           func(it *trust.Item) { it.Name = ".x" },
		"line in name":        func(it *trust.Item) { it.Name = "x\n" },
		"unknown kind":        func(it *trust.Item) { it.Kind = "policy" },
		"escape in source":    func(it *trust.Item) { it.Source = "\x1b[2J" },
		"year 1":              func(it *trust.Item) { it.Fetched = time.Time{}.Add(time.Hour) },
		"year 10000":          func(it *trust.Item) { it.Fetched = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"key from TUF":        func(it *trust.Item) { it.TUF = &trust.Source{Name: it.Name, URL: it.Source} },
		"root that is none":   func(it *trust.Item) { it.Kind = trust.KindRoot },
		"TUF of another name": func(it *trust.Item) { *it = rootItem(t, "x"); it.TUF = &trust.Source{Name: "y", URL: it.Source} },
	} {
		it := keyItem(t, "release")
		change(&it)
		if _, err := trust.Encode([]trust.Item{it}); !errors.Is(err, trust.ErrInvalidItem) && !errors.Is(err, trust.ErrInvalidRoot) {
			t.Errorf("%s: %v", name, err)
		}
	}
	it := keyItem(t, "release")
	if _, err := trust.Encode([]trust.Item{it, it}); !errors.Is(err, trust.ErrInvalidItem) || !strings.Contains(err.Error(), "twice") {
		t.Errorf("twice: %v", err)
	}
}

// Nothing but what Encode writes is read: one change at a time.
func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	in := items(t)
	data, err := trust.Encode(in)
	if err != nil {
		t.Fatal(err)
	}
	key := base64.StdEncoding.EncodeToString(in[0].Data)
	for name, row := range map[string]struct{ old, new string }{
		"media type":          {trust.MediaType, "application/vnd.modseal.trust.v2+json"},
		"letter case":         {`"mediaType"`, `"MediaType"`},
		"unknown field":       {`"mediaType"`, `"x": 1, "mediaType"`},
		"repeated field":      {`"mediaType"`, `"mediaType": "x", "mediaType"`},
		"repeated in an item": {`"kind": "key"`, `"kind": "root", "kind": "key"`},
		"data changed":        {key, base64.StdEncoding.EncodeToString(append([]byte("x"), in[0].Data...))},
		"data in lines":       {key, key[:20] + `\n` + key[20:]},
		"digest":              {in[0].Digest().Encoded(), in[1].Digest().Encoded()},
		"digest algorithm":    {in[0].Digest().String(), "sha512:" + in[0].Digest().Encoded()},
		"path as name":        {`"name": "release"`, `"name": "../../release"`},
		"escaped name":        {`"name": "release"`, `"name": "\u0072elease"`},
		"items out of order":  {`"name": "files"`, `"name": "a"`},
		"kind":                {`"kind": "key"`, `"kind": "certificate"`},
		"time with fraction":  {"2026-02-27T12:00:00Z", "2026-02-27T12:00:00.5Z"},
		"time elsewhere":      {"2026-02-27T12:00:00Z", "2026-02-27T13:00:00+01:00"},
		"TUF elsewhere":       {`"url": "https://tuf.example.com"`, `"url": "https://evil.example.com"`},
		"null":                {`"items": [`, `"items": null, "items": [`},
	} {
		text := strings.Replace(string(data), row.old, row.new, 1)
		if text == string(data) {
			t.Errorf("%s: nothing was changed", name)
		}
		got, err := trust.Decode("export.json", []byte(text))
		if name == "data changed" && (err == nil || !strings.Contains(err.Error(), "key release: digest")) {
			t.Errorf("%s: %v does not say which digest is wrong", name, err)
		}
		if err == nil || got != nil || !strings.HasPrefix(err.Error(), "export.json: ") {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for name, text := range map[string]string{
		"nothing": "", "null": "null", "list": "[]", "followed by more": string(data) + "{}", "no items": `{"mediaType": "` + trust.MediaType + `"}`,
		"many items": `{"mediaType": "` + trust.MediaType + `", "items": [` + strings.Repeat("{},", 1000) + "{}]}",
		"too large":  string(data) + strings.Repeat(" ", 32<<20),
	} {
		if _, err := trust.Decode("export.json", []byte(text)); !errors.Is(err, trust.ErrInvalidItem) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	in := items(t)
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	encoded := func(items ...trust.Item) []byte {
		data, err := trust.Encode(items)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	// A file that carries a root tells when it was fetched.
	r, err := trust.LoadRoot(write("one.json", encoded(in[4], in[0])))
	if err != nil || r.Name != "corp" || !r.Fetched.Equal(in[4].Fetched) || r.Source != "https://tuf.example.com" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := trust.LoadRoot(write("two.json", encoded(in[4], in[3]))); !errors.Is(err, trust.ErrInvalidItem) {
		t.Errorf("two roots: %v", err)
	}
	if _, err := trust.LoadRoot(write("none.json", encoded(in[0]))); !errors.Is(err, trust.ErrInvalidItem) {
		t.Errorf("no root: %v", err)
	}
	if _, err := trust.LoadRoot(write("signing.json", signingJSON())); !errors.Is(err, trust.ErrInvalidRoot) {
		t.Errorf("a signing configuration: %v", err)
	}
	if _, err := trust.LoadRoot(filepath.Join(dir, "missing.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if c, err := trust.LoadSigningConfig(write("sc.json", encoded(in[2]))); err != nil || c.Name != "corp" {
		t.Errorf("%+v, %v", c, err)
	}
	for name, row := range map[string]struct {
		data []byte
		kind trust.Kind
	}{
		"root": {in[3].Data, trust.KindRoot}, "signing": {signingJSON(), trust.KindSigningConfig},
		"key": {in[0].Data, trust.KindKey}, "certificate": {in[1].Data, trust.KindCertificate},
	} {
		got, err := trust.ReadItems(name, row.data)
		if err != nil || len(got) != 1 || got[0].Kind != row.kind {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := trust.ReadItems("garbage", []byte("hello")); !errors.Is(err, trust.ErrInvalidItem) {
		t.Errorf("garbage: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	data, err := trust.Encode(items(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	one, err := trust.Encode([]trust.Item{keyItem(f, "release")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(one)
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := trust.Decode("fuzz", data)
		if err != nil {
			return
		}
		again, err := trust.Encode(got)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		for _, it := range got {
			if !trust.ValidName(it.Name) {
				t.Fatalf("the name %q was taken", it.Name)
			}
			if _, err := it.Describe(day); err != nil {
				t.Fatal(err)
			}
		}
		if second, err := trust.Decode("fuzz", again); err != nil || len(second) != len(got) {
			t.Fatalf("what was written cannot be read: %v", err)
		}
	})
}
