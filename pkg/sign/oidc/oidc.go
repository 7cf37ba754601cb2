// Package oidc gets the identity token that a keyless signer shows to a
// certificate authority: one that was given, that of the CI system or the platform
// that the process runs on, or that of a person who signs in with a browser.
//
// Tokens are not verified here: the certificate authority does it, and what a token
// says of itself is read for messages only. They are secrets: they are in no error,
// and are sent to nobody but who is asked for them.
package oidc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/sign"
)

// DefaultClientID is by which Sigstore's issuers know its clients, and whom
// identity tokens are for
// (https://github.com/sigstore/fulcio/blob/v1.8.8/docs/oidc.md).
const DefaultClientID = "sigstore"

// Flow is how a person signs in.
type Flow string

// The flows.
const (
	FlowNone    Flow = ""        // nobody is asked
	FlowBrowser Flow = "browser" // a browser opens here; without one, a code is pasted
	FlowDevice  Flow = "device"  // a browser anywhere, by a short code
)

// Options say where a token may come from. They are tried in the order of the
// fields; the first that is there is used, and when it fails nothing else is
// tried.
type Options struct {
	// Given is a token, or the path of a file that holds one. The file is read for
	// each certificate, so that whoever renews it is heard.
	Given string
	// Getenv returns a variable of the environment; nil means that there is none.
	// SIGSTORE_ID_TOKEN is a token (GitLab CI has it as an id_token with the
	// audience sigstore).
	Getenv func(name string) (string, bool)
	// Provider names the one platform that is asked, of [Providers]; empty means
	// the first that is there.
	Provider string
	// NoAmbient leaves out the environment and all platforms.
	NoAmbient bool
	// Flow signs a person in when nothing else is there, with Issuer.
	Flow         Flow
	Issuer       string // its URL; see [sign.OIDCIssuer]
	ClientID     string // also the audience that every token must have; empty means DefaultClientID
	ClientSecret string
	RedirectURL  string // of FlowBrowser; empty means any port on localhost
	// Input and Output are where the person is; both are needed for a Flow.
	Input  io.Reader
	Output io.Writer

	Transport http.RoundTripper // to GitHub and to Issuer; nil means directly
	UserAgent string
	Now       func() time.Time // nil means the clock of the system

	wait func(ctx context.Context, attempt int) error // nil: exponential
}

// Source gives tokens. Its method Token is what [sign.KeylessOptions] wants.
type Source struct{ o Options }

// New returns a source.
func New(o Options) *Source {
	if o.Getenv == nil {
		o.Getenv = func(string) (string, bool) { return "", false }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.ClientID == "" {
		o.ClientID = DefaultClientID
	}
	if o.Transport == nil {
		o.Transport = &http.Transport{}
	}
	if o.wait == nil {
		o.wait = exponential
	}
	return &Source{o}
}

// ErrNone is wrapped, with [sign.ErrToken], when there is no token anywhere.
var ErrNone = errors.New("there is none: no --identity-token, no SIGSTORE_ID_TOKEN, no CI system that gives one, and nobody who signs in")

// Token returns an identity token that is valid now. Errors wrap [sign.ErrToken],
// or are a [sign.ServiceError].
func (s *Source) Token(ctx context.Context) (string, error) {
	token, from, err := s.find(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		var failed *sign.ServiceError
		if errors.As(err, &failed) || errors.Is(err, sign.ErrToken) {
			return "", err
		}
		if from != "" {
			err = fmt.Errorf("from %s: %w", from, err)
		}
		return "", fmt.Errorf("%w: %w", sign.ErrToken, err)
	}
	token = strings.TrimSpace(token)
	claims, err := sign.ReadClaims(token)
	if err == nil {
		err = claims.CheckTime(s.o.Now())
	}
	if err == nil && len(claims.Audience) > 0 && !slices.Contains(claims.Audience, s.o.ClientID) {
		err = fmt.Errorf("%w: it is for %q; ask its issuer for one for the audience %s", sign.ErrToken, claims.Audience, s.o.ClientID)
	}
	if err != nil {
		return "", fmt.Errorf("from %s: %w", from, err)
	}
	return token, nil
}

// find returns the token of the first place that has one, and the name of the
// place.
func (s *Source) find(ctx context.Context) (token, from string, err error) {
	if s.o.Given != "" {
		token, from, err = s.given()
		return token, from, err
	}
	if !s.o.NoAmbient {
		p, err := s.ambient(ctx)
		if err != nil {
			return "", "", err
		}
		if p != nil {
			token, err = p.token(ctx, s)
			return token, p.name, err
		}
	}
	switch s.o.Flow {
	case FlowNone:
		return "", "", ErrNone
	case FlowBrowser, FlowDevice:
		token, err = s.signIn(ctx)
		return token, s.o.Issuer, err
	}
	return "", "", fmt.Errorf("nobody can sign in by the flow %q; there are %s and %s", s.o.Flow, FlowBrowser, FlowDevice)
}

// given returns the token itself, or what the file holds.
func (s *Source) given() (token, from string, err error) {
	if _, err := sign.ReadClaims(s.o.Given); err == nil {
		return s.o.Given, "--identity-token", nil
	}
	// What is neither is not shown: it may be most of a token.
	f, err := os.Open(s.o.Given)
	if err != nil {
		return "", "", fmt.Errorf("what was given is neither a token nor a file that can be read: %w", cause(err))
	}
	defer f.Close()
	text, err := readToken(f)
	return text, s.o.Given, err
}

// cause is err without the path in it.
func cause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func readToken(r io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, limits.TokenBytes+1))
	if err != nil {
		return "", err
	}
	if len(text) > limits.TokenBytes {
		return "", fmt.Errorf("it has more than %d bytes", limits.TokenBytes)
	}
	return string(text), nil
}
