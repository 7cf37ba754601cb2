//go:build pkcs11key && cgo

package pkcs11

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/ThalesIgnite/crypto11"
	"github.com/sigstore/cosign/v2/pkg/cosign/pkcs11key"

	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/sign/internal/patience"
	"github.com/modseal/modseal/pkg/trust"
)

func checkSupport() error { return nil }

// oneAtATime guards libraries of tokens. An attempt to open a token that fails shuts
// the library for all that use it (crypto11 v1.2.5): so each use opens the token,
// and closes it, and there is one at a time.
var oneAtATime sync.Mutex

// openToken finds the key pair with crypto11. cosign's own package signs with
// SHA-256 whatever the curve.
func openToken(ctx context.Context, reference string, c *pkcs11key.Pkcs11UriConfig, pin string) (*sign.Signer, error) {
	key, err := patience.Within(ctx, func() (crypto.PublicKey, error) {
		return usePair(c, pin, func(pair crypto11.Signer) (crypto.PublicKey, error) { return pair.Public(), nil })
	})
	if err != nil {
		return nil, err
	}
	public, err := trust.NewKey(sign.Redact(reference), key)
	if err != nil {
		return nil, err
	}
	hash := public.Hash()
	if hash == 0 {
		return nil, fmt.Errorf("keys on tokens are EC or RSA, and this is %s", public.Describe())
	}
	return sign.FromSigner(reference, key, func(ctx context.Context, message []byte) ([]byte, error) {
		h := hash.New()
		h.Write(message)
		return patience.Within(ctx, func() ([]byte, error) {
			return usePair(c, pin, func(pair crypto11.Signer) ([]byte, error) { return pair.Sign(rand.Reader, h.Sum(nil), hash) })
		})
	})
}

// open opens the token.
func open(c *pkcs11key.Pkcs11UriConfig, pin string) (*crypto11.Context, error) {
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

// usePair opens the token, finds the key pair, and returns what do does with it.
func usePair[T any](c *pkcs11key.Pkcs11UriConfig, pin string, do func(crypto11.Signer) (T, error)) (value T, err error) {
	return useToken(c, pin, func(token *crypto11.Context) (T, error) {
		id, label := names(c)
		pair, err := token.FindKeyPair(id, label)
		if err != nil {
			return value, fmt.Errorf("find the key: %w", err)
		}
		if pair == nil {
			return value, errors.New("the token has no key pair of this id or object")
		}
		return do(pair)
	})
}

func useToken[T any](c *pkcs11key.Pkcs11UriConfig, pin string, do func(*crypto11.Context) (T, error)) (value T, err error) {
	oneAtATime.Lock()
	defer oneAtATime.Unlock()
	token, err := open(c, pin)
	if err != nil {
		return value, err
	}
	defer func() {
		if closeErr := token.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("token: %w", closeErr)
		}
	}()
	return do(token)
}

// tokenPublicKey returns the public half: of the key pair, or where that is hidden
// without a PIN, of the certificate beside it.
func tokenPublicKey(ctx context.Context, reference string, c *pkcs11key.Pkcs11UriConfig, pin string) (trust.Key, error) {
	public, err := patience.Within(ctx, func() (crypto.PublicKey, error) {
		public, err := usePair(c, pin, func(pair crypto11.Signer) (crypto.PublicKey, error) { return pair.Public(), nil })
		if err == nil || pin != "" {
			return public, err
		}
		return useToken(c, "", func(token *crypto11.Context) (crypto.PublicKey, error) {
			id, label := names(c)
			cert, findErr := token.FindCertificate(id, label, nil)
			if findErr != nil || cert == nil {
				return nil, fmt.Errorf("%w; the PIN may show it: set %s", err, variablePIN)
			}
			return cert.PublicKey, nil
		})
	})
	if err != nil {
		return trust.Key{}, err
	}
	return trust.NewKey(sign.Redact(reference), public)
}
