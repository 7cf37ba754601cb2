package oidc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/sigstore/cosign/v2/pkg/providers"
	_ "github.com/sigstore/cosign/v2/pkg/providers/buildkite" // registers itself
	_ "github.com/sigstore/cosign/v2/pkg/providers/google"    // registers itself
	_ "github.com/sigstore/cosign/v2/pkg/providers/spiffe"    // registers itself

	"github.com/modseal/modseal/pkg/sign/internal/patience"
)

// tokenPath is where platforms put a token for cosign and its like
// (https://github.com/sigstore/cosign/blob/v2.6.5/pkg/providers/filesystem).
const tokenPath = "/var/run/sigstore/cosign/oidc-token" //nolint:gosec // the name of a file

// provider is a platform that knows what runs on it.
type provider struct {
	name    string
	enabled func(ctx context.Context, s *Source) bool
	token   func(ctx context.Context, s *Source) (string, error)
}

// platforms are in the order in which they are looked for. A variable was set on
// purpose. GitHub comes before those that a runner of one's own may stand on.
var platforms = []provider{
	{"environment", hasVariable, variable},
	{"github-actions", hasGitHub, gitHub},
	cosign("buildkite-agent"),
	{"filesystem", hasFile, file},
	cosign("google-impersonate"),
	cosign("google-workload-identity"),
	cosign("spiffe"),
}

// Providers returns the names of the platforms that give tokens.
func Providers() []string {
	var out []string
	for _, p := range platforms {
		out = append(out, p.name)
	}
	return out
}

// ambient returns the platform that is to be asked, nil when the process runs on
// none.
func (s *Source) ambient(ctx context.Context) (*provider, error) {
	if s.o.Provider != "" {
		i := slices.IndexFunc(platforms, func(p provider) bool { return p.name == s.o.Provider })
		if i < 0 {
			return nil, fmt.Errorf("the platform %q is unknown; there are %q", s.o.Provider, Providers())
		}
		if !platforms[i].enabled(ctx, s) {
			return nil, fmt.Errorf("this process does not run on %s, or may not have tokens of it", s.o.Provider)
		}
		return &platforms[i], nil
	}
	for i := range platforms {
		if platforms[i].enabled(ctx, s) {
			return &platforms[i], nil
		}
	}
	return nil, nil
}

const variableToken = "SIGSTORE_ID_TOKEN" //nolint:gosec // the name of a variable

func hasVariable(_ context.Context, s *Source) bool {
	_, ok := s.o.Getenv(variableToken)
	return ok
}

func variable(_ context.Context, s *Source) (string, error) {
	text, _ := s.o.Getenv(variableToken)
	if text == "" {
		return "", fmt.Errorf("%s is set and empty; in GitLab CI, ask for it under id_tokens with the audience %s", variableToken, s.o.ClientID)
	}
	return text, nil
}

func hasFile(context.Context, *Source) bool {
	_, err := os.Stat(tokenPath)
	return !errors.Is(err, fs.ErrNotExist)
}

func file(context.Context, *Source) (string, error) {
	f, err := os.Open(tokenPath)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return readToken(f)
}

// cosign is the platform that cosign knows under name. Its code reads the
// environment of the process itself.
func cosign(name string) provider {
	get := func(ctx context.Context) (providers.Interface, error) { return providers.ProvideFrom(ctx, name) }
	return provider{
		name: name,
		enabled: func(ctx context.Context, _ *Source) bool {
			p, err := get(ctx)
			if err != nil {
				return false
			}
			is, err := patience.Within(ctx, func() (bool, error) { return p.Enabled(ctx), nil })
			return err == nil && is
		},
		token: func(ctx context.Context, s *Source) (string, error) {
			p, err := get(ctx)
			if err != nil {
				return "", err
			}
			return patience.Within(ctx, func() (string, error) { return p.Provide(ctx, s.o.ClientID) })
		},
	}
}
