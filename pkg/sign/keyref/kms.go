package keyref

import (
	"bytes"
	"context"
	"crypto"
	"fmt"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms"
	"github.com/sigstore/sigstore/pkg/signature/kms/aws"
	"github.com/sigstore/sigstore/pkg/signature/kms/azure"
	"github.com/sigstore/sigstore/pkg/signature/kms/gcp"
	"github.com/sigstore/sigstore/pkg/signature/kms/hashivault"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/sign/internal/patience"
	"github.com/modseal/modseal/pkg/trust"
)

// service is a key management service.
type service struct {
	valid func(reference string) error
	hint  string
}

// kmsPlaces are the schemes that go to kms.Get: it takes any other for the name of
// a program on PATH.
var kmsPlaces = map[string]service{
	"awskms": {
		aws.ValidReference,
		"are credentials and region of AWS there (AWS_PROFILE, AWS_REGION), and may they kms:GetPublicKey, kms:DescribeKey and kms:Sign?",
	},
	"gcpkms": {
		gcp.ValidReference,
		"are credentials of Google Cloud there (gcloud auth application-default login), and have they the role cloudkms.signerVerifier?",
	},
	"azurekms": {
		azure.ValidReference,
		"are credentials of Azure there (az login, or AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET), and may they get and sign with keys of the vault?",
	},
	"hashivault": {
		hashivault.ValidReference,
		"is the server named (VAULT_ADDR), a token there (VAULT_TOKEN), the transit engine mounted as TRANSIT_SECRET_ENGINE_PATH says (transit), and may the token read keys and sign?",
	},
	"openbao": {
		hashivault.ValidReference,
		"is the server named (BAO_ADDR), a token there (BAO_TOKEN), the transit engine mounted as TRANSIT_SECRET_ENGINE_PATH says (transit), and may the token read keys and sign?",
	},
}

func (s service) next() string { return s.hint }

// open returns the key and its public half.
func (s service) open(ctx context.Context, reference string) (signature.SignerVerifier, trust.Key, error) {
	if err := s.valid(reference); err != nil {
		return nil, trust.Key{}, err
	}
	// A first look tells the kind of key, and that the hash that it signs with.
	key, public, err := get(ctx, reference, crypto.SHA256)
	if err == nil && public.Hash() != crypto.SHA256 {
		key, public, err = get(ctx, reference, public.Hash())
	}
	return key, public, err
}

func get(ctx context.Context, reference string, hash crypto.Hash) (signature.SignerVerifier, trust.Key, error) {
	key, err := patience.Within(ctx, func() (signature.SignerVerifier, error) { return kms.Get(ctx, reference, hash) })
	if err != nil {
		return nil, trust.Key{}, err
	}
	public, err := patience.Within(ctx, func() (crypto.PublicKey, error) { return key.PublicKey(options.WithContext(ctx)) })
	if err != nil {
		return nil, trust.Key{}, fmt.Errorf("public key: %w", err)
	}
	k, err := trust.NewKey(sign.Redact(reference), public)
	return key, k, err
}

func (s service) signer(ctx context.Context, reference string, _ func() ([]byte, error)) (*sign.Signer, error) {
	key, public, err := s.open(ctx, reference)
	if err != nil {
		return nil, err
	}
	return sign.FromSigner(reference, public.Public, func(ctx context.Context, message []byte) ([]byte, error) {
		sig, err := patience.Within(ctx, func() ([]byte, error) {
			return key.SignMessage(bytes.NewReader(message), options.WithContext(ctx))
		})
		if err != nil {
			return nil, sign.NewReferenceError(reference, s.hint, err)
		}
		return sig, nil
	})
}

func (s service) publicKey(ctx context.Context, reference string) (trust.Key, error) {
	_, public, err := s.open(ctx, reference)
	return public, err
}
