//go:build unix

package modseal

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/hack/tufrepo"
	"github.com/modseal/modseal/pkg/internal/virtual"
	"github.com/modseal/modseal/pkg/referrer"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/trust"
)

// only lets requests to one host pass; all others fail, and the test with them.
type only struct {
	t    *testing.T
	host string
	seen atomic.Int64 // requests; a pull makes several at once
}

func (o *only) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != o.host {
		o.t.Errorf("%s was asked for %s", req.URL.Host, req.URL)
		return nil, http.ErrAbortHandler
	}
	o.seen.Add(1)
	return inherited.RoundTrip(req)
}

// inherited is what the process has for transport while a test replaces it.
var inherited = http.DefaultTransport

// countedKeys is a KMS that counts who asks it.
type countedKeys struct{ asked int }

func (k *countedKeys) Signer(context.Context, string, func() ([]byte, error)) (*sign.Signer, error) {
	k.asked++
	return nil, http.ErrServerClosed
}

func (k *countedKeys) PublicKey(context.Context, string) (trust.Key, error) {
	k.asked++
	return trust.Key{}, http.ErrServerClosed
}

// carried is a model in three places, signed by a key and keyless, and a machine
// that got its trusted root from a TUF repository more than a month ago.
type carried struct {
	registry, layout, dir string
	signatures            []string // of dir
	policy, kms           string
	trustDir, tuf         string
	host                  string
	wire                  *cable
}

