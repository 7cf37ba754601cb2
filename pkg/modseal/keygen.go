package modseal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/trust"
)

// KeygenResult says where a new key pair is.
type KeygenResult struct {
	PrivateKey  string `json:"privateKey"` // path
	PublicKey   string `json:"publicKey"`  // path
	Algorithm   string `json:"algorithm"`
	Fingerprint string `json:"fingerprint"`
}

// Keygen makes a key pair and writes it to prefix.key, encrypted with the
// password, and prefix.pub. Both are in the form that cosign reads. A file that
// exists is never overwritten: it may be the only copy of a key.
func Keygen(prefix string, curve sign.Curve, password []byte) (*KeygenResult, error) {
	res := &KeygenResult{PrivateKey: prefix + ".key", PublicKey: prefix + ".pub"}
	for _, name := range []string{res.PrivateKey, res.PublicKey} {
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %s exists; a key is never overwritten (choose another name with --output-key-prefix)", ErrUsage, name)
		}
	}
	private, public, err := sign.GenerateKeyPair(curve, password)
	if err != nil {
		return nil, err
	}
	key, err := trust.ParseKey(res.PublicKey, public)
	if err != nil {
		return nil, err
	}
	if err := writeNew(res.PrivateKey, private, 0o600); err != nil {
		return nil, err
	}
	if err := writeNew(res.PublicKey, public, 0o644); err != nil {
		return nil, errors.Join(err, os.Remove(res.PrivateKey))
	}
	res.Algorithm, res.Fingerprint = key.Describe(), key.Fingerprint().String()
	return res, nil
}

// writeNew writes a file that must not exist and that is there whole or not at
// all.
func writeNew(name string, content []byte, mode os.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}
