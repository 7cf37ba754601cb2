// Package tufrepo makes repositories of The Update Framework, for tests: signed
// with keys of its own, with consistent snapshots, as Sigstore publishes trusted
// roots.
package tufrepo

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Repository is a TUF repository that it serves as an http.Handler. It is safe
// for concurrent use.
type Repository struct {
	mu      sync.Mutex
	root    *metadata.Metadata[metadata.RootType]
	first   []byte
	rootKey signature.Signer
	roles   map[string]signature.Signer
	version int64 // of timestamp, snapshot and targets
	expires time.Time
	files   map[string][]byte // by path
}

// New returns a repository with targets, whose metadata expire then.
func New(targets map[string][]byte, expires time.Time) (*Repository, error) {
	r := &Repository{roles: map[string]signature.Signer{}, files: map[string][]byte{}, expires: expires, root: metadata.Root(expires)}
	for _, role := range []string{metadata.TIMESTAMP, metadata.SNAPSHOT, metadata.TARGETS, metadata.ROOT} {
		signer, err := r.addKey(role)
		if err != nil {
			return nil, err
		}
		if role == metadata.ROOT {
			r.rootKey = signer
		} else {
			r.roles[role] = signer
		}
	}
	if err := r.publishRoot(r.rootKey); err != nil {
		return nil, err
	}
	r.first = r.files["/1.root.json"]
	return r, r.Publish(targets)
}

func (r *Repository) addKey(role string) (signature.Signer, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := metadata.KeyFromPublicKey(public)
	if err != nil {
		return nil, err
	}
	if err := r.root.Signed.AddKey(key, role); err != nil {
		return nil, err
	}
	return signature.LoadSigner(private, crypto.Hash(0))
}

func (r *Repository) publishRoot(signers ...signature.Signer) error {
	r.root.ClearSignatures()
	for _, s := range signers {
		if _, err := r.root.Sign(s); err != nil {
			return err
		}
	}
	data, err := r.root.ToBytes(false)
	if err != nil {
		return err
	}
	r.files[fmt.Sprintf("/%d.root.json", r.root.Signed.Version)] = data
	return nil
}

// Root returns the first root metadata, which clients are given by hand.
func (r *Repository) Root() []byte { return r.first }

// Expire sets when what is published from now on expires.
func (r *Repository) Expire(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expires = at
}

// Publish replaces all targets by a next version of them.
func (r *Repository) Publish(targets map[string][]byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.version++
	t := metadata.Targets(r.expires)
	t.Signed.Version = r.version
	for name, data := range targets {
		file, err := metadata.TargetFile().FromBytes(name, data, "sha256")
		if err != nil {
			return err
		}
		t.Signed.Targets[name] = file
		sum := sha256.Sum256(data)
		r.files["/targets/"+hex.EncodeToString(sum[:])+"."+name] = data
	}
	s := metadata.Snapshot(r.expires)
	s.Signed.Version = r.version
	s.Signed.Meta["targets.json"] = metadata.MetaFile(r.version)
	ts := metadata.Timestamp(r.expires)
	ts.Signed.Version = r.version
	ts.Signed.Meta["snapshot.json"] = metadata.MetaFile(r.version)
	if err := put(r, t, metadata.TARGETS, fmt.Sprintf("/%d.targets.json", r.version)); err != nil {
		return err
	}
	if err := put(r, s, metadata.SNAPSHOT, fmt.Sprintf("/%d.snapshot.json", r.version)); err != nil {
		return err
	}
	return put(r, ts, metadata.TIMESTAMP, "/timestamp.json")
}

func put[T metadata.Roles](r *Repository, m *metadata.Metadata[T], role, path string) error {
	if _, err := m.Sign(r.roles[role]); err != nil {
		return err
	}
	data, err := m.ToBytes(false)
	if err == nil {
		r.files[path] = data
	}
	return err
}

// Rotate replaces the keys of the root and of the timestamps by new ones, in the
// next version of the root metadata. Timestamps are signed with the new key from
// the next Publish on.
func (r *Repository) Rotate() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.rootKey
	for _, role := range []string{metadata.ROOT, metadata.TIMESTAMP} {
		for _, id := range r.root.Signed.Roles[role].KeyIDs {
			if err := r.root.Signed.RevokeKey(id, role); err != nil {
				return err
			}
		}
		signer, err := r.addKey(role)
		if err != nil {
			return err
		}
		if role == metadata.ROOT {
			r.rootKey = signer
		} else {
			r.roles[role] = signer
		}
	}
	r.root.Signed.Version++
	return r.publishRoot(old, r.rootKey)
}

// Files returns what is published, by path. The map is a copy.
func (r *Repository) Files() map[string][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string][]byte{}
	for path, data := range r.files {
		out[path] = data
	}
	return out
}

// Restore makes the repository serve exactly these files, such as older ones.
func (r *Repository) Restore(files map[string][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files = files
}

// ServeHTTP implements http.Handler.
func (r *Repository) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	data, ok := r.files[req.URL.Path]
	r.mu.Unlock()
	if !ok || strings.Contains(req.URL.Path, "..") {
		http.NotFound(w, req)
		return
	}
	_, _ = w.Write(data) // the client notices
}