func newCarried(t *testing.T) *carried {
	t.Helper()
	host, _ := startRegistry(t)
	c := &carried{host: host, registry: host + "/team/model:v1", dir: makeModel(t), trustDir: filepath.Join(t.TempDir(), "trust"), wire: &cable{t: t}}
	files := t.TempDir()
	one := virtual.New(t, "one")
	keyless := func(payload []byte) []byte {
		id := virtual.Identity{Subject: "https://ci.example.com/release", Issuer: "https://issuer.example.com"}
		return one.Keyless(t, id, virtual.Claim{Payload: payload, Log: virtual.LogV1, Timestamp: true}).JSON(t)
	}
	repo, err := tufrepo.New(map[string][]byte{"trusted_root.json": one.Root(t, virtual.RootOptions{}), "signing_config.v0.2.json": []byte(signingConfigText)}, time.Now().Add(365*24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(repo)
	t.Cleanup(server.Close)
	c.tuf = server.URL

	online, err := New(Options{TrustDir: c.trustDir, Services: c.wire})
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte) string {
		file := filepath.Join(files, name)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	if _, err := online.TrustUpdate(t.Context(), TrustUpdate{Names: []string{"one"}, URL: c.tuf, RootFile: write("root.json", repo.Root())}); err != nil {
		t.Fatal(err)
	}
	private, public := makeKey(t)
	signer := SignOptions{Key: private, Password: password}

	layout, path := newLayout(t)
	c.layout = path + ":v1"
	if _, err := online.Push(t.Context(), c.dir, c.layout, PackOptions{Signer: &signer}); err != nil {
		t.Fatal(err)
	}
	desc, err := layout.Resolve(t.Context(), "v1")
	if err != nil {
		t.Fatal(err)
	}
	payload, err := statement.CosignSign(desc.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := referrer.Attach(t.Context(), layout, desc, referrer.Attachment{
		ArtifactType: artifacttypes.MediaTypeBundle, MediaType: artifacttypes.MediaTypeBundle, Blob: keyless(payload),
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := online.Copy(t.Context(), c.layout, c.registry, CopyOptions{}); err != nil {
		t.Fatal(err)
	}

	bySomebody := filepath.Join(files, "key.sig")
	if _, err := online.SignDirectory(t.Context(), c.dir, bySomebody, signer, DirectoryOptions{}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(bySomebody)
	if err != nil {
		t.Fatal(err)
	}
	var bundle struct {
		DSSEEnvelope struct{ Payload []byte }
	}
	if err := json.Unmarshal(text, &bundle); err != nil {
		t.Fatal(err)
	}
	c.signatures = []string{bySomebody, write("ci.sig", keyless(bundle.DSSEEnvelope.Payload))}

	rules := func(release string) []byte {
		return []byte(`version: 1
default: reject
trustedRoots: [{name: one, tuf: '` + c.tuf + `', root: root.json}]
scopes:
- prefix: '*'
  requirements:
  - signature:
      threshold: 2
      signers:
      - {name: release, key: '` + release + `'}
      - {name: ci, keyless: {issuer: 'https://issuer.example.com', identity: 'https://ci.example.com/release'}}
`)
	}
	c.policy, c.kms = write("policy.yaml", rules(public)), write("kms.yaml", rules("awskms:///alias/release"))
	return c
}

// client is one for another day, whose registries are behind transport.
func (c *carried) client(t *testing.T, keys sign.KeyStore, transport http.RoundTripper) *Client {
	t.Helper()
	client, err := New(Options{TrustDir: c.trustDir, StateDir: t.TempDir(), Services: c.wire, Keys: keys, Registry: remote.Options{Transport: transport, RetryFor: -1}})
	if err != nil {
		t.Fatal(err)
	}
	client.services.now = func() time.Time { return time.Now().Add(1000 * time.Hour) }
	return client
}

// Offline nobody is asked but the registry, and nobody at all for what is on the
// disk, although everything here would be a reason to ask: a trusted root from
// TUF that is old, and a key in a KMS. The script offline_nobody.txtar shows the
// same of the program, without a network.
func TestOfflineAsksNobody(t *testing.T) {
	c := newCarried(t)
	c.wire.mode.Store(forbidden)
	forbid := &only{t: t, host: "nobody"}
	http.DefaultTransport = forbid
	t.Cleanup(func() { http.DefaultTransport = inherited })

	trust := TrustOptions{PolicyFiles: []string{c.policy}, Offline: true}
	kms := TrustOptions{PolicyFiles: []string{c.kms}, Offline: true}
	for name, row := range map[string]struct {
		target string
		host   string // the only one that may be asked
	}{
		"registry": {c.registry, c.host},
		"layout":   {c.layout, "nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			transport := &only{t: t, host: row.host}
			keys := &countedKeys{}
			client := c.client(t, keys, transport)
			if _, err := client.Verify(t.Context(), row.target, trust); err != nil {
				t.Errorf("verify: %v", err)
			}
			if _, err := client.Explain(t.Context(), row.target, trust); err != nil {
				t.Errorf("explain: %v", err)
			}
			if _, err := client.Pull(t.Context(), row.target, filepath.Join(t.TempDir(), "out"), PullOptions{Trust: trust}); err != nil {
				t.Errorf("pull: %v", err)
			}
			if _, err := client.Tree(t.Context(), row.target, TreeOptions{Trust: &trust}); err != nil {
				t.Errorf("tree: %v", err)
			}
			draft := PolicyInit{Target: row.target, Trust: TrustOptions{TrustedRoot: TrustPrefix + "one", Offline: true}}
			if d, err := client.DraftPolicy(t.Context(), draft); err != nil || !bytes.Contains(d.Text, []byte("https://ci.example.com/release")) {
				t.Errorf("policy init: %+v, %v", d, err)
			}
			_, err := client.Verify(t.Context(), row.target, kms)
			wantUndecided(t, err, "--offline asks nobody", "public key")
			if keys.asked != 0 {
				t.Errorf("the KMS was asked %d times", keys.asked)
			}
			if (transport.seen.Load() > 0) != (row.host == c.host) {
				t.Errorf("%d requests to the registry", transport.seen.Load())
			}
		})
	}
	t.Run("directory", func(t *testing.T) {
		client := c.client(t, nil, forbid)
		if _, err := client.VerifyDirectory(t.Context(), c.dir, c.signatures, DirectoryOptions{Trust: trust}); err != nil {
			t.Error(err)
		}
	})

	// As a control: without --offline the repository and the KMS are asked.
	t.Run("not offline", func(t *testing.T) {
		c.wire.mode.Store(cut)
		before := c.wire.requests.Load()
		keys := &countedKeys{}
		client := c.client(t, keys, forbid)
		if _, err := client.Verify(t.Context(), c.layout, TrustOptions{PolicyFiles: []string{c.policy}}); err != nil {
			t.Error(err)
		}
		if c.wire.requests.Load() == before || len(client.Warnings()) == 0 {
			t.Error("the TUF repository was not asked")
		}
		if _, err := client.Verify(t.Context(), c.layout, TrustOptions{PolicyFiles: []string{c.kms}}); err == nil || keys.asked == 0 {
			t.Errorf("the KMS was asked %d times: %v", keys.asked, err)
		}
	})
}
