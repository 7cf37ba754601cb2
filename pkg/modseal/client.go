package modseal

import (
	"github.com/modseal/modseal/pkg/progress"
	"github.com/modseal/modseal/pkg/remote"
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
}

// Client does the verbs of modseal. It is safe for concurrent use.
type Client struct {
	o        Options
	registry *remote.Client
}

// New returns a Client. It fails when the options name files (certificates)
// that cannot be used.
func New(o Options) (*Client, error) {
	registry, err := remote.NewClient(o.Registry)
	if err != nil {
		return nil, err
	}
	return &Client{o: o, registry: registry}, nil
}
