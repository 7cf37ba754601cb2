// Package pkcs11 signs with keys on tokens and in HSMs that a PKCS #11 library
// reaches. It needs cgo and the build tag pkcs11key; without them every use says
// so.
//
// Reference: RFC 7512 for the URIs; pin-source is not read.
package pkcs11

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

// ErrNotBuilt is that of a build without PKCS #11.
var ErrNotBuilt = errors.New("this modseal was built without PKCS #11, which needs cgo and the build tag pkcs11key: " +
	"build it with make build-pkcs11 (CGO_ENABLED=1 go build -tags pkcs11key ./cmd/modseal)")

// Tokens finds keys by their URIs.
type Tokens struct {
	// Getenv returns a variable of the environment, for the library and the PIN
	// (COSIGN_PKCS11_MODULE_PATH, COSIGN_PKCS11_PIN).
	Getenv func(name string) (string, bool)
}

// config reads the URI, and takes the module from the environment when it names
// none.
func (t Tokens) config(reference string) (*pkcs11key.Pkcs11UriConfig, error) {
	if strings.Contains(reference, "pin-source=") {
		return nil, errors.New("pin-source is not read; give the PIN in COSIGN_PKCS11_PIN or when it is asked for")
	}
	if !strings.Contains(reference, "module-path=") {
		module, ok := t.Getenv(variableModule)
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
func (t Tokens) pin(c *pkcs11key.Pkcs11UriConfig, ask func() ([]byte, error)) (string, error) {
	if c.Pin != "" {
		return c.Pin, nil
	}
	if pin, ok := t.Getenv(variablePIN); ok && pin != "" {
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

// Signer returns the private key that the URI reference names. password is asked
// for a PIN that neither the URI nor the environment has.
func (t Tokens) Signer(ctx context.Context, reference string, password func() ([]byte, error)) (*sign.Signer, error) {
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

// PublicKey returns the public half of it.
func (t Tokens) PublicKey(ctx context.Context, reference string) (trust.Key, error) {
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
