package transfer_test

import (
	"testing"

	"github.com/olareg/olareg/config"

	"github.com/modseal/modseal/pkg/referrer"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/store"
	"github.com/modseal/modseal/pkg/transfer"
)

var _ referrer.Target = (*store.Layout)(nil)

func TestCopyOverLayout(t *testing.T) {
	src := newRegistry(t, config.Config{}, nil).repository(t, "team/model", remote.Options{})
	g := newGraph(t, src)
	l, err := store.Create(t.TempDir() + "/l")
	if err != nil {
		t.Fatal(err)
	}
	r, err := transfer.Copy(t.Context(), src, l, g.index, transfer.CopyOptions{Referrers: true})
	if err != nil {
		t.Fatal(err)
	}
	_ = r
	g.check(t, l)
	r, err = transfer.Copy(t.Context(), src, l, g.index, transfer.CopyOptions{Referrers: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range r.Items {
		if i.Outcome != transfer.Existed {
			t.Error(i)
		}
	}
	d := attach(t, l, g.b, "in the layout")
	if d2 := attach(t, l, g.b, "in the layout"); d2.Digest != d.Digest {
		t.Error("not idempotent")
	}
	dst := newRegistry(t, noReferrersAPI(), nil).repository(t, "team/model", remote.Options{})
	if _, err := transfer.Copy(t.Context(), l, dst, g.index, transfer.CopyOptions{Referrers: true}); err != nil {
		t.Fatal(err)
	}
	g.check(t, dst)
	if n, err := referrer.List(t.Context(), dst, g.b); err != nil || len(n) != 1 {
		t.Error(n, err)
	}
}
