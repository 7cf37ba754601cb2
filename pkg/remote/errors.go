package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"unicode"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// Error says what a registry did not do. The cause stays reachable: an answer
// of the registry as *errcode.ErrorResponse, a broken connection as net.Error,
// a missing thing as errdef.ErrNotFound.
type Error struct {
	Registry   string
	Repository string // empty when the registry as a whole was asked
	Op         string // what was asked for, like "fetch sha256:…"
	Err        error

	text string
}

func (e *Error) Error() string { return e.text }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes a 404 of a registry an errdef.ErrNotFound.
func (e *Error) Is(target error) bool {
	return target == errdef.ErrNotFound && StatusCode(e.Err) == http.StatusNotFound
}

// StatusCode returns the status with which a registry refused, or 0 when err is
// no answer of a registry.
func StatusCode(err error) int {
	var r *errcode.ErrorResponse
	if errors.As(err, &r) {
		return r.StatusCode
	}
	return 0
}

// IsUnauthorized reports whether err says that the credentials for a registry
// are missing, wrong, or not good enough.
func IsUnauthorized(err error) bool {
	switch StatusCode(err) {
	case http.StatusUnauthorized, http.StatusForbidden:
		return true
	}
	return errors.Is(err, auth.ErrBasicCredentialNotFound)
}

// IsTransport reports whether err says that a registry could not be reached or
// kept failing: something that may well work when it is tried again. It does
// not hold for a context that was cancelled.
func IsTransport(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	if code := StatusCode(err); code != 0 {
		return retryableStatus(code)
	}
	var dns *net.DNSError
	return retryableError(err) || isDialError(err) || errors.As(err, &dns)
}

// ResponseError reads the error that a registry answered and closes the body.
// It returns a *errcode.ErrorResponse.
func ResponseError(resp *http.Response) error {
	defer resp.Body.Close()
	e := &errcode.ErrorResponse{Method: resp.Request.Method, URL: resp.Request.URL, StatusCode: resp.StatusCode}
	var body struct {
		Errors errcode.Errors `json:"errors"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, limits.ErrorBytes)).Decode(&body); err == nil {
		e.Errors = body.Errors
	}
	return e
}

// Explain makes an *Error of err: op is what the repository was asked for. An
// err that a cancelled ctx caused is replaced by the cause of the cancellation.
// A nil err and one that is explained already are returned as they are.
func (r *Repository) Explain(ctx context.Context, op string, err error) error {
	return r.client.explain(ctx, r.ref.Registry, r.ref.Repository, op, err)
}

func (c *Client) explain(ctx context.Context, host, repository, op string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return &cancelled{cause: context.Cause(ctx), err: ctx.Err()}
	}
	var explained *Error
	if errors.As(err, &explained) {
		return err
	}
	what := strings.TrimSpace(repository + ": " + op)
	if repository == "" {
		what = op
	}
	text := fmt.Sprintf("registry %s: %s: %s", host, what, reason(err))
	return &Error{Registry: host, Repository: repository, Op: op, Err: err, text: c.secrets.redact(clean(text))}
}

// cancelled is the cause of a cancellation that is still found as
// context.Canceled or context.DeadlineExceeded.
type cancelled struct{ cause, err error }

func (c *cancelled) Error() string   { return c.cause.Error() }
func (c *cancelled) Unwrap() []error { return []error{c.cause, c.err} }

// reason says in few words why a request failed. net/http and oras-go repeat
// method and URL, upload URLs hold the state of a session, and both are noise
// beside the repository and the digest.
func reason(err error) string {
	var (
		response *errcode.ErrorResponse
		dns      *net.DNSError
		op       *net.OpError
		syscall  *os.SyscallError
		u        *url.Error
		stall    *stallError
	)
	switch {
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return "it asks for credentials, and none are known for it"
	case errors.As(err, &response):
		if len(response.Errors) > 0 {
			return fmt.Sprintf("status %d: %s", response.StatusCode, messages(response.Errors))
		}
		return fmt.Sprintf("status %d: %s", response.StatusCode, strings.ToLower(http.StatusText(response.StatusCode)))
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Sprintf("no such host %s", dns.Name)
	case errors.As(err, &stall):
		return stall.Error()
	case errors.As(err, &syscall):
		return syscall.Err.Error()
	case errors.As(err, &op):
		return op.Err.Error()
	case isBroken(err):
		return "the connection broke"
	case errors.Is(err, errdef.ErrNotFound):
		return "not found"
	case errors.As(err, &u):
		return u.Err.Error()
	}
	return err.Error()
}

// messages leaves the details out: they are for programs, in a form of each
// registry's own, and would show as the map or list that they were decoded to.
func messages(errs errcode.Errors) string {
	plain := make(errcode.Errors, len(errs))
	for i, e := range errs {
		plain[i] = errcode.Error{Code: e.Code, Message: e.Message}
	}
	return plain.Error()
}

// clean bounds foreign text and takes out what a terminal would obey.
func clean(s string) string {
	const most = 2000
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

func digestOf(ref Reference) digest.Digest { return digest.Digest(ref.Reference) }
