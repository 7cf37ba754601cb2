package modseal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/trust"
)

const hour = time.Hour

func TestTrustUpdate(t *testing.T) {
	t.Parallel()
	s, wire := newSite(t)
	root := filepath.Join(filepath.Dir(s.policy), "root.json")
	res, err := s.TrustUpdate(t.Context(), TrustUpdate{Names: []string{"corp"}, URL: s.tuf.TUF, RootFile: root})
	if err != nil || len(res.Items) != 2 || !res.Items[0].Changed || res.Items[0].Root == nil || res.Items[1].SigningConfig == nil {
		t.Fatalf("%+v, %v", res, err)
	}
	// The repository is remembered, by name or without.
	for _, names := range [][]string{{"corp"}, nil} {
		if res, err := s.TrustUpdate(t.Context(), TrustUpdate{Names: names}); err != nil || len(res.Items) != 2 || res.Items[0].Changed {
			t.Errorf("%v: %+v, %v", names, res, err)
		}
	}
	for name, u := range map[string]TrustUpdate{
		"no root metadata": {Names: []string{"x"}, URL: s.tuf.TUF},
		"no URL":           {Names: []string{"x"}, RootFile: root},
		"no name":          {URL: s.tuf.TUF, RootFile: root},
		"two names":        {Names: []string{"x", "y"}, URL: s.tuf.TUF, RootFile: root},
		"path as name":     {Names: []string{"../x"}, URL: s.tuf.TUF, RootFile: root},
		"kept name":        {Names: []string{"public-good"}, URL: s.tuf.TUF, RootFile: root},
	} {
		if _, err := s.TrustUpdate(t.Context(), u); ClassOf(err) != ClassUsage {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.TrustUpdate(t.Context(), TrustUpdate{Names: []string{"nosuch"}}); ClassOf(err) != ClassNotFound {
		t.Errorf("%v", err)
	}
	// What fails is told, and what does not is kept.
	wire.mode.Store(cut)
	if res, err := s.TrustUpdate(t.Context(), TrustUpdate{Names: []string{"corp", "public-good"}}); ClassOf(err) != ClassTransport || len(res.Items) != 0 {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestTrustShowAndCheck(t *testing.T) {
	t.Parallel()
	s, wire := newSite(t)
	text := trustedRootText(t)
	s.write("trusted_root.json", text)
	file := filepath.Join(filepath.Dir(s.policy), "trusted_root.json")
	wire.mode.Store(forbidden)
	fetched := s.now.Add(-10 * hour)
	if _, err := s.TrustAdd(t.Context(), TrustAddition{Kind: trust.KindRoot, Name: "corp", File: file, Fetched: fetched}); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"", "corp", file} {
		res, err := s.TrustShow(target)
		if err != nil || len(res.Items) != 1 || res.Items[0].Digest != digest.FromBytes(text) || (res.File != "") != (target == file) {
			t.Errorf("%q: %+v, %v", target, res, err)
		}
	}
	if _, err := s.TrustShow("nosuch"); ClassOf(err) != ClassNotFound {
		t.Errorf("%v", err)
	}
	res, err := s.TrustShow("corp")
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Check(0); err != nil {
		t.Errorf("any age: %v", err)
	}
	if err := res.Check(11 * hour); err != nil {
		t.Errorf("young enough: %v", err)
	}
	wantUndecided(t, res.Check(9*hour), "more than 9h0m0s ago", "modseal trust update")
	if res, err = s.TrustShow(file); err != nil {
		t.Fatal(err)
	}
	wantUndecided(t, res.Check(9*hour), "nothing says how old", "")
	s.now = s.now.Add(100 * 365 * 24 * hour)
	if res, err = s.TrustShow("corp"); err != nil {
		t.Fatal(err)
	}
	wantUndecided(t, res.Check(0), "everything in it has expired", "")
	s.now = s.now.Add(-200 * 365 * 24 * hour)
	if res, err = s.TrustShow("corp"); err != nil {
		t.Fatal(err)
	}
	wantUndecided(t, res.Check(0), "nothing in it is valid yet", "")
}

func TestTrustAddRefuses(t *testing.T) {
	t.Parallel()
	s, _ := newSite(t)
	dir := filepath.Dir(s.policy)
	s.write("trusted_root.json", trustedRootText(t))
	s.write("other.json", trustedRootText(t))
	good := TrustAddition{Kind: trust.KindRoot, Name: "corp", File: filepath.Join(dir, "trusted_root.json")}
	if _, err := s.TrustAdd(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	exported, _, err := s.TrustExport(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.write("exported.json", exported)
	for name, row := range map[string]struct {
		change func(*TrustAddition)
		want   Class
	}{
		"another one": {func(a *TrustAddition) { a.File = filepath.Join(dir, "other.json") }, ClassRefused},
		"no file":     {func(a *TrustAddition) { a.File = filepath.Join(dir, "nosuch.json") }, ClassNotFound},
		"bad name":    {func(a *TrustAddition) { a.Name = "a/b" }, ClassUsage},
		"from later":  {func(a *TrustAddition) { a.Fetched = s.now.Add(48 * hour) }, ClassUsage},
		"an export":   {func(a *TrustAddition) { a.Name, a.File = "x", filepath.Join(dir, "exported.json") }, ClassUsage},
		"no key":      {func(a *TrustAddition) { a.Kind = trust.KindKey }, ClassOther},
	} {
		a := good
		row.change(&a)
		if _, err := s.TrustAdd(t.Context(), a); ClassOf(err) != row.want {
			t.Errorf("%s: class %v: %v", name, ClassOf(err), err)
		}
	}
}

func TestTrustExportAndImport(t *testing.T) {
	t.Parallel()
	s, _ := newSite(t)
	dir := filepath.Dir(s.policy)
	if _, _, err := s.TrustExport(nil); ClassOf(err) != ClassNotFound {
		t.Errorf("an empty store: %v", err)
	}
	if _, err := s.TrustUpdate(t.Context(), TrustUpdate{Names: []string{"corp"}, URL: s.tuf.TUF, RootFile: filepath.Join(dir, "root.json")}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "trust.json")
	res, err := s.WriteTrustExport(file, nil)
	if err != nil || len(res.Items) != 2 {
		t.Fatalf("%+v, %v", res, err)
	}
	if again, err := s.WriteTrustExport(file, []string{"corp"}); err != nil || again.Digest != res.Digest {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	if err := os.WriteFile(file+"2", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.WriteTrustExport(file+"2", nil); ClassOf(err) != ClassUsage {
		t.Errorf("over another file: %v", err)
	}

	far, wire := newSite(t)
	wire.mode.Store(forbidden)
	if _, err := far.TrustImport(t.Context(), file, trust.ImportOptions{Digest: digest.FromString("x")}); ClassOf(err) != ClassIntegrity {
		t.Errorf("another digest: %v", err)
	}
	if _, err := far.TrustImport(t.Context(), file+"nosuch", trust.ImportOptions{}); ClassOf(err) != ClassNotFound {
		t.Errorf("no file: %v", err)
	}
	got, err := far.TrustImport(t.Context(), file, trust.ImportOptions{Digest: res.Digest})
	if err != nil || len(got.Items) != 2 || got.Items[0].Action != trust.ActionAdd {
		t.Fatalf("%+v, %v", got, err)
	}
	// The policy of both sites is the same, and here it holds without a network.
	if err := os.WriteFile(filepath.Join(filepath.Dir(far.policy), "root.json"), s.repo.Root(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := far.root(t.Context(), s.tuf, far.policy, true); err != nil {
		t.Error(err)
	}
	far.write("other.json", trustedRootText(t))
	if _, err := far.TrustAdd(t.Context(), TrustAddition{Kind: trust.KindRoot, Name: "corp", File: filepath.Join(filepath.Dir(far.policy), "other.json"), Replace: true}); err != nil {
		t.Fatal(err)
	}
	got, err = far.TrustImport(t.Context(), file, trust.ImportOptions{})
	if ClassOf(err) != ClassRefused || got == nil || got.Items[0].Action != trust.ActionRefuse || got.Items[0].Why == "" {
		t.Errorf("%+v, %v", got, err)
	}
	if removed, err := far.TrustRemove(t.Context(), "corp"); err != nil || len(removed.Items) != 2 {
		t.Errorf("%+v, %v", removed, err)
	}
	if _, err := far.TrustRemove(t.Context(), "corp"); ClassOf(err) != ClassNotFound || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestClassesOfTrust(t *testing.T) {
	t.Parallel()
	for want, errs := range map[Class][]error{
		ClassTransport: {&trust.FetchError{Err: errors.New("x")}},
		ClassIntegrity: {&trust.RepositoryError{Err: errors.New("x")}, &trust.DamagedError{Err: errors.New("x")}, &trust.DigestError{}},
		ClassRefused:   {&trust.ImportError{}, trust.ErrExists},
		ClassNotFound:  {&trust.NotFoundError{}},
		// What cannot be had when it is to decide is undecided, whatever the cause.
		ClassUndecided: {&TrustError{&trust.NotFoundError{}}, &TrustError{&trust.DamagedError{Err: errors.New("x")}}},
	} {
		for _, err := range errs {
			if got := ClassOf(fmt.Errorf("wrapped: %w", err)); got != want {
				t.Errorf("%T: class %v, want %v", err, got, want)
			}
		}
	}
}
