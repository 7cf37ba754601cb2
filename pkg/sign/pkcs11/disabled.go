//go:build !pkcs11key || !cgo

package pkcs11

import (
	"context"
	"errors"

	"github.com/sigstore/cosign/v2/pkg/cosign/pkcs11key"

	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/trust"
)

var errNoSupport = errors.New("this modseal was built without PKCS #11, which needs cgo and the build tag pkcs11key: " +
	"build it with make build-pkcs11 (CGO_ENABLED=1 go build -tags pkcs11key ./cmd/modseal)")

func checkSupport() error { return errNoSupport }

func openToken(context.Context, string, *pkcs11key.Pkcs11UriConfig, string) (*sign.Signer, error) {
	return nil, errNoSupport
}

func tokenPublicKey(context.Context, string, *pkcs11key.Pkcs11UriConfig, string) (trust.Key, error) {
	return trust.Key{}, errNoSupport
}
