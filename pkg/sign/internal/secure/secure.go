// Package secure says to which URLs a secret may be sent.
package secure

import (
	"errors"
	"net/netip"
	"net/url"
)

// ErrReadable is returned for a URL to which a secret would go readable for all on
// the way.
var ErrReadable = errors.New("an identity token goes over https only, or to this machine")

// CheckURL refuses URLs that are neither https nor on loopback.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return err
	}
	if u.Host == "" {
		return errors.New("it has no host")
	}
	address, err := netip.ParseAddr(u.Hostname())
	loopback := err == nil && address.IsLoopback() || u.Hostname() == "localhost"
	if u.Scheme == "https" || u.Scheme == "http" && loopback {
		return nil
	}
	return ErrReadable
}
