package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/store"
)

func begin(t *testing.T, l *store.Layout, algorithm digest.Algorithm) *store.Upload {
	t.Helper()
	u, err := l.BeginUpload(t.Context(), algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func resume(t *testing.T, l *store.Layout, id string) *store.Upload {
	t.Helper()
	u, err := l.ResumeUpload(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func put(t *testing.T, u *store.Upload, text string) {
	t.Helper()
	if _, err := u.ReadFrom(strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
}

// An upload comes in parts, through any Layout, and is hashed however it came.
func TestUploadInParts(t *testing.T) {
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		for name, next := range map[string]func(*testing.T, *store.Layout) *store.Layout{
			"one layout":   func(_ *testing.T, l *store.Layout) *store.Layout { return l },
			"another each": func(t *testing.T, l *store.Layout) *store.Layout { return reopened(t, l) },
		} {
			t.Run(string(algorithm)+" "+name, func(t *testing.T) {
				l := mustCreate(t, t.TempDir())
				u := begin(t, l, digest.SHA256)
				for i, part := range []string{"one ", "two ", "three"} {
					if i > 0 {
						u = resume(t, l, u.ID())
					}
					put(t, u, part)
					if err := u.Suspend(); err != nil {
						t.Fatal(err)
					}
					l = next(t, l)
				}
				u = resume(t, l, u.ID())
				if u.Size() != 13 || !l.HasUploads() {
					t.Errorf("%d bytes are there, in an upload %t", u.Size(), l.HasUploads())
				}
				want := algorithm.FromString("one two three")
				desc, err := u.Commit(t.Context(), want)
				if err != nil || desc.Digest != want || desc.Size != 13 {
					t.Fatalf("%+v, %v", desc, err)
				}
				if got := fetch(t, l, desc); got != "one two three" {
					t.Errorf("the blob is %q", got)
				}
				if _, err := l.ResumeUpload(t.Context(), u.ID()); !errors.Is(err, errdef.ErrNotFound) {
					t.Errorf("the upload that ended: %v", err)
				}
				if l.HasUploads() {
					t.Error("an upload is left")
				}
			})
		}
	}
}

// Bytes that are not those of the digest get no name, and are not kept.
func TestUploadOfOtherBytes(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	u := begin(t, l, digest.SHA256)
	put(t, u, "what came")
	want := digest.FromString("what was said")
	_, err := u.Commit(t.Context(), want)
	if wrong := new(*integrity.Error); !errors.As(err, wrong) || (*wrong).Got != digest.FromString("what came") {
		t.Errorf("%v", err)
	}
	wantThere(t, l, false, want, digest.FromString("what came"))
	if l.HasUploads() {
		t.Error("an upload is left")
	}
	if _, err := begin(t, l, digest.SHA256).Commit(t.Context(), "md5:00"); err == nil {
		t.Error("a digest of another algorithm is taken")
	}
}

// Nobody goes on with an upload that somebody has open, in this process or another.
func TestUploadIsOneRequests(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	u := begin(t, l, digest.SHA256)
	put(t, u, "first")
	for name, other := range map[string]*store.Layout{"same": l, "other": mustCreate(t, l.Path())} {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		if _, err := other.ResumeUpload(ctx, u.ID()); !errors.Is(err, context.Canceled) {
			t.Errorf("%s layout: %v", name, err)
		}
	}
	got := make(chan error, 1)
	go func() {
		next, err := l.ResumeUpload(t.Context(), u.ID())
		if err == nil {
			_, err = next.Commit(t.Context(), digest.FromString("first, second"))
		}
		got <- err
	}()
	put(t, u, ", second")
	if err := u.Suspend(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// The name of an upload leads nowhere but to uploads.
func TestUploadNames(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	u := begin(t, l, digest.SHA256)
	defer u.Discard()
	write(t, filepath.Join(l.Path(), "secret"), "secret")
	for _, id := range []string{"", "x", "../../secret", strings.ToUpper(strings.Repeat("ab", 16)), u.ID() + "00", u.ID() + "/../" + u.ID()} {
		if _, err := l.ResumeUpload(t.Context(), id); !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
	link := strings.Repeat("0", 32)
	if err := os.Symlink("../secret", filepath.Join(l.Path(), ".modseal-partial", "upload-"+link)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.ResumeUpload(t.Context(), link); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("a link: %v", err)
	}
}

// Uploads that nobody ends are bounded in number and time; one that is open stays.
func TestUploadsAreBounded(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	aged := func(name string, age time.Duration) {
		t.Helper()
		at := time.Now().Add(-age)
		if err := os.Chtimes(filepath.Join(l.Path(), ".modseal-partial", name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	left := func(age time.Duration) string {
		t.Helper()
		u := begin(t, l, digest.SHA256)
		if err := u.Suspend(); err != nil {
			t.Fatal(err)
		}
		aged("upload-"+u.ID(), age)
		return u.ID()
	}
	exists := func(id string) bool {
		_, err := os.Stat(filepath.Join(l.Path(), ".modseal-partial", "upload-"+id))
		return err == nil
	}
	open := begin(t, l, digest.SHA256)
	defer open.Discard()
	write(t, filepath.Join(l.Path(), ".modseal-partial", "sha256-other"), "no upload")
	old := left(store.KeepPartials + time.Hour)
	aged("upload-"+open.ID(), store.KeepPartials+2*time.Hour)
	aged("sha256-other", store.KeepPartials+time.Hour)
	older, newer := left(2*time.Hour), left(time.Hour)
	if exists(old) || !exists(open.ID()) || !exists(older) {
		t.Errorf("the old one is there %t, the one that is open %t, a newer one %t", exists(old), exists(open.ID()), exists(older))
	}
	if err := open.Suspend(); err != nil {
		t.Fatal(err)
	}
	aged("upload-"+open.ID(), time.Minute)
	for i := range limits.LayoutUploads - 3 {
		write(t, filepath.Join(l.Path(), ".modseal-partial", fmt.Sprintf("upload-%032x", i)), "")
	}
	left(0)
	if exists(older) || !exists(newer) {
		t.Errorf("of too many the oldest is there %t, the next one %t", exists(older), exists(newer))
	}
	if _, err := os.Stat(filepath.Join(l.Path(), ".modseal-partial", "sha256-other")); err != nil {
		t.Errorf("what is no upload: %v", err)
	}
}
