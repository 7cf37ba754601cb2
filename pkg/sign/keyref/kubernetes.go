package keyref

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // how people log in to clusters: each registers itself
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/sign/internal/patience"
	"github.com/modseal/modseal/pkg/trust"
)

// kubernetes has key pairs in secrets, as cosign generate-key-pair k8s:// writes
// them: cosign.key, cosign.password, cosign.pub.
type kubernetes struct{}

// secret is what the API server keeps of a v1 Secret that matters here.
type secret struct {
	Data map[string][]byte `json:"data"`
}

func (kubernetes) secret(ctx context.Context, reference string) (*secret, error) {
	path, is := strings.CutPrefix(reference, "k8s://")
	namespace, name, _ := strings.Cut(path, "/")
	if !is || namespace == "" || name == "" || strings.Contains(name, "/") {
		return nil, errors.New("it is not k8s://NAMESPACE/SECRET")
	}
	return patience.Within(ctx, func() (*secret, error) { return readSecret(ctx, namespace, name) })
}

// readSecret asks the cluster with the client that knows no kinds of objects. The
// one that cosign takes knows all of them: with it the program is 31 MB larger (go
// build -ldflags '-s -w'), and each start of it, whatever it is for, takes 14 MB more
// memory and 10 ms.
func readSecret(ctx context.Context, namespace, name string) (*secret, error) {
	config, err := clusterConfig()
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	kind := schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	object, err := client.Resource(kind).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	text, err := object.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var s secret
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("the answer is no secret: %w", err)
	}
	return &s, nil
}

// clusterConfig says which cluster is asked, and as whom: that of KUBECONFIG or of
// ~/.kube/config, else the one that this runs in, as cosign has it
// (https://github.com/sigstore/cosign/blob/v2.6.5/pkg/cosign/kubernetes/client.go).
func clusterConfig() (*rest.Config, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return rest.InClusterConfig()
	}
	return config, err
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
