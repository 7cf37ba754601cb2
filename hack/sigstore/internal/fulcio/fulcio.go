// Package fulcio runs Fulcio in this process: its CA service behind its own
// HTTP gateway, without the gRPC port and the metrics that a deployment has.
package fulcio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	ctclient "github.com/google/certificate-transparency-go/client"
	"github.com/google/certificate-transparency-go/jsonclient"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	v1 "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore/pkg/signature"
	"go.uber.org/zap"
	"google.golang.org/grpc/metadata"

	"github.com/sigstore/fulcio/pkg/ca"
	"github.com/sigstore/fulcio/pkg/ca/baseca"
	"github.com/sigstore/fulcio/pkg/certificate"
	"github.com/sigstore/fulcio/pkg/config"
	gateway "github.com/sigstore/fulcio/pkg/generated/protobuf"
	"github.com/sigstore/fulcio/pkg/log"
	"github.com/sigstore/fulcio/pkg/server"

	"github.com/modseal/modseal/hack/sigstore/internal/issuer"
	"github.com/modseal/modseal/hack/sigstore/internal/material"
)

// Options of a Fulcio.
type Options struct {
	// Chain issues the certificates.
	Chain material.Chain
	// CTLog is the URL of the certificate transparency log and CTKey its public
	// key as PEM. Without a URL certificates carry no SCT.
	CTLog string
	CTKey []byte
	// Issuers are the URLs of the providers of package issuer by name.
	Issuers map[string]string
	// Lifetime of certificates.
	Lifetime time.Duration
	// Age of certificates when they are issued; more than Lifetime gives
	// certificates that have expired.
	Age time.Duration
}

// LogTo makes Fulcio log to a file instead of standard output: all Fulcios of
// this process, since they share one logger.
func LogTo(file string) error {
	c := zap.NewProductionConfig()
	c.OutputPaths = []string{file}
	logger, err := c.Build()
	if err != nil {
		return err
	}
	log.Logger = logger.Sugar()
	return nil
}

const ciProvider = "github-workflow"

// types are how Fulcio makes a certificate from the token of each provider.
var types = map[string]config.IssuerType{
	issuer.Email:  config.IssuerTypeEmail,
	issuer.Other:  config.IssuerTypeEmail,
	issuer.GitHub: config.IssuerTypeCIProvider,
	issuer.SPIFFE: config.IssuerTypeSpiffe,
}

// algorithms of the keys that are certified: those of Fulcio's own default.
var algorithms = []v1.PublicKeyDetails{
	v1.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256,
	v1.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384,
	v1.PublicKeyDetails_PKIX_ECDSA_P521_SHA_512,
	v1.PublicKeyDetails_PKIX_RSA_PKCS1V15_2048_SHA256,
	v1.PublicKeyDetails_PKIX_RSA_PKCS1V15_3072_SHA256,
	v1.PublicKeyDetails_PKIX_RSA_PKCS1V15_4096_SHA256,
	v1.PublicKeyDetails_PKIX_ED25519,
}

// New returns the HTTP API of a Fulcio; the issuers must be up.
func New(ctx context.Context, o Options) (http.Handler, error) {
	cfg, err := configure(o.Issuers)
	if err != nil {
		return nil, err
	}
	if err := ca.VerifyCertChain(o.Chain.Certificates, o.Chain.Key.PrivateKey); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Chain.File, err)
	}
	var ct *ctclient.LogClient
	if o.CTLog != "" {
		ct, err = ctclient.New(o.CTLog, &http.Client{Timeout: 10 * time.Second}, jsonclient.Options{PublicKey: string(o.CTKey)})
		if err != nil {
			return nil, err
		}
	}
	registry, err := signature.NewAlgorithmRegistryConfig(algorithms)
	if err != nil {
		return nil, err
	}
	pool := server.NewIssuerPool(cfg)
	for i := range pool {
		pool[i] = dated{Issuer: pool[i], options: o}
	}
	authority := &baseca.BaseCA{SignerWithChain: &ca.SignerCerts{Signer: o.Chain.Key.PrivateKey, Certs: o.Chain.Certificates}}
	mux := runtime.NewServeMux(runtime.WithMetadata(bearer))
	if err := gateway.RegisterCAHandlerServer(ctx, mux, server.NewGRPCCAServer(ct, authority, registry, pool)); err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mux.ServeHTTP(w, r.WithContext(config.With(r.Context(), cfg)))
	}), nil
}

// configure makes Fulcio's configuration, which asks each issuer for its keys.
func configure(issuers map[string]string) (*config.FulcioConfig, error) {
	cfg := config.FulcioConfig{
		OIDCIssuers:      map[string]config.OIDCIssuer{},
		CIIssuerMetadata: map[string]config.IssuerMetadata{ciProvider: workflowMetadata()},
	}
	for name, u := range issuers {
		kind, ok := types[name]
		if !ok {
			return nil, errors.New("issuer " + name + " has no type in Fulcio's configuration")
		}
		entry := config.OIDCIssuer{IssuerURL: u, ClientID: issuer.Audience, Type: kind}
		switch kind {
		case config.IssuerTypeCIProvider:
			entry.CIProvider = ciProvider
		case config.IssuerTypeSpiffe:
			entry.SPIFFETrustDomain = issuer.TrustDomain
		}
		cfg.OIDCIssuers[u] = entry
	}
	raw, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	return config.Read(raw)
}

// workflowMetadata is what the public instance puts into the certificates of
// GitHub Actions (config/identity/config.yaml of Fulcio v1.8.8).
func workflowMetadata() config.IssuerMetadata {
	return config.IssuerMetadata{
		DefaultTemplateValues: map[string]string{"url": "https://github.com", "environment": ""},
		ExtensionTemplates: certificate.Extensions{
			GithubWorkflowTrigger: "event_name", GithubWorkflowSHA: "sha", GithubWorkflowName: "workflow",
			GithubWorkflowRepository: "repository", GithubWorkflowRef: "ref",
			BuildSignerURI: "{{ .url }}/{{ .job_workflow_ref }}", BuildSignerDigest: "job_workflow_sha",
			RunnerEnvironment:   "runner_environment",
			SourceRepositoryURI: "{{ .url }}/{{ .repository }}", SourceRepositoryDigest: "sha", SourceRepositoryRef: "ref",
			SourceRepositoryIdentifier: "repository_id", SourceRepositoryOwnerURI: "{{ .url }}/{{ .repository_owner }}",
			SourceRepositoryOwnerIdentifier: "repository_owner_id",
			BuildConfigURI:                  "{{ .url }}/{{ .workflow_ref }}", BuildConfigDigest: "workflow_sha", BuildTrigger: "event_name",
			RunInvocationURI:                    "{{ .url }}/{{ .repository }}/actions/runs/{{ .run_id }}/attempts/{{ .run_attempt }}",
			SourceRepositoryVisibilityAtSigning: "repository_visibility", DeploymentEnvironment: "environment",
		},
		SubjectAlternativeNameTemplate: "{{ .url }}/{{ .job_workflow_ref }}",
	}
}

// bearer hands a token in the Authorization header on to the service, which
// takes it there as well as in the request.
func bearer(_ context.Context, r *http.Request) metadata.MD {
	return metadata.Pairs(server.MetadataOIDCTokenKey, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
}
