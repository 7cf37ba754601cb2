package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/sign/internal/secure"
)

// Variables of GitHub Actions
// (https://docs.github.com/en/actions/reference/security/oidc).
const (
	variableGitHubURL   = "ACTIONS_ID_TOKEN_REQUEST_URL"
	variableGitHubToken = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
)

// attempts is how often GitHub is asked.
const attempts = 4

func hasGitHub(_ context.Context, s *Source) bool {
	address, _ := s.o.Getenv(variableGitHubURL)
	token, _ := s.o.Getenv(variableGitHubToken)
	return address != "" && token != ""
}

// gitHub asks GitHub Actions for a token. cosign's code for it takes any answer
// for a token, of any length, and follows redirects with the request's secret.
func gitHub(ctx context.Context, s *Source) (string, error) {
	address, _ := s.o.Getenv(variableGitHubURL)
	secret, _ := s.o.Getenv(variableGitHubToken)
	if err := secure.CheckURL(address); err != nil {
		return "", fmt.Errorf("%s: %w", variableGitHubURL, err)
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("%s: %w", variableGitHubURL, err)
	}
	query := u.Query()
	query.Set("audience", s.o.ClientID)
	u.RawQuery = query.Encode()
	for attempt := 0; ; attempt++ {
		token, failed := s.askGitHub(ctx, u, secret)
		if failed == nil {
			return token, nil
		}
		if !failed.Temporary || attempt == attempts-1 {
			return "", failed
		}
		if err := s.o.wait(ctx, attempt); err != nil {
			return "", err
		}
	}
}

func (s *Source) askGitHub(ctx context.Context, u *url.URL, secret string) (string, *sign.ServiceError) {
	failed := &sign.ServiceError{Service: "identity provider", URL: u.Scheme + "://" + u.Host}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		failed.Err = err
		return "", failed
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	req.Header.Set("Accept", "application/json")
	if s.o.UserAgent != "" {
		req.Header.Set("User-Agent", s.o.UserAgent)
	}
	resp, err := s.o.Transport.RoundTrip(req)
	if err != nil {
		failed.Err, failed.Temporary, failed.Next = err, true, "try again later"
		return "", failed
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, limits.ServiceBytes))
	switch {
	case err != nil:
		failed.Err, failed.Temporary, failed.Next = err, true, "try again later"
		return "", failed
	case resp.StatusCode != http.StatusOK:
		failed.Status = resp.StatusCode
		failed.Temporary = resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests
		failed.Next = "give the job the permission id-token: write"
		if failed.Temporary {
			failed.Next = "try again later"
		}
		return "", failed
	}
	var answer struct {
		Value string `json:"value"`
	}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Value == "" {
		failed.Err = errors.New("its answer holds no token")
		return "", failed
	}
	return answer.Value, nil
}

// exponential waits half a second, then twice as long each time.
func exponential(ctx context.Context, attempt int) error {
	timer := time.NewTimer(500 * time.Millisecond << attempt)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
