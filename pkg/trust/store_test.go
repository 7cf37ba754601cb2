package trust_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/trust"
)

func newStore(t *testing.T, items ...trust.Item) trust.Store {
	t.Helper()
	s := trust.Store{Dir: filepath.Join(t.TempDir(), "trust")}
	for _, it := range items {
		if err := s.Add(t.Context(), it, false); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	in := items(t)
	s := newStore(t, in...)
	got, err := s.Items()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]trust.Item{in[4], in[3], in[2], in[0], in[1]}, got); diff != "" {
		t.Error(diff)
	}
	if r, err := s.Root("corp"); err != nil || !r.Fetched.Equal(in[4].Fetched) || r.Source != in[4].Source {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := s.RootFrom(trust.Source{Name: "whatever", URL: in[4].TUF.URL, Initial: in[4].TUF.Initial}); err != nil || r.Name != "corp" {
		t.Errorf("%+v, %v", r, err)
	}
	if c, err := s.SigningConfig("corp"); err != nil || c.Source != "signing.json" {
		t.Errorf("%+v, %v", c, err)
	}
	if k, err := s.Key("release"); err != nil || k.Name != "release" {
		t.Errorf("%+v, %v", k, err)
	}
	if a, err := s.Authority("corp"); err != nil || len(a.Roots) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	if named, err := s.Named("corp"); err != nil || len(named) != 3 {
		t.Errorf("%d of corp, %v", len(named), err)
	}
	var missing *trust.NotFoundError
	for name, ask := range map[string]func() error{
		"root":             func() error { _, err := s.Root("nosuch"); return err },
		"signing config":   func() error { _, err := s.SigningConfig("release"); return err },
		"key":              func() error { _, err := s.Key("corp"); return err },
		"certificate":      func() error { _, err := s.Authority("release"); return err },
		"name":             func() error { _, err := s.Named("corp", "nosuch"); return err },
		"removing":         func() error { _, err := s.Remove(t.Context(), "corp", "nosuch"); return err },
		"other first root": func() error { _, err := s.RootFrom(trust.Source{URL: in[4].TUF.URL, Initial: []byte("x")}); return err },
		"other place": func() error {
			_, err := s.RootFrom(trust.Source{URL: "https://x", Initial: in[4].TUF.Initial})
			return err
		},
		"store that is not": func() error { _, err := trust.Store{Dir: s.Dir + "x"}.Root("corp"); return err },
		"zero store":        func() error { _, err := trust.Store{}.Root("corp"); return err },
	} {
		if err := ask(); !errors.As(err, &missing) || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(s.Dir + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("reading made a store")
	}
}

func TestStoreAddAndRemove(t *testing.T) {
	t.Parallel()
	one, two := keyItem(t, "release"), keyItem(t, "release")
	s := newStore(t, one)
	if err := s.Add(t.Context(), one, false); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if err := s.Add(t.Context(), two, false); !errors.Is(err, trust.ErrExists) {
		t.Errorf("another one: %v", err)
	}
	if k, err := s.Key("release"); err != nil || !bytes.Equal(k.PEM(), one.Data) {
		t.Errorf("the first was replaced: %v", err)
	}
	if err := s.Add(t.Context(), two, true); err != nil {
		t.Error(err)
	}
	if k, err := s.Key("release"); err != nil || !bytes.Equal(k.PEM(), two.Data) {
		t.Errorf("the second is not there: %v", err)
	}
	if got := material(t, s); len(got) != 1 {
		t.Errorf("what nothing names is kept: %q", got)
	}
	if err := s.Add(t.Context(), trust.Item{Kind: trust.KindKey, Name: "../x", Data: one.Data}, true); !errors.Is(err, trust.ErrInvalidItem) {
		t.Errorf("a path as a name: %v", err)
	}
	gone, err := s.Remove(t.Context(), "release")
	if err != nil || len(gone) != 1 || gone[0].Digest() != two.Digest() {
		t.Errorf("%v, %v", gone, err)
	}
	if left, err := s.Items(); err != nil || len(left) != 0 || len(material(t, s)) != 0 {
		t.Errorf("%v, %v", left, err)
	}
	if err := (trust.Store{}).Add(t.Context(), one, false); err == nil {
		t.Error("the zero store keeps something")
	}
}

func material(t *testing.T, s trust.Store) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.Dir, "material"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// A store that is not what its index says is not believed, whatever was done.
func TestStoreDamaged(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(dir, file string) error{
		"index cut":        func(dir, _ string) error { return os.Truncate(filepath.Join(dir, "index.json"), 40) },
		"index of nobody":  func(dir, _ string) error { return os.WriteFile(filepath.Join(dir, "index.json"), []byte("{}"), 0o600) },
		"index too large":  func(dir, _ string) error { return os.Truncate(filepath.Join(dir, "index.json"), 5<<20) },
		"material changed": func(_, file string) error { return os.WriteFile(file, []byte("x"), 0o600) },
		"material is gone": func(_, file string) error { return os.Remove(file) },
		"digest as a path": func(dir, _ string) error {
			return replaceIn(filepath.Join(dir, "index.json"), `"sha256:`, `"sha256:../../`)
		},
		"another algorithm": func(dir, _ string) error { return replaceIn(filepath.Join(dir, "index.json"), `"sha256:`, `"md5:`) },
		"another kind":      func(dir, _ string) error { return replaceIn(filepath.Join(dir, "index.json"), `"key"`, `"root"`) },
		"one name twice": func(dir, _ string) error {
			return replaceIn(filepath.Join(dir, "index.json"), "\n  ]", `, {"kind": "key", "name": "release", "digest": "`+digestOf(nil).String()+`"}]`)
		},
		"another key in its place": func(_, file string) error { return os.WriteFile(file, keyItem(t, "other").Data, 0o600) },
		"path as name": func(dir, _ string) error {
			return replaceIn(filepath.Join(dir, "index.json"), `"release"`, `"../release"`)
		},
	} {
		s := newStore(t, keyItem(t, "release"))
		if err := damage(s.Dir, filepath.Join(s.Dir, "material", material(t, s)[0])); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Items(); err == nil || errors.Is(err, fs.ErrNotExist) || !errorAs[*trust.DamagedError](err) && !errors.Is(err, trust.ErrInvalidItem) {
			t.Errorf("%s: reading: %v", name, err)
		}
		if err := s.Add(t.Context(), keyItem(t, "other"), true); err == nil {
			t.Errorf("%s: it was written to", name)
		}
	}
}

func replaceIn(file, old, with string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, bytes.Replace(text, []byte(old), []byte(with), 1), 0o600)
}

