package modseal_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/modseal"
)

// A repository that there is none of is unknown, as the distribution specification has
// it, until something is in it.
func TestServeUnknownRepository(t *testing.T) {
	dir := t.TempDir()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- modseal.Serve(ctx, dir, listener, modseal.ServeOptions{}) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	host := listener.Addr().String()
	for path, want := range map[string]int{
		"team/model":       http.StatusNotFound,
		"team":             http.StatusNotFound,
		"team/model/blobs": http.StatusNotFound,
		"Team/model":       http.StatusBadRequest, // no name of a repository at all
	} {
		code, body := tagsOf(t, host, path)
		if code != want || path != "Team/model" && (len(body.Errors) != 1 || body.Errors[0].Code != "NAME_UNKNOWN") {
			t.Errorf("%s: %d, %+v", path, code, body)
		}
	}
	client, err := modseal.New(modseal.Options{StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.List(t.Context(), host+"/team/model"); modseal.ClassOf(err) != modseal.ClassNotFound {
		t.Errorf("list of what is not there: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("asking made %v, %v", entries, err)
	}
	// Asked for before it was there, it is there when it is.
	model := filepath.Join(t.TempDir(), "model")
	if err := os.MkdirAll(model, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(model, "config.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{host + "/team/model:pushed", "oci:" + filepath.Join(dir, "team", "packed") + ":v1"} {
		if _, err := client.Push(t.Context(), model, target, modseal.PackOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{"team/model": "pushed", "team/packed": "v1"} {
		if code, body := tagsOf(t, host, path); code != http.StatusOK || strings.Join(body.Tags, " ") != want {
			t.Errorf("%s: %d, %+v", path, code, body)
		}
	}
	if code, _ := tagsOf(t, host, "team"); code != http.StatusNotFound {
		t.Errorf("a directory of repositories: %d", code)
	}
}

type tagsAnswer struct {
	Tags   []string
	Errors []struct{ Code string }
}

// tagsOf asks for the tags of a repository, and returns the status and what came.
func tagsOf(t *testing.T, host, repository string) (int, tagsAnswer) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/v2/"+repository+"/tags/list", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var a tagsAnswer
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &a); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
	}
	return resp.StatusCode, a
}
