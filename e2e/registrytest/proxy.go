package registrytest

import (
	"fmt"

	"github.com/distribution/distribution/v3/configuration"
)

// StartPullThrough starts a pull-through cache of the registry at upstream:
// distribution v3 in its proxy mode. It takes no pushes, has no referrers API,
// and answers the first request for a blob with all of it, whatever range was
// asked for. user and password are what it logs in with at upstream; empty ones
// mean that it does not.
func StartPullThrough(upstream, user, password, dir string) (*Registry, error) {
	handler, stop, err := startDistribution(dir, configuration.Proxy{RemoteURL: "http://" + upstream, Username: user, Password: password})
	if err != nil {
		return nil, fmt.Errorf("pull-through cache of %s: %w", upstream, err)
	}
	return behindFront(handler, stop, dir), nil
}
