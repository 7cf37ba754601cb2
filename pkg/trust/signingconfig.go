package trust

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// ErrInvalidSigningConfig is wrapped when something is no signing configuration.
var ErrInvalidSigningConfig = errors.New("invalid signing configuration")

// SigningConfig says which services of a Sigstore instance a signer asks:
// certificate authorities, OpenID Connect providers, transparency logs and
// timestamp authorities. Make one with [ParseSigningConfig], [LoadSigningConfig],
// [Fetch] or [Store.SigningConfig].
type SigningConfig struct {
	Name    string
	Source  string    // the file or the TUF repository that it comes from
	Fetched time.Time // from its source of truth; zero when nobody noted it

	material *root.SigningConfig
	data     []byte
}

// ParseSigningConfig reads a signing configuration of version 0.2 as JSON
// (https://github.com/sigstore/protobuf-specs/blob/v0.5.1/protos/sigstore_trustroot.proto).
// It refuses with [ErrInvalidSigningConfig] one without services, URLs that are
// not those of a web server, windows that end before they begin, and selectors
// that nothing could meet.
func ParseSigningConfig(name string, data []byte) (*SigningConfig, error) {
	c, err := parseSigningConfig(name, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, ErrInvalidSigningConfig, err)
	}
	return c, nil
}

func parseSigningConfig(name string, data []byte) (*SigningConfig, error) {
	if len(data) > limits.SigningConfigBytes {
		return nil, fmt.Errorf("%d bytes, more than %d", len(data), limits.SigningConfigBytes)
	}
	pb := &prototrustroot.SigningConfig{}
	if err := protojson.Unmarshal(data, pb); err != nil {
		return nil, err
	}
	if t := pb.GetMediaType(); t != root.SigningConfigMediaType02 {
		return nil, fmt.Errorf("media type %q is not %q", t, root.SigningConfigMediaType02)
	}
	for what, list := range map[string][]*prototrustroot.Service{
		"caUrls": pb.GetCaUrls(), "oidcUrls": pb.GetOidcUrls(), "rekorTlogUrls": pb.GetRekorTlogUrls(), "tsaUrls": pb.GetTsaUrls(),
	} {
		if err := checkServices(list); err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
	}
	if len(pb.GetCaUrls())+len(pb.GetRekorTlogUrls())+len(pb.GetTsaUrls()) == 0 {
		return nil, errors.New("it names no certificate authority, no transparency log and no timestamp authority")
	}
	var err error
	if pb.RekorTlogConfig, err = checkSelector(pb.GetRekorTlogConfig(), pb.GetRekorTlogUrls()); err != nil {
		return nil, fmt.Errorf("rekorTlogConfig: %w", err)
	}
	if pb.TsaConfig, err = checkSelector(pb.GetTsaConfig(), pb.GetTsaUrls()); err != nil {
		return nil, fmt.Errorf("tsaConfig: %w", err)
	}
	material, err := root.NewSigningConfigFromProtobuf(pb)
	if err != nil {
		return nil, err
	}
	return &SigningConfig{Name: name, material: material, data: slices.Clone(data)}, nil
}

func checkServices(list []*prototrustroot.Service) error {
	if len(list) > limits.Services {
		return fmt.Errorf("%d services, more than %d", len(list), limits.Services)
	}
	for _, s := range list {
		if err := checkURL(s.GetUrl()); err != nil {
			return err
		}
		if err := checkText(s.GetOperator()); err != nil {
			return fmt.Errorf("%s: operator: %w", s.GetUrl(), err)
		}
		if s.GetMajorApiVersion() == 0 {
			return fmt.Errorf("%s: majorApiVersion is missing", s.GetUrl())
		}
		if _, err := readWindow(s.GetValidFor()); err != nil {
			return fmt.Errorf("%s: %w", s.GetUrl(), err)
		}
	}
	return nil
}

// checkSelector returns the selector of services; where there are none it may be
// missing, and sigstore-go 1.3.0 wants an empty one then.
func checkSelector(c *prototrustroot.ServiceConfiguration, services []*prototrustroot.Service) (*prototrustroot.ServiceConfiguration, error) {
	if len(services) == 0 {
		if c == nil {
			c = &prototrustroot.ServiceConfiguration{}
		}
		return c, nil
	}
	switch s := c.GetSelector(); s {
	case prototrustroot.ServiceSelector_ANY, prototrustroot.ServiceSelector_ALL:
	case prototrustroot.ServiceSelector_EXACT:
		if n := c.GetCount(); n == 0 || int64(n) > int64(len(services)) {
			return nil, fmt.Errorf("it demands exactly %d services of %d", n, len(services))
		}
	default:
		return nil, fmt.Errorf("selector %s: ANY, ALL or EXACT is meant", s)
	}
	return c, nil
}

// LoadSigningConfig reads a signing configuration from a file: a
// signing_config.json, or what "modseal trust export" wrote with exactly one in
// it.
func LoadSigningConfig(file string) (*SigningConfig, error) {
	item, err := loadItem(file, KindSigningConfig)
	if err != nil {
		return nil, err
	}
	return item.signingConfig()
}

// Material returns the configuration as sigstore-go takes it. It must not be
// changed.
func (c *SigningConfig) Material() *root.SigningConfig { return c.material }

// JSON returns the bytes that the configuration was read from.
func (c *SigningConfig) JSON() []byte { return slices.Clone(c.data) }

// Digest returns the SHA-256 of the bytes that the configuration was read from.
func (c *SigningConfig) Digest() digest.Digest { return digest.FromBytes(c.data) }

// Age returns how long ago the configuration was fetched, as [Root.Age] does.
func (c *SigningConfig) Age(now time.Time) (time.Duration, bool) { return age(c.Fetched, now) }

// checkURL accepts the address of a web server, without a login in it.
func checkURL(text string) error {
	if err := checkText(text); err != nil {
		return err
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return err
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "."):
		return fmt.Errorf("%q is no URL that begins with https://host or http://host", text)
	case u.User != nil:
		return fmt.Errorf("%s: a URL with a login in it is not kept", u.Redacted())
	}
	return nil
}

// checkText accepts short text that people may be shown.
func checkText(text string) error {
	switch {
	case len(text) > limits.TrustTextBytes:
		return fmt.Errorf("a text of %d bytes, more than %d", len(text), limits.TrustTextBytes)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("%q has characters that cannot be shown", text)
	}
	return nil
}
