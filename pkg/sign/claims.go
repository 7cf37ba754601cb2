package sign

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// Claims are what an identity token says of itself. They are read for messages and
// never believed: the certificate authority verifies the token.
type Claims struct {
	Issuer, Subject, Email string
	Audience               []string
	NotBefore, Expires     time.Time // zero: not said
}

// ReadClaims reads a JSON Web Token without verifying it (RFC 7519, RFC 7515
// section 3.1). Errors wrap [ErrToken] and do not show the token.
func ReadClaims(token string) (Claims, error) {
	if len(token) > limits.TokenBytes {
		return Claims{}, fmt.Errorf("%w: %d bytes, more than %d", ErrToken, len(token), limits.TokenBytes)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return Claims{}, fmt.Errorf("%w: it is no signed JSON Web Token (three parts with dots between); give the token itself or the file that it is in", ErrToken)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return Claims{}, fmt.Errorf("%w: its claims are not in base64url", ErrToken)
	}
	var raw struct {
		Issuer    string          `json:"iss"`
		Subject   string          `json:"sub"`
		Email     string          `json:"email"`
		Audience  json.RawMessage `json:"aud"`
		NotBefore *float64        `json:"nbf"`
		Expires   *float64        `json:"exp"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return Claims{}, fmt.Errorf("%w: its claims are no JSON of a token", ErrToken)
	}
	c := Claims{Issuer: raw.Issuer, Subject: raw.Subject, Email: raw.Email, NotBefore: moment(raw.NotBefore), Expires: moment(raw.Expires)}
	var one string
	switch {
	case json.Unmarshal(raw.Audience, &one) == nil:
		c.Audience = []string{one}
	case len(raw.Audience) > 0:
		if err := json.Unmarshal(raw.Audience, &c.Audience); err != nil {
			return Claims{}, fmt.Errorf("%w: its audience is neither a text nor a list of texts", ErrToken)
		}
	}
	return c, nil
}

// moment is a NumericDate of RFC 7519. Times that no calendar has are as good as
// none.
func moment(seconds *float64) time.Time {
	const lastYear = 253402300799 // 9999-12-31T23:59:59Z
	if seconds == nil || *seconds < 0 || *seconds > lastYear {
		return time.Time{}
	}
	return time.Unix(int64(*seconds), 0)
}

// clockSkew is how far apart clocks of issuer and signer may be before a token is
// called expired here; the certificate authority decides.
const clockSkew = time.Minute

// CheckTime returns an error that wraps [ErrToken] when the token has expired at
// now, or is not valid yet.
func (c Claims) CheckTime(now time.Time) error {
	switch {
	case !c.Expires.IsZero() && now.After(c.Expires.Add(clockSkew)):
		return fmt.Errorf("%w: that of %s expired at %s and it is %s now; get a new one", ErrToken, c, rfc3339(c.Expires), rfc3339(now))
	case !c.NotBefore.IsZero() && now.Before(c.NotBefore.Add(-clockSkew)):
		return fmt.Errorf("%w: that of %s is valid only from %s and it is %s now; is the clock right?", ErrToken, c, rfc3339(c.NotBefore), rfc3339(now))
	}
	return nil
}

// String names whom the token is about.
func (c Claims) String() string {
	who := c.Email
	if who == "" {
		who = c.Subject
	}
	return fmt.Sprintf("%q, issued by %q", who, c.Issuer)
}
