package keyref

import (
	"context"
	"errors"
	"fmt"
	"strings"

	cosign "github.com/sigstore/cosign/v2/pkg/cosign/kubernetes"
	corev1 "k8s.io/api/core/v1"

	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/sign/internal/patience"
	"github.com/modseal/modseal/pkg/trust"
)

// kubernetes has key pairs in secrets, as cosign generate-key-pair k8s:// writes
// them: cosign.key, cosign.password, cosign.pub.
type kubernetes struct{}

func (kubernetes) secret(ctx context.Context, reference string) (*corev1.Secret, error) {
	parts := strings.Split(strings.TrimPrefix(reference, cosign.KeyReference), "/")
	if !strings.HasPrefix(reference, cosign.KeyReference) || len(parts) != 2 || parts[0] == "" || parts[1] == "" {
		return nil, errors.New("it is not k8s://NAMESPACE/SECRET")
	}
	return patience.Within(ctx, func() (*corev1.Secret, error) { return cosign.GetKeyPairSecret(ctx, reference) })
}

func (k kubernetes) signer(ctx context.Context, reference string, password func() ([]byte, error)) (*sign.Signer, error) {
	secret, err := k.secret(ctx, reference)
	if err != nil {
		return nil, err
	}
	text, ok := secret.Data["cosign.key"]
	if !ok {
		return nil, fmt.Errorf("the secret has no cosign.key")
	}
	if stored, ok := secret.Data["cosign.password"]; ok {
		password = func() ([]byte, error) { return stored, nil }
	}
	return sign.Load(reference, text, password)
}

func (k kubernetes) publicKey(ctx context.Context, reference string) (trust.Key, error) {
	secret, err := k.secret(ctx, reference)
	if err != nil {
		return trust.Key{}, err
	}
	text, ok := secret.Data["cosign.pub"]
	if !ok {
		return trust.Key{}, errors.New("the secret has no cosign.pub")
	}
	return trust.ParseKey(reference, text)
}

func (kubernetes) next() string {
	return "is the cluster reached (KUBECONFIG), and may you read secrets there (kubectl auth can-i get secrets)?"
}
