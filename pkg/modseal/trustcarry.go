package modseal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/pkg/archive"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/trust"
)

// TrustExportResult is a file that carries trust material.
type TrustExportResult struct {
	File   string          `json:"file"`
	Digest digest.Digest   `json:"digest"` // what modseal trust import --sha256 takes
	Items  []trust.Summary `json:"items"`
}

// TrustExport returns a file that carries what has one of the names, or
// everything without names: the same bytes for the same material.
func (c *Client) TrustExport(names []string) ([]byte, *TrustExportResult, error) {
	items, err := c.trustStore().Named(names...)
	if err != nil {
		return nil, nil, err
	}
	if len(items) == 0 {
		return nil, nil, &trust.NotFoundError{Dir: c.o.TrustDir}
	}
	data, err := trust.Encode(items)
	if err != nil {
		return nil, nil, err
	}
	summaries, err := c.summaries(items)
	return data, &TrustExportResult{Digest: digest.FromBytes(data), Items: summaries}, err
}

// WriteTrustExport is TrustExport into a file, which must not exist or have the
// same bytes already.
func (c *Client) WriteTrustExport(file string, names []string) (*TrustExportResult, error) {
	data, res, err := c.TrustExport(names)
	if err != nil {
		return nil, err
	}
	res.File = file
	err = writeNew(file, data, 0o644)
	if errors.Is(err, fs.ErrExist) {
		if have, readErr := readSmall(file, limits.TrustFileBytes); readErr == nil && string(have) == string(data) {
			return res, nil
		}
		return nil, fmt.Errorf("%w: %s exists and is not overwritten; write to another file", ErrUsage, file)
	}
	return res, err
}

// TrustImportResult is what an import did, or would do.
type TrustImportResult struct {
	File   string            `json:"file"`
	Digest digest.Digest     `json:"digest"`
	DryRun bool              `json:"dryRun"`
	Items  []TrustImportItem `json:"items"`
}

// TrustImportItem is an item of the file, and what becomes of it.
type TrustImportItem struct {
	Action trust.Action `json:"action"`
	Why    string       `json:"why,omitempty"` // of a refusal
	trust.Summary
}

// TrustImport keeps everything that a file carries, or the trust material that
// archive:FILE carries, or nothing: see [trust.Store.Import]. The result is there when the file could be read, also
// with a [*trust.ImportError].
func (c *Client) TrustImport(ctx context.Context, file string, o trust.ImportOptions) (*TrustImportResult, error) {
	data, err := readTrustFile(ctx, file)
	if err != nil {
		return nil, err
	}
	if kind, ok := trust.KindOf(data); ok {
		return nil, fmt.Errorf("%w: %s is a %s by itself, and no file that modseal trust export wrote; modseal trust add %s NAME %s keeps it",
			ErrUsage, file, kind, kind, file)
	}
	if o.Now.IsZero() {
		o.Now = c.services.time()
	}
	imported, err := c.trustStore().Import(ctx, file, data, o)
	if err != nil && !as[*trust.ImportError](err) {
		return nil, err
	}
	res := &TrustImportResult{File: file, Digest: imported.Digest, DryRun: o.DryRun}
	for _, i := range imported.Items {
		s, describeErr := i.Item.Describe(o.Now)
		if describeErr != nil {
			return nil, errors.Join(err, describeErr)
		}
		res.Items = append(res.Items, TrustImportItem{Action: i.Action, Why: i.Why, Summary: s})
	}
	return res, err
}

// readTrustFile reads what carries trust material: a file, or an archive in which
// it lies. The bytes, and so the digest that is pinned, are the same.
func readTrustFile(ctx context.Context, file string) (data []byte, err error) {
	path, is := strings.CutPrefix(file, archivePrefix)
	if !is {
		return readSmall(file, limits.TrustFileBytes)
	}
	a, err := archive.Open(ctx, path, archive.OpenOptions{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	data, ok, err := a.Trust()
	if err == nil && !ok {
		err = fmt.Errorf("%s carries no trust material: %w", file, errdef.ErrNotFound)
	}
	return data, err
}
