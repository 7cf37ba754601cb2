//go:build linux

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

const (
	tarBlock      = 512
	floorManifest = "manifest.json" // in the archive of the floor
)

// floorSave writes the blobs of an artifact into one tar, four at once, each to
// its place, and hashes them on the way.
func floorSave(ctx context.Context, from floorRef, name string) (err error) {
	m, text, err := getManifest(ctx, from)
	if err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(floorAtOnce)
	var end int64
	for _, blob := range append(m.Layers, m.Config) {
		at := end
		end += tarBlock + (blob.Size+tarBlock-1)/tarBlock*tarBlock
		group.Go(func() error {
			if err := floorHeader(f, at, blob.Digest.String(), blob.Size); err != nil {
				return err
			}
			answer, err := request(groupCtx, http.MethodGet, from.blob(blob.Digest), nil, 0, nil, http.StatusOK)
			if err != nil {
				return err
			}
			defer answer.Body.Close()
			h := sha256.New()
			to := io.MultiWriter(io.NewOffsetWriter(f, at+tarBlock), h)
			if _, err := io.CopyBuffer(to, answer.Body, make([]byte, floorBuffer)); err != nil {
				return err
			}
			if got := digest.NewDigest(digest.SHA256, h); got != blob.Digest {
				return fmt.Errorf("%s came as %s", blob.Digest, got)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := floorHeader(f, end, floorManifest, int64(len(text))); err != nil {
		return err
	}
	_, err = f.WriteAt(append(text, make([]byte, 3*tarBlock-len(text)%tarBlock)...), end+tarBlock)
	return err
}

func floorHeader(f *os.File, at int64, name string, size int64) error {
	var header bytes.Buffer
	if err := tar.NewWriter(&header).WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, Format: tar.FormatGNU}); err != nil {
		return err
	}
	_, err := f.WriteAt(header.Bytes(), at)
	return err
}

// floorLoad sends the blobs of such a tar to a registry, four at once, and hashes
// them on the way: net/http gives the kernel only bodies that end with their file.
func floorLoad(ctx context.Context, name string, to floorRef) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(floorAtOnce)
	var text []byte
	for r := tar.NewReader(f); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if header.Name == floorManifest {
			if text, err = io.ReadAll(r); err != nil {
				return err
			}
			continue
		}
		at, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		blob := ocispec.Descriptor{Digest: digest.Digest(path.Base(header.Name)), Size: header.Size}
		group.Go(func() error { return loadBlob(groupCtx, f, at, blob, to) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return putManifest(ctx, to, ocispec.MediaTypeImageManifest, text)
}

func loadBlob(ctx context.Context, f *os.File, at int64, blob ocispec.Descriptor, to floorRef) error {
	h := sha256.New()
	if err := pushBlob(ctx, to, blob, io.TeeReader(io.NewSectionReader(f, at, blob.Size), h)); err != nil {
		return err
	}
	if got := digest.NewDigest(digest.SHA256, h); got != blob.Digest {
		return fmt.Errorf("%s is %s in the archive", blob.Digest, got)
	}
	return nil
}
