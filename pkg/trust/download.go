package trust

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// download fetches for go-tuf. It is made for one refresh.
type download struct {
	get    func(url string, limit int64) ([]byte, error)
	bytes  int64
	failed error // the first that was not the repository's word
}

// DownloadFile implements fetcher.Fetcher of go-tuf.
func (d *download) DownloadFile(url string, limit int64, _ time.Duration) ([]byte, error) {
	limit = min(limit, limits.TUFFileBytes)
	if d.bytes+limit > limits.TUFBytes {
		limit = limits.TUFBytes - d.bytes
	}
	data, err := d.get(url, limit)
	d.bytes += int64(len(data))
	if err != nil && d.failed == nil && !isAnswer(err) {
		d.failed = err
	}
	return data, err
}

// isAnswer holds for what the repository did, unlike what happened on the way.
func isAnswer(err error) bool {
	var status *metadata.ErrDownloadHTTP
	var length *metadata.ErrDownloadLengthMismatch
	return errors.As(err, &status) || errors.As(err, &length)
}

// explain tells what could not be fetched from what is not to be believed.
func (d *download) explain(url string, err error) error {
	var status *metadata.ErrDownloadHTTP
	switch {
	case d.failed != nil:
		return &FetchError{url, d.failed}
	case errors.As(err, &status):
		return &FetchError{url, err}
	}
	return &RepositoryError{url, err}
}

func getter(ctx context.Context, o FetchOptions) func(string, int64) ([]byte, error) {
	client := &http.Client{Transport: o.Transport}
	return func(url string, limit int64) ([]byte, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, err
		}
		if o.UserAgent != "" {
			req.Header.Set("User-Agent", o.UserAgent)
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return nil, &metadata.ErrDownloadHTTP{StatusCode: resp.StatusCode, URL: url}
		}
		data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
		if err == nil && int64(len(data)) > limit {
			return nil, &metadata.ErrDownloadLengthMismatch{Msg: fmt.Sprintf("%s is longer than %d bytes", url, limit)}
		}
		return data, err
	}
}
