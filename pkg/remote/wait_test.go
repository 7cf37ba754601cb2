package remote_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/modseal/modseal/pkg/remote"
)

// Who wants to know learns how long it is waited and why, before it is.
func TestOnWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := newRepository(t, "registry.example", remote.Options{RetryFor: time.Minute}).Attempts()
		start := time.Now()
		var told time.Duration
		attempts.OnWait(func(d time.Duration, err error) {
			told = d
			if remote.StatusCode(err) != http.StatusTooManyRequests || time.Since(start) > 0 {
				t.Errorf("told %v after %v", err, time.Since(start))
			}
		})
		busy := &errcode.ErrorResponse{StatusCode: http.StatusTooManyRequests}
		if !attempts.Wait(t.Context(), busy, http.Header{"Retry-After": {"12"}}) {
			t.Fatal("it may be tried again")
		}
		if told != 12*time.Second || time.Since(start) != told {
			t.Errorf("told to wait %v, waited %v", told, time.Since(start))
		}
		told = 0
		if attempts.Wait(t.Context(), errors.New("final"), nil) || told != 0 {
			t.Errorf("told to wait %v for what is final", told)
		}
	})
}
