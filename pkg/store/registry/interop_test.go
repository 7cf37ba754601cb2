package registry_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A directory that olareg wrote is served, and written on; and olareg reads what came
// of it.
func TestDirectoryOfOlareg(t *testing.T) {
	dir := t.TempDir()
	olaregOver := func(use func(*client)) {
		yes := true
		handler := olareg.New(config.Config{
			Storage: config.ConfigStorage{StoreType: config.StoreDir, RootDir: dir},
			API:     config.ConfigAPI{PushEnabled: &yes, DeleteEnabled: &yes, Referrer: config.ConfigAPIReferrer{Enabled: &yes}},
		})
		server := httptest.NewServer(handler)
		use(&client{t: t, dir: dir, url: server.URL})
		server.Close()
		if err := handler.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var subject ocispec.Descriptor
	attach := func(c *client, text string) {
		t.Helper()
		raw, desc := c.image("team/model", text, &subject)
		c.want(http.StatusCreated, "PUT", "/v2/team/model/manifests/"+desc.Digest.String(), raw, ct, image)
	}
	check := func(c *client, want ...string) {
		t.Helper()
		got := c.want(http.StatusOK, "GET", "/v2/team/model/manifests/v1", "", "Accept", image)
		if got.header.Get("Docker-Content-Digest") != subject.Digest.String() {
			t.Errorf("v1 is %v", got.header)
		}
		_, found := c.referrers("team/model", subject.Digest, "")
		var types []string
		for _, d := range found {
			types = append(types, strings.TrimPrefix(d.ArtifactType, "type/"))
			c.want(http.StatusOK, "GET", "/v2/team/model/manifests/"+d.Digest.String(), "", "Accept", image)
		}
		slices.Sort(types)
		if !slices.Equal(types, want) {
			t.Errorf("the referrers are %v, not %v", types, want)
		}
	}
	olaregOver(func(c *client) {
		raw, desc := c.image("team/model", "model", nil)
		subject = desc
		c.want(http.StatusCreated, "PUT", "/v2/team/model/manifests/v1", raw, ct, image)
		attach(c, "a")
		attach(c, "b")
	})
	ours := serve(t, dir)
	check(ours, "a", "b")
	attach(ours, "c")
	_, found := ours.referrers("team/model", subject.Digest, "?artifactType=type/a")
	ours.want(http.StatusAccepted, "DELETE", "/v2/team/model/manifests/"+found[0].Digest.String(), "")
	check(ours, "b", "c")
	ours.backend.CollectNow(t.Context())
	check(ours, "b", "c")
	olaregOver(func(c *client) { check(c, "b", "c") })
}
