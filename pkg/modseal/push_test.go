//go:build unix

package modseal

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"

	"github.com/modseal/modseal/pkg/fileid"
	"github.com/modseal/modseal/pkg/sign"
)

// counter is a registry that counts the requests which move layers.
type counter struct {
	http.Handler
	mu      sync.Mutex
	uploads int
	reads   []string
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	if strings.Contains(r.URL.Path, "/blobs/") {
		switch r.Method {
		case http.MethodPost, http.MethodPatch, http.MethodPut:
			c.uploads++
		case http.MethodGet:
			c.reads = append(c.reads, r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
		}
	}
	c.mu.Unlock()
	c.Handler.ServeHTTP(w, r)
}

func startRegistry(t *testing.T) (host string, c *counter) {
	t.Helper()
	registry := olareg.New(config.Config{Storage: config.ConfigStorage{StoreType: config.StoreMem}})
	c = &counter{Handler: registry}
	server := httptest.NewServer(c)
	t.Cleanup(func() {
		server.Close()
		if err := registry.Close(); err != nil {
			t.Error(err)
		}
	})
	return strings.TrimPrefix(server.URL, "http://"), c
}

func makeModel(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	const n = 1 << 20
	header := fmt.Sprintf(`{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}`, n, n)
	weights := string([]byte{byte(len(header)), 0, 0, 0, 0, 0, 0, 0}) + header + strings.Repeat("w", n)
	for name, content := range map[string]string{
		"model.safetensors": weights, "config.json": `{"model_type":"llama"}`, "README.md": "---\nlicense: mit\n---\n", "empty": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// makeKey makes a key that no password encrypts: stretching one takes two seconds under
// the race detector, and that again for each signature.
func makeKey(t *testing.T) (private, public string) {
	t.Helper()
	return makeKeyWith(t, nil)
}

func makeKeyWith(t *testing.T, password []byte) (private, public string) {
	t.Helper()
	res, err := Keygen(filepath.Join(t.TempDir(), "k"), sign.P256, password)
	if err != nil {
		t.Fatal(err)
	}
	return res.PrivateKey, res.PublicKey
}

func password() ([]byte, error) { return []byte("pw"), nil }

func newClient(t *testing.T) *Client {
	t.Helper()
	c, err := New(Options{StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// readings counts how many bytes were read one after the other through each
// descriptor that a model's files were opened with. A duplicate of a descriptor
// shares its offset, so that the count needs no wrapper around the file.
type readings struct {
	t     *testing.T
	mu    sync.Mutex
	files map[string][]int
}

func (r *readings) open(root *os.Root, name string) (*os.File, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	duplicate, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files[name] = append(r.files[name], duplicate)
	return f, nil
}

func (r *readings) offsets(name string) []int64 {
	var out []int64
	for _, fd := range r.files[name] {
		n, err := syscall.Seek(fd, 0, io.SeekCurrent)
		if err != nil {
			r.t.Fatal(err)
		}
		out = append(out, n)
		if err := syscall.Close(fd); err != nil {
			r.t.Fatal(err)
		}
	}
	return out
}

func TestPushReadsTheModelOnce(t *testing.T) {
	host, _ := startRegistry(t)
	dir := makeModel(t)
	private, _ := makeKeyWith(t, []byte("pw"))
	read := &readings{t: t, files: map[string][]int{}}
	o := PackOptions{Signer: &SignOptions{Key: private, Password: password}}
	o.walk.Open = read.open
	if _, err := newClient(t).Push(t.Context(), dir, host+"/team/model:v1", o); err != nil {
		t.Fatal(err)
	}
	const look = 512 // to tell what a file is
	for name := range read.files {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		whole := 0
		for _, n := range read.offsets(name) {
			switch {
			case n > look && n < info.Size():
				t.Errorf("%s: %d of %d bytes were read in vain", name, n, info.Size())
			case n == info.Size() && n > look:
				whole++
			}
		}
		if info.Size() > look && whole != 1 {
			t.Errorf("%s was read %d times", name, whole)
		}
	}
}

func TestPushedAgainNothingIsSent(t *testing.T) {
	host, registry := startRegistry(t)
	dir := makeModel(t)
	private, public := makeKey(t)
	c := newClient(t)
	push := func(dir string) *PushResult {
		t.Helper()
		res, err := c.Push(t.Context(), dir, host+"/team/model:v1", PackOptions{Signer: &SignOptions{Key: private, Password: password}})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	first := push(dir)
	registry.uploads = 0
	second := push(dir)
	if registry.uploads != 0 {
		t.Errorf("%d upload requests", registry.uploads)
	}
	if first.Digest != second.Digest || len(second.Signatures) != 2 || !second.Signatures[0].Existed || !second.Signatures[1].Existed {
		t.Errorf("first %+v\nthen %+v", first, second)
	}
	if _, err := c.Verify(t.Context(), host+"/team/model:v1", TrustOptions{Keys: []string{public}}); err != nil {
		t.Error(err)
	}
}

// An unchanged model is pushed again without reading its weights: what describes
// the model is read, a look at the beginning of each file and the texts that
// fill the config.
func TestPushedAgainNothingIsRead(t *testing.T) {
	host, registry := startRegistry(t)
	dir := makeModel(t)
	time.Sleep(2 * fileid.ClockTick) // a file that was touched only just now is read
	state := t.TempDir()
	push := func(target string, o PackOptions) (*PushResult, *readings) {
		t.Helper()
		// Each time another process.
		c, err := New(Options{StateDir: state})
		if err != nil {
			t.Fatal(err)
		}
		read := &readings{t: t, files: map[string][]int{}}
		o.walk.Open = read.open
		res, err := c.Push(t.Context(), dir, target, o)
		if err != nil {
			t.Fatal(err)
		}
		return res, read
	}
	const weights = "model.safetensors"
	whole := func(read *readings) (n int) {
		for name := range read.files {
			for _, at := range read.offsets(name) {
				if name == weights && at > 512 {
					n++
				}
			}
		}
		return n
	}
	first, read := push(host+"/team/model:v1", PackOptions{})
	if whole(read) != 1 || first.Moved.Sent != first.Size || first.Moved.Unread != 0 {
		t.Errorf("first: %+v", first.Moved)
	}
	for name, c := range map[string]struct {
		target string
		o      PackOptions
		want   Moved
		reads  int
	}{
		"again":              {host + "/team/model:v1", PackOptions{}, Moved{Existed: first.Size, Unread: first.Size}, 0},
		"another repository": {host + "/other/model:v1", PackOptions{}, Moved{Mounted: first.Size, Unread: first.Size}, 0},
		"no cache":           {host + "/team/model:v1", PackOptions{NoCache: true}, Moved{Existed: first.Size}, 1},
	} {
		registry.uploads = 0
		again, read := push(c.target, c.o)
		if again.Digest != first.Digest || again.Moved != c.want {
			t.Errorf("%s: %+v, want %+v", name, again.Moved, c.want)
		}
		if n := whole(read); n != c.reads {
			t.Errorf("%s: the weights were read %d times", name, n)
		}
		if name != "another repository" && registry.uploads != 0 {
			t.Errorf("%s: %d upload requests", name, registry.uploads)
		}
	}
	layout := "oci:" + filepath.Join(t.TempDir(), "layout") + ":v1"
	push(layout, PackOptions{})
	if again, read := push(layout, PackOptions{}); whole(read) != 0 || again.Moved.Unread != first.Size {
		t.Errorf("layout: %+v", again.Moved)
	}
}

func TestSignAndVerifyReadNoLayer(t *testing.T) {
	host, registry := startRegistry(t)
	ref := host + "/team/model:v1"
	private, public := makeKey(t)
	c := newClient(t)
	if _, err := c.Push(t.Context(), makeModel(t), ref, PackOptions{}); err != nil {
		t.Fatal(err)
	}
	inspected, err := c.Inspect(t.Context(), ref, InspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	registry.reads = nil
	if _, err := c.Sign(t.Context(), ref, SignOptions{Key: private, Password: password}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Verify(t.Context(), ref, TrustOptions{Keys: []string{public}}); err != nil {
		t.Fatal(err)
	}
	for _, l := range inspected.Layers {
		for _, read := range registry.reads {
			if read == l.Digest {
				t.Errorf("layer %s was read", l.Path)
			}
		}
	}
}

func TestNothingIsSentForACallThatCannotWork(t *testing.T) {
	host, registry := startRegistry(t)
	dir := makeModel(t)
	private, _ := makeKeyWith(t, []byte("pw"))
	c := newClient(t)
	wrong := func() ([]byte, error) { return []byte("wrong"), nil }
	for name, call := range map[string]struct {
		target string
		o      PackOptions
	}{
		"no tag":             {host + "/team/model", PackOptions{}},
		"a digest":           {host + "/team/model@sha256:" + strings.Repeat("a", 64), PackOptions{}},
		"a directory":        {"./somewhere", PackOptions{}},
		"wrong password":     {host + "/team/model:v1", PackOptions{Signer: &SignOptions{Key: private, Password: wrong}}},
		"no such key":        {host + "/team/model:v1", PackOptions{Signer: &SignOptions{Key: private + "x"}}},
		"unknown field":      {host + "/team/model:v1", PackOptions{Set: map[string]string{"nmae": "x"}}},
		"bad exclude":        {host + "/team/model:v1", PackOptions{Exclude: []string{"[a"}}},
		"everything is left": {host + "/team/model:v1", PackOptions{Exclude: []string{"**"}}},
	} {
		if res, err := c.Push(t.Context(), dir, call.target, call.o); err == nil {
			t.Errorf("%s: %+v", name, res)
		}
	}
	if registry.uploads != 0 {
		t.Errorf("%d upload requests", registry.uploads)
	}
}
