package remote

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

// CredentialFiles are the files that credentials are looked up in, in this
// order. Files that do not exist are like empty ones.
type CredentialFiles struct {
	// Docker are config.json files; credential helpers that they name are used.
	// The first one takes new credentials.
	Docker []string
	// Podman are auth.json files.
	Podman []string
}

// NewCredentials returns the store of the credentials in files.
func NewCredentials(files CredentialFiles) (credentials.Store, error) {
	var stores []credentials.Store
	for _, path := range append(append([]string{}, files.Docker...), files.Podman...) {
		// Docker writes plain text where no helper is configured, and people
		// expect the same of us.
		store, err := credentials.NewStore(path, credentials.StoreOptions{AllowPlaintextPut: true})
		if err != nil {
			return nil, fmt.Errorf("credentials in %s: %w", path, err)
		}
		stores = append(stores, store)
	}
	if len(stores) == 0 {
		return credentials.NewMemoryStore(), nil
	}
	return credentials.NewStoreWithFallbacks(stores[0], stores[1:]...), nil
}

// CredentialsOf makes the credentials of a store fit [Options].
func CredentialsOf(store credentials.Store) auth.CredentialFunc {
	return credentials.Credential(store)
}

// CredentialsIn are the credentials in files, which are read when the first of them is
// asked for: what is on this machine needs none, whatever is wrong with the files.
func CredentialsIn(files CredentialFiles) auth.CredentialFunc {
	open := sync.OnceValues(func() (auth.CredentialFunc, error) {
		store, err := NewCredentials(files)
		if err != nil {
			return nil, err
		}
		return CredentialsOf(store), nil
	})
	return func(ctx context.Context, host string) (auth.Credential, error) {
		find, err := open()
		if err != nil {
			return auth.EmptyCredential, err
		}
		return find(ctx, host)
	}
}

// Credential is what a registry asks for: a user name and a password, or a
// refresh token alone.
type Credential = auth.Credential

// Login proves cred by asking the registry host for access, and stores it when
// the registry takes it. Of o everything but Credential is used.
func Login(ctx context.Context, store credentials.Store, o Options, host string, cred Credential) error {
	o.Credential = auth.StaticCredential(host, cred)
	c, err := NewClient(o)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Ping(ctx, host); err != nil {
		return err
	}
	address := credentials.ServerAddressFromRegistry(host)
	if err := store.Put(ctx, address, cred); err != nil {
		return fmt.Errorf("store the credentials for %s: %w", host, err)
	}
	return nil
}

// Logout removes the credentials for the registry host from the store.
func Logout(ctx context.Context, store credentials.Store, host string) error {
	if err := store.Delete(ctx, credentials.ServerAddressFromRegistry(host)); err != nil {
		return fmt.Errorf("remove the credentials for %s: %w", host, err)
	}
	return nil
}

// secrets keeps what must not appear in an error: a registry may well quote a
// password that it does not like.
type secrets struct {
	mu    sync.Mutex
	texts map[string]bool
}

// shortestSecret keeps redaction from blotting out ordinary words.
const shortestSecret = 4

func (s *secrets) remember(find auth.CredentialFunc) auth.CredentialFunc {
	if find == nil {
		return nil
	}
	return func(ctx context.Context, hostport string) (auth.Credential, error) {
		cred, err := find(ctx, hostport)
		if err != nil {
			return auth.EmptyCredential, err
		}
		basic := ""
		if cred.Password != "" {
			basic = base64.StdEncoding.EncodeToString([]byte(cred.Username + ":" + cred.Password))
		}
		s.add(cred.Password, cred.RefreshToken, cred.AccessToken, basic)
		return cred, nil
	}
}

// addHeader remembers the values of headers that are there to prove something.
func (s *secrets) addHeader(h http.Header) {
	for name, values := range h {
		name = strings.ToLower(name)
		for _, word := range []string{"auth", "cookie", "key", "secret", "token"} {
			if !strings.Contains(name, word) {
				continue
			}
			for _, v := range values {
				s.add(v)
				_, token, _ := strings.Cut(v, " ")
				s.add(token) // of Bearer TOKEN
			}
		}
	}
}

func (s *secrets) add(texts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.texts == nil {
		s.texts = map[string]bool{}
	}
	for _, text := range texts {
		if len(text) >= shortestSecret {
			s.texts[text] = true
		}
	}
}

func (s *secrets) redact(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for secret := range s.texts {
		text = strings.ReplaceAll(text, secret, "[redacted]")
	}
	return text
}
