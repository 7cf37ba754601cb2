package keyref

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sigstore/cosign/v2/pkg/cosign/pkcs11key"

	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/trust"
)

// Variables of cosign for what a URI does not say.
const (
	variableModule = "COSIGN_PKCS11_MODULE_PATH"
	variablePIN    = "COSIGN_PKCS11_PIN"
)

// token has keys that PKCS #11 reaches (RFC 7512).
type token struct{ o Options }

// config reads the URI, and takes the module from the environment when it names
// none.
func (t token) config(reference string) (*pkcs11key.Pkcs11UriConfig, error) {
	if strings.Contains(reference, "pin-source=") {
		return nil, errors.New("pin-source is not read; give the PIN in COSIGN_PKCS11_PIN or when it is asked for")
	}
	if !strings.Contains(reference, "module-path=") {
		module, ok := t.o.Getenv(variableModule)
		if !ok || module == "" {
			return nil, fmt.Errorf("neither the URI (module-path) nor %s names the library of the token", variableModule)
		}
		escaped, err := pkcs11key.EncodeURIComponent(module, false, true)
		if err != nil {
			return nil, err
		}
		separator := "?"
		if strings.Contains(reference, "?") {
			separator = "&"
		}
		reference += separator + "module-path=" + escaped
	}
	c := pkcs11key.NewPkcs11UriConfig()
	if err := c.Parse(reference); err != nil {
		return nil, err
	}
	return c, nil
}

// pin returns the PIN: of the URI, of the environment, or what ask says.
func (t token) pin(c *pkcs11key.Pkcs11UriConfig, ask func() ([]byte, error)) (string, error) {
	if c.Pin != "" {
		return c.Pin, nil
	}
	if pin, ok := t.o.Getenv(variablePIN); ok && pin != "" {
		return pin, nil
	}
	if ask == nil {
		return "", fmt.Errorf("%w: the token needs a PIN; set %s", sign.ErrPassword, variablePIN)
	}
	pin, err := ask()
	if err != nil {
		return "", fmt.Errorf("%w: %w", sign.ErrPassword, err)
	}
	if len(pin) == 0 {
		return "", fmt.Errorf("%w: the token needs a PIN; set %s", sign.ErrPassword, variablePIN)
	}
	return string(pin), nil
}

func (t token) signer(ctx context.Context, reference string, password func() ([]byte, error)) (*sign.Signer, error) {
	c, err := t.config(reference)
	if err != nil {
		return nil, err
	}
	if err := checkSupport(); err != nil {
		return nil, err
	}
	pin, err := t.pin(c, password)
	if err != nil {
		return nil, err
	}
	return openToken(ctx, reference, c, pin)
}

func (t token) publicKey(ctx context.Context, reference string) (trust.Key, error) {
	c, err := t.config(reference)
	if err != nil {
		return trust.Key{}, err
	}
	if err := checkSupport(); err != nil {
		return trust.Key{}, err
	}
	pin, _ := t.pin(c, nil) // some tokens show public keys without
	return tokenPublicKey(ctx, reference, c, pin)
}

func (token) next() string {
	return "pkcs11-tool --module LIBRARY -L and -O list tokens and the objects on them"
}
