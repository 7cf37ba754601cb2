package remote_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/modseal/modseal/pkg/remote"
)

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func otherCA(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pemOf(der)
}

const password = "correct-horse"

// newAuthRegistry starts a registry that only alice may use.
func newAuthRegistry(t *testing.T, bearer bool) (host string) {
	t.Helper()
	ts := httptest.NewUnstartedServer(nil)
	host = ts.Listener.Addr().String()
	conf := config.Config{Storage: config.ConfigStorage{StoreType: config.StoreMem}}
	if bearer {
		hash, err := config.PassHash(password, config.PassAlgoDefault)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "auth.yaml")
		text := fmt.Sprintf("users:\n  alice:\n    cred: %q\nacls:\n  - repo: \"*\"\n    members: [alice]\n    access: [\"*\"]\n", hash)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		conf.Auth = config.NewAuthTokenOpaque(file, config.WithAuthRealm("http://"+host+"/token"), config.WithAuthService("test"))
	} else {
		basic, err := config.NewAuthBasicStatic(map[string]string{"alice": password}, false)
		if err != nil {
			t.Fatal(err)
		}
		conf.Auth = basic
	}
	s := olareg.New(conf)
	ts.Config.Handler = s
	ts.Start()
	t.Cleanup(func() { ts.Close(); _ = s.Close() })
	return host
}

func TestAuth(t *testing.T) {
	for _, scheme := range []string{"basic", "bearer"} {
		t.Run(scheme, func(t *testing.T) {
			host := newAuthRegistry(t, scheme == "bearer")
			alice := auth.Credential{Username: "alice", Password: password}

			repo := newRepository(t, host, remote.Options{Credential: auth.StaticCredential(host, alice)})
			desc, _ := pushManifest(t, repo, "x")
			if err := repo.Tag(t.Context(), desc, "v1"); err != nil {
				t.Error(err)
			}

			wrong := alice
			wrong.Password = "wrong-" + password
			for name, credential := range map[string]auth.CredentialFunc{
				"wrong password": auth.StaticCredential(host, wrong),
				"anonymous":      nil,
				"other host":     auth.StaticCredential("registry.example.com", alice),
			} {
				repo := newRepository(t, host, remote.Options{Credential: credential})
				_, err := repo.Resolve(t.Context(), "v1")
				if !remote.IsUnauthorized(err) {
					t.Errorf("%s: %v", name, err)
				}
				if err != nil && strings.Contains(err.Error(), password) {
					t.Errorf("%s: the error holds the password: %v", name, err)
				}
			}
		})
	}
}

func TestLoginAndLogout(t *testing.T) {
	host := newAuthRegistry(t, false)
	file := filepath.Join(t.TempDir(), "config.json")
	store, err := remote.NewCredentials(remote.CredentialFiles{Docker: []string{file}})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	err = remote.Login(ctx, store, remote.Options{}, host, auth.Credential{Username: "alice", Password: "wrong-horse"})
	if !remote.IsUnauthorized(err) || strings.Contains(err.Error(), "wrong-horse") {
		t.Errorf("Login with a wrong password: %v", err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Error("a wrong password was stored")
	}
	alice := auth.Credential{Username: "alice", Password: password}
	if err := remote.Login(ctx, store, remote.Options{}, host, alice); err != nil {
		t.Fatal(err)
	}
	// Another process reads the file.
	again, err := remote.NewCredentials(remote.CredentialFiles{Docker: []string{file}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := remote.NewClient(remote.Options{Credential: remote.CredentialsOf(again)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Ping(ctx, host); err != nil {
		t.Errorf("Ping: %v", err)
	}
	if err := remote.Logout(ctx, store, host); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Get(ctx, host); err != nil || got != auth.EmptyCredential {
		t.Errorf("after Logout: %v, %v", got, err)
	}
}

func TestCredentialFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	entry := func(user, pass string) string {
		return base64.StdEncoding.EncodeToString([]byte(user + ":" + pass))
	}
	docker := write("config.json", fmt.Sprintf(`{"auths":{"a.example.com":{"auth":%q}},"credHelpers":{"h.example.com":"modseal-test"}}`, entry("docker", "d")))
	podman := write("auth.json", fmt.Sprintf(`{"auths":{"a.example.com":{"auth":%q},"p.example.com":{"auth":%q}}}`, entry("podman", "p"), entry("podman", "p")))
	store, err := remote.NewCredentials(remote.CredentialFiles{
		Docker: []string{docker}, Podman: []string{filepath.Join(dir, "none.json"), podman},
	})
	if err != nil {
		t.Fatal(err)
	}
	find := remote.CredentialsOf(store)
	want := map[string]string{"a.example.com": "docker", "p.example.com": "podman", "x.example.com": ""}
	if runtime.GOOS != "windows" {
		write("docker-credential-modseal-test", "#!/bin/sh\necho '{\"ServerURL\":\"h.example.com\",\"Username\":\"helper\",\"Secret\":\"h\"}'\n")
		if err := os.Chmod(filepath.Join(dir, "docker-credential-modseal-test"), 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
		want["h.example.com"] = "helper"
	}
	for host, user := range want {
		if cred, err := find(t.Context(), host); err != nil || cred.Username != user {
			t.Errorf("%s: %q, %v; want %q", host, cred.Username, err, user)
		}
	}
	broken := write("broken.json", "{")
	if _, err := remote.NewCredentials(remote.CredentialFiles{Docker: []string{broken}}); err == nil || !strings.Contains(err.Error(), broken) {
		t.Errorf("broken file: %v", err)
	}
}

// Files are read when a credential is asked for, and what is wrong with them is told then.
func TestCredentialsInFilesThatCannotBeRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	find := remote.CredentialsIn(remote.CredentialFiles{Docker: []string{file}})
	if err := os.WriteFile(file, []byte("{broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := find(t.Context(), "r.example.com"); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%v", err)
		}
	}
}
