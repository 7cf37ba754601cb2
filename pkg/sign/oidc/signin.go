package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"time"
	"unicode"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/sigstore/sigstore/pkg/oauthflow"
	"golang.org/x/oauth2"

	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/sign/internal/patience"
	"github.com/modseal/modseal/pkg/sign/internal/secure"
)

// signIn has a person sign in with the issuer. What the library does after the
// issuer was found goes past Transport, and ends with its own timeouts.
func (s *Source) signIn(ctx context.Context) (string, error) {
	if s.o.Issuer == "" {
		return "", errors.New("no OpenID Connect issuer to sign in with: the signing configuration names none")
	}
	if s.o.Input == nil || s.o.Output == nil {
		return "", errors.New("nobody is there to sign in")
	}
	if err := secure.CheckURL(s.o.Issuer); err != nil {
		return "", fmt.Errorf("issuer %s: %w", s.o.Issuer, err)
	}
	client := &http.Client{Transport: s.o.Transport, Timeout: 30 * time.Second}
	issuer, err := gooidc.NewProvider(gooidc.ClientContext(ctx, client), s.o.Issuer)
	if err != nil {
		return "", &sign.ServiceError{Service: "identity provider", URL: s.o.Issuer, Err: err, Next: "is this the URL of an OpenID Connect issuer, and is it reached?"}
	}
	// Codes and tokens go to these, and a browser opens the first.
	for _, address := range []string{issuer.Endpoint().AuthURL, issuer.Endpoint().TokenURL, issuer.Endpoint().DeviceAuthURL} {
		if address == "" {
			continue // not all issuers have all, and the flow says what it lacks
		}
		if err := secure.CheckURL(address); err != nil {
			return "", fmt.Errorf("issuer %s names the address %q: %w", s.o.Issuer, address, err)
		}
	}
	config := oauth2.Config{
		ClientID: s.o.ClientID, ClientSecret: s.o.ClientSecret, RedirectURL: s.o.RedirectURL,
		Endpoint: issuer.Endpoint(), Scopes: []string{gooidc.ScopeOpenID, "email"},
	}
	token, err := patience.Within(ctx, func() (*oauthflow.OIDCIDToken, error) { return s.getter(ctx).GetIDToken(issuer, config) })
	if err != nil {
		return "", err
	}
	return token.RawString, nil
}

// printable is text without what would drive a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

func (s *Source) getter(ctx context.Context) oauthflow.TokenGetter {
	if s.o.Flow == FlowDevice {
		d := oauthflow.NewDeviceFlowTokenGetterForIssuer(s.o.Issuer)
		// The code and the address in it are what the issuer says.
		d.MessagePrinter = func(text string) { fmt.Fprintln(s.o.Output, printable(text)) }
		d.Sleeper = func(d time.Duration) {
			timer := time.NewTimer(d)
			defer timer.Stop()
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
			if ctx.Err() != nil {
				// The library would ask on and on, and nobody waits for this goroutine
				// any more.
				runtime.Goexit()
			}
		}
		return d
	}
	return &oauthflow.InteractiveIDTokenGetter{
		HTMLPage: oauthflow.DefaultIDTokenGetter.HTMLPage, Input: s.o.Input, Output: s.o.Output,
	}
}
