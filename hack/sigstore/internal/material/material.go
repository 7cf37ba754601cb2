// Package material makes the keys and certificates of a private Sigstore and
// keeps them in a directory: what is there already is used again, so that what
// was signed before a restart still verifies after it.
package material

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Key is an ECDSA P-256 key and the PKCS #8 PEM file that has it.
type Key struct {
	*ecdsa.PrivateKey
	File string
}

// LoadKey returns the key dir/name.key, which it makes when it is not there.
func LoadKey(dir, name string) (Key, error) {
	file := filepath.Join(dir, name+".key")
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(file)
	}
	if err != nil {
		return Key{}, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return Key{}, fmt.Errorf("%s: no PEM", file)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return Key{}, fmt.Errorf("%s: %w", file, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return Key{}, fmt.Errorf("%s: a key of type %T, not ECDSA", file, parsed)
	}
	return Key{PrivateKey: key, File: file}, nil
}

func makeKey(file string) (Key, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Key{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Key{}, err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		return Key{}, err
	}
	return Key{PrivateKey: key, File: file}, nil
}

// PublicPEM returns the public key as a PEM block of type PUBLIC KEY.
func (k Key) PublicPEM() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// Chain is a key, the certificates from that key's to the root, and the PEM file
// that has them in this order.
type Chain struct {
	Key          Key
	Certificates []*x509.Certificate
	File         string
}

// Root returns the last certificate of the chain.
func (c Chain) Root() *x509.Certificate { return c.Certificates[len(c.Certificates)-1] }

// LoadFulcio returns the chain dir/name.pem of an intermediate that issues
// certificates for signing, and makes it when it is not there.
func LoadFulcio(dir, name string) (Chain, error) { return load(dir, name, fulcioTemplates) }

// LoadTimestamping returns the chain dir/name.pem of a certificate that signs
// timestamps, and makes it when it is not there.
func LoadTimestamping(dir, name string) (Chain, error) { return load(dir, name, timestampingTemplates) }

// load reads a chain or makes it. The templates go from the root down to the
// certificate of the key that is kept; the keys of the others are not.
func load(dir, name string, templates func(name string) []*x509.Certificate) (Chain, error) {
	file := filepath.Join(dir, name+".pem")
	key, err := LoadKey(dir, name)
	if err != nil {
		return Chain{}, err
	}
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if raw, err = issue(templates(name), key); err == nil {
			err = os.WriteFile(file, raw, 0o644)
		}
	}
	if err != nil {
		return Chain{}, err
	}
	certificates, err := parse(raw)
	if err != nil {
		return Chain{}, fmt.Errorf("%s: %w", file, err)
	}
	if !key.PublicKey.Equal(certificates[0].PublicKey) {
		return Chain{}, fmt.Errorf("%s: its first certificate is not for the key %s (remove both)", file, key.File)
	}
	return Chain{Key: key, Certificates: certificates, File: file}, nil
}

func parse(raw []byte) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	for {
		var block *pem.Block
		if block, raw = pem.Decode(raw); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certificates = append(certificates, c)
	}
	if len(certificates) < 2 || len(bytes.TrimSpace(raw)) > 0 {
		return nil, fmt.Errorf("%d PEM certificates and %d other bytes, not a chain", len(certificates), len(raw))
	}
	return certificates, nil
}
