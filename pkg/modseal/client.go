package modseal

import (
	"net/http"
	"path/filepath"
	"slices"

	"github.com/modseal/modseal/pkg/digestcache"
	"github.com/modseal/modseal/pkg/progress"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/transfer"
)

// Options configure a [Client]. The zero value talks to registries anonymously
// and remembers nothing.
type Options struct {
	Registry remote.Options
	// Progress learns what is moved; nil means nobody wants to know.
	Progress progress.Reporter
	// StateDir is a directory for what makes later runs cheaper, such as what a
	// pull wrote; empty means to remember nothing.
	StateDir string
	// Keys resolves key references such as awskms://…; nil means that keys are
	// files. pkg/sign/keyref has one that knows them all.
	Keys sign.KeyStore
	// TrustDir is the directory of the trust store; empty means that there is
	// none, and what comes from TUF is fetched by each Client.
	TrustDir string
	// Services sends requests to services that are no registries, such as TUF
	// repositories; nil means a transport of its own, with the proxies of
	// Registry.
	Services http.RoundTripper
}

// Client does the verbs of modseal. It is safe for concurrent use.
type Client struct {
	o        Options
	registry *remote.Client
	profiles *transfer.Profiles
	digests  *digestcache.Cache // nil without a StateDir
	placed   *digestcache.Cache // digests, or what is known for as long as the client lives
	services services
}

// New returns a Client. It fails when the options name files (certificates)
// that cannot be used.
func New(o Options) (*Client, error) {
	if o.Registry.LockDir == "" {
		o.Registry.LockDir = o.state("locks")
	}
	registry, err := remote.NewClient(o.Registry)
	if err != nil {
		return nil, err
	}
	c := &Client{o: o, registry: registry, profiles: transfer.NewProfiles(o.state("registries.json"))}
	if o.StateDir != "" {
		c.digests = digestcache.Open(o.state("digests"))
	}
	if c.placed = c.digests; c.placed == nil {
		c.placed = digestcache.Open("")
	}
	return c, nil
}

// state returns where something is remembered, or "".
func (o Options) state(name string) string {
	if o.StateDir == "" {
		return ""
	}
	return filepath.Join(o.StateDir, name)
}

// Warnings returns what mirrors of registries did wrong so far and was mended by
// asking elsewhere, and where older trusted roots were used than was meant, for
// people to read.
func (c *Client) Warnings() []string { return slices.Concat(c.registry.Warnings(), c.services.said()) }