// A writer that dies before the index is replaced leaves the old store.
func TestStoreHalfWritten(t *testing.T) {
	t.Parallel()
	s := newStore(t, keyItem(t, "release"))
	dir := filepath.Join(s.Dir, "material")
	for name, text := range map[string]string{".new-123": "half", "sha256-" + strings.Repeat("a", 64): "whole"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Items(); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	if err := s.Add(t.Context(), keyItem(t, "other"), false); err != nil {
		t.Fatal(err)
	}
	if got := material(t, s); len(got) != 2 {
		t.Errorf("what the dead one left is still there: %q", got)
	}
	notes := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(notes, []byte("where these come from"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Add(t.Context(), keyItem(t, "third"), false); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(notes); err != nil {
		t.Errorf("a file of somebody else is gone: %v", err)
	}
}

func TestStoreConcurrently(t *testing.T) {
	t.Parallel()
	s := newStore(t, keyItem(t, "release"))
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	var wait sync.WaitGroup
	for _, n := range names {
		it := keyItem(t, n)
		wait.Go(func() {
			if err := s.Add(t.Context(), it, false); err != nil {
				t.Error(err)
			}
		})
		wait.Go(func() {
			if _, err := s.Key("release"); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if got, err := s.Items(); err != nil || len(got) != len(names)+1 {
		t.Errorf("%d items, %v", len(got), err)
	}
}

func TestStoreWaitsForOthers(t *testing.T) {
	t.Parallel()
	s := newStore(t, keyItem(t, "release"))
	unlock, err := trust.LockForTest(t.Context(), s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("tired of waiting")
	cancel(why)
	if err := s.Add(ctx, keyItem(t, "other"), false); !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
	if _, err := s.Key("release"); err != nil {
		t.Errorf("reading waits for writers: %v", err)
	}
}

func TestStoreUpdate(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	s := newStore(t)
	got, err := s.Update(t.Context(), srv.src, srv.options(day))
	if err != nil || len(got) != 2 || !got[0].New || !got[0].Changed || got[0].Kind != trust.KindRoot || got[1].Kind != trust.KindSigningConfig {
		t.Fatalf("%+v, %v", got, err)
	}
	// Nothing new: only the time.
	later := day.Add(24 * time.Hour)
	got, err = s.Update(t.Context(), srv.src, srv.options(later))
	if err != nil || got[0].New || got[0].Changed {
		t.Errorf("%+v, %v", got, err)
	}
	if r, err := s.Root("corp"); err != nil || !r.Fetched.Equal(later) {
		t.Errorf("%+v, %v", r, err)
	}
	srv.publish(t)
	got, err = s.Update(t.Context(), srv.src, srv.options(later))
	if err != nil || len(got) != 1 || got[0].New || !got[0].Changed {
		t.Errorf("%+v, %v", got, err)
	}
	sources, err := s.Sources()
	if err != nil || len(sources) != 1 || !sources[0].Same(srv.src) || sources[0].Name != "corp" {
		t.Errorf("%+v, %v", sources, err)
	}
	// What cannot be fetched leaves what is there.
	srv.http.Close()
	if _, err := s.Update(t.Context(), srv.src, srv.options(later)); !errorAs[*trust.FetchError](err) {
		t.Errorf("%v", err)
	}
	if r, err := s.Root("corp"); err != nil || string(r.JSON()) != string(srv.root) {
		t.Errorf("%v", err)
	}
}

// What somebody put there by hand stays, and nothing is fetched in vain.
func TestStoreUpdateKeepsWhatWasAdded(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	o := srv.options(day)
	o.Transport = noNetwork{t}
	if _, err := newStore(t, rootItem(t, "corp")).Update(t.Context(), srv.src, o); !errors.Is(err, trust.ErrNotRefreshable) {
		t.Errorf("from a file: %v", err)
	}
	other := items(t)[4]
	if _, err := newStore(t, other).Update(t.Context(), srv.src, o); !errors.Is(err, trust.ErrExists) {
		t.Errorf("from another repository: %v", err)
	}
	if _, err := (trust.Store{}).Update(t.Context(), srv.src, o); err == nil {
		t.Error("the zero store was updated")
	}
}

func export(t *testing.T, items ...trust.Item) []byte {
	t.Helper()
	data, err := trust.Encode(items)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// What an import does with one item, depending on what is there.
func TestImport(t *testing.T) {
	t.Parallel()
	base := items(t)[4] // from TUF, fetched two days ago
	with := func(change func(*trust.Item)) trust.Item {
		it := base
		change(&it)
		return it
	}
	newer := with(func(it *trust.Item) { it.Fetched = day; it.Data = rootJSON(t, newRoot(t)) })
	older := with(func(it *trust.Item) { it.Fetched = day.Add(-72 * time.Hour); it.Data = rootJSON(t, newRoot(t)) })
	seenLater := with(func(it *trust.Item) { it.Fetched = day })
	seenEarlier := with(func(it *trust.Item) { it.Fetched = day.Add(-72 * time.Hour) })
	elsewhere := with(func(it *trust.Item) {
		it.Fetched, it.Data, it.Source = day, rootJSON(t, newRoot(t)), "https://other.example.com"
		it.TUF = &trust.Source{Name: "corp", URL: it.Source, Initial: it.TUF.Initial}
	})
	byHand := with(func(it *trust.Item) { it.TUF, it.Source, it.Fetched = nil, "root.json", time.Time{} })
	expired := with(func(it *trust.Item) {
		pb := newRoot(t)
		pb.CertificateAuthorities, pb.TimestampAuthorities, pb.Ctlogs = nil, nil, nil
		pb.Tlogs[0].PublicKey.ValidFor = pbWindow(day.Add(-year), day.Add(-time.Second))
		it.Data, it.Fetched = rootJSON(t, pb), day
	})
	future := with(func(it *trust.Item) { it.Fetched = day.Add(trust.MaxClockSkew + time.Second) })
	for _, row := range []struct {
		name            string
		have            []trust.Item
		in              trust.Item
		plain           trust.Action
		why             string // of the refusal
		digest, replace trust.Action
	}{
		{"nothing there", nil, base, "add", "", "add", "add"},
		{"the same", []trust.Item{base}, base, "keep", "", "keep", "keep"},
		{"the same, seen later", []trust.Item{base}, seenLater, "refresh", "", "refresh", "refresh"},
		{"the same, seen earlier", []trust.Item{base}, seenEarlier, "keep", "", "keep", "keep"},
		{"the same, added by hand", []trust.Item{byHand}, base, "refuse", "the same bytes are here, from root.json", "refuse", "replace"},
		{"newer", []trust.Item{base}, newer, "refuse", "another one is here", "update", "replace"},
		{"older", []trust.Item{base}, older, "refuse", "the one that is here is newer", "refuse", "replace"},
		{"from elsewhere", []trust.Item{base}, elsewhere, "refuse", "another one is here", "refuse", "replace"},
		{"another by hand", []trust.Item{rootItem(t, "corp")}, newer, "refuse", "another one is here", "refuse", "replace"},
		{"of no known time", []trust.Item{base}, rootItem(t, "corp"), "refuse", "this one nobody knows when", "refuse", "replace"},
		{"expired", nil, expired, "refuse", "everything in it has expired", "refuse", "add"},
		{"expired and newer", []trust.Item{base}, expired, "refuse", "everything in it has expired", "refuse", "replace"},
		{"from the future", nil, future, "refuse", "in the future", "refuse", "refuse"},
	} {
		data := export(t, row.in)
		for how, try := range map[string]struct {
			o    trust.ImportOptions
			want trust.Action
		}{
			"plain":   {trust.ImportOptions{}, row.plain},
			"digest":  {trust.ImportOptions{Digest: digestOf(data)}, row.digest},
			"replace": {trust.ImportOptions{Replace: true}, row.replace},
		} {
			s := newStore(t, row.have...)
			try.o.Now = day
			dry := try.o
			dry.DryRun = true
			before, _ := s.Items()
			judged, dryErr := s.Import(t.Context(), "export.json", data, dry)
			if after, err := s.Items(); err != nil || !cmp.Equal(before, after) {
				t.Errorf("%s, %s: a dry run changed the store", row.name, how)
			}
			res, err := s.Import(t.Context(), "export.json", data, try.o)
			if len(res.Items) != 1 || res.Items[0].Action != try.want || len(judged.Items) != 1 || judged.Items[0].Action != try.want {
				t.Errorf("%s, %s: %+v and dry %+v, want %s", row.name, how, res.Items, judged.Items, try.want)
				continue
			}
			refused := try.want == trust.ActionRefuse
			if errorAs[*trust.ImportError](err) != refused || errorAs[*trust.ImportError](dryErr) != refused || (err != nil) != refused {
				t.Errorf("%s, %s: %v and dry %v", row.name, how, err, dryErr)
			}
			if how == "plain" && refused && !strings.Contains(err.Error(), row.why) {
				t.Errorf("%s: %q does not say %q", row.name, err, row.why)
			}
			after, _ := s.Items()
			want := before
			if !refused && try.want != trust.ActionKeep {
				want = []trust.Item{row.in}
			}
			if diff := cmp.Diff(want, after); diff != "" {
				t.Errorf("%s, %s: %s", row.name, how, diff)
			}
		}
	}
}

// One item that may not be kept keeps all others out.
func TestImportIsWhole(t *testing.T) {
	t.Parallel()
	s := newStore(t, keyItem(t, "release"))
	before, _ := s.Items()
	in := append(items(t)[1:], keyItem(t, "release"), keyItem(t, "another"))
	_, err := s.Import(t.Context(), "export.json", export(t, in...), trust.ImportOptions{Now: day})
	var refused *trust.ImportError
	if !errors.As(err, &refused) || len(refused.Import.Items) != len(in) {
		t.Fatalf("%v", err)
	}
	if n := len(slices.DeleteFunc(refused.Import.Items, func(i trust.Imported) bool { return i.Action != trust.ActionRefuse })); n != 1 {
		t.Errorf("%d refused", n)
	}
	if after, err := s.Items(); err != nil || !cmp.Equal(before, after) {
		t.Errorf("something was imported: %v", err)
	}
}

func TestImportOfAnotherFile(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	data := export(t, keyItem(t, "release"))
	_, err := s.Import(t.Context(), "export.json", data, trust.ImportOptions{Digest: digestOf([]byte("another")), Replace: true})
	if !errorAs[*trust.DigestError](err) {
		t.Errorf("%v", err)
	}
	if _, err := s.Import(t.Context(), "export.json", data[:len(data)/2], trust.ImportOptions{Replace: true}); err == nil {
		t.Error("half a file was imported")
	}
	if _, err := os.Stat(s.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a store was made")
	}
}

func FuzzReadIndex(f *testing.F) {
	f.Add([]byte(`{"mediaType":"application/vnd.modseal.trust.index.v1+json","items":[{"kind":"key","name":"release","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := trust.Store{Dir: t.TempDir()}
		if err := os.WriteFile(filepath.Join(s.Dir, "index.json"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Items(); err == nil && len(got) > 0 {
			t.Fatalf("%d items without their bytes", len(got))
		}
	})
}
