//go:build !pkcs11key || !cgo

package pkcs11

import (
	"context"

	"github.com/sigstore/cosign/v2/pkg/cosign/pkcs11key"

	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/trust"
)

func checkSupport() error { return ErrNotBuilt }

func openToken(context.Context, string, *pkcs11key.Pkcs11UriConfig, string) (*sign.Signer, error) {
	return nil, ErrNotBuilt
}

func tokenPublicKey(context.Context, string, *pkcs11key.Pkcs11UriConfig, string) (trust.Key, error) {
	return trust.Key{}, ErrNotBuilt
}
