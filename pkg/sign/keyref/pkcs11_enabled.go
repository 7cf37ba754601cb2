//go:build pkcs11key && cgo

package keyref

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ThalesIgnite/crypto11"
	"github.com/sigstore/cosign/v2/pkg/cosign/pkcs11key"

	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/trust"
)

func checkSupport() error { return nil }

// openToken finds the key pair with crypto11. That of cosign's own package signs
// with SHA-256 whatever the curve.
func openToken(ctx context.Context, reference string, c *pkcs11key.Pkcs11UriConfig, pin string) (*sign.Signer, error) {
	pair, err := within(ctx, func() (crypto11.Signer, error) { return findPair(c, pin) })
	if err != nil {
		return nil, err
	}
	public, err := trust.NewKey(reference, pair.Public())
	if err != nil {
		return nil, err
	}
	hash := public.Hash()
	if hash == 0 {
		return nil, fmt.Errorf("keys on tokens are EC or RSA, and this is %s", public.Describe())
	}
	return sign.FromSigner(reference, public.Public, func(ctx context.Context, message []byte) ([]byte, error) {
		h := hash.New()
		h.Write(message)
		return within(ctx, func() ([]byte, error) { return pair.Sign(rand.Reader, h.Sum(nil), hash) })
	})
}

// configure opens the token. It stays open as long as the process lives: keys are
// handles into it.
func configure(c *pkcs11key.Pkcs11UriConfig, pin string) (*crypto11.Context, error) {
	if !filepath.IsAbs(c.ModulePath) {
		return nil, fmt.Errorf("the library %q has no absolute path", c.ModulePath)
	}
	if info, err := os.Stat(c.ModulePath); err != nil {
		return nil, fmt.Errorf("library of the token: %w", err)
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("library of the token: %s is no file", c.ModulePath)
	}
	o := &crypto11.Config{Path: c.ModulePath, Pin: pin, LoginNotSupported: pin == ""}
	// crypto11 takes one name of a token.
	if c.SlotID != nil {
		o.SlotNumber = c.SlotID
	} else {
		o.TokenLabel = c.TokenLabel
	}
	token, err := crypto11.Configure(o)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	return token, nil
}

// names returns what a key is looked for by: its ID wins over its label.
func names(c *pkcs11key.Pkcs11UriConfig) (id, label []byte) {
	if len(c.KeyID) > 0 {
		return c.KeyID, nil
	}
	return nil, c.KeyLabel
}

func findPair(c *pkcs11key.Pkcs11UriConfig, pin string) (crypto11.Signer, error) {
	token, err := configure(c, pin)
	if err != nil {
		return nil, err
	}
	id, label := names(c)
	pair, err := token.FindKeyPair(id, label)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("find the key: %w", err), token.Close())
	}
	if pair == nil {
		return nil, errors.Join(errors.New("the token has no key pair of this id or object"), token.Close())
	}
	return pair, nil
}

// tokenPublicKey returns the public half: of the key pair, or where that is hidden
// without a PIN, of the certificate beside it.
func tokenPublicKey(ctx context.Context, reference string, c *pkcs11key.Pkcs11UriConfig, pin string) (trust.Key, error) {
	public, err := within(ctx, func() (crypto.PublicKey, error) {
		pair, err := findPair(c, pin)
		if err == nil {
			return pair.Public(), nil
		}
		if pin != "" {
			return nil, err
		}
		token, open := configure(c, "")
		if open != nil {
			return nil, open
		}
		id, label := names(c)
		cert, findErr := token.FindCertificate(id, label, nil)
		if findErr != nil || cert == nil {
			return nil, fmt.Errorf("%w; the PIN may show it: set %s", err, variablePIN)
		}
		return cert.PublicKey, nil
	})
	if err != nil {
		return trust.Key{}, err
	}
	return trust.NewKey(reference, public)
}
