//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// floorPart and floorConnections are how floorPull cuts a large file when each
// connection is slow.
const (
	floorPart        = 32 << 20
	floorConnections = 8
)

// floorPush sends the files of a directory, four at once.
func floorPush(ctx context.Context, dir string, to floorRef) error {
	m, err := readModel(dir)
	if err != nil {
		return err
	}
	config := ocispec.DescriptorEmptyJSON
	if err := pushBlob(ctx, to, config, bytes.NewReader(config.Data)); err != nil {
		return err
	}
	layers := make([]ocispec.Descriptor, len(m.files))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(floorAtOnce)
	for i, name := range m.files {
		group.Go(func() error {
			d, size, err := pushFile(groupCtx, filepath.Join(dir, name), to)
			layers[i] = ocispec.Descriptor{
				MediaType: "application/octet-stream", Digest: d, Size: size,
				Annotations: map[string]string{ocispec.AnnotationTitle: filepath.ToSlash(name)},
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	manifest := ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/vnd.modseal.bench",
		Config: config, Layers: layers,
	}
	manifest.SchemaVersion = 2
	text, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	return putManifest(ctx, to, manifest.MediaType, text)
}

// pushFile sends a file while it is hashed: the kernel sends it from the page
// cache, and beside that it is hashed through a descriptor of its own.
func pushFile(ctx context.Context, name string, to floorRef) (digest.Digest, int64, error) {
	body, err := os.Open(name)
	if err != nil {
		return "", 0, err
	}
	defer body.Close()
	info, err := body.Stat()
	if err != nil {
		return "", 0, err
	}
	var sum digest.Digest
	var group errgroup.Group
	group.Go(func() (err error) {
		sum, err = hashFile(name)
		return err
	})
	upload, err := session(ctx, to)
	if err != nil {
		return "", 0, err
	}
	if info.Size() > 0 {
		header := http.Header{"Content-Type": {"application/octet-stream"}}
		answer, err := request(ctx, http.MethodPatch, upload, body, info.Size(), header, http.StatusAccepted)
		if err != nil {
			return "", 0, err
		}
		if upload, err = location(answer); err != nil {
			return "", 0, err
		}
	}
	if err := group.Wait(); err != nil {
		return "", 0, err
	}
	// The registry compares what it got with the digest.
	answer, err := request(ctx, http.MethodPut, withDigest(upload, sum), nil, 0, nil, http.StatusCreated)
	if err != nil {
		return "", 0, err
	}
	return sum, info.Size(), answer.Body.Close()
}

func hashFile(name string) (digest.Digest, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(h, onlyReader{f}, make([]byte, floorBuffer)); err != nil {
		return "", err
	}
	return digest.NewDigest(digest.SHA256, h), nil
}

// onlyReader hides that a file can copy itself, with a small buffer.
type onlyReader struct{ io.Reader }

// pushBlob sends bytes of a known digest.
func pushBlob(ctx context.Context, to floorRef, d ocispec.Descriptor, body io.Reader) error {
	upload, err := session(ctx, to)
	if err != nil {
		return err
	}
	header := http.Header{"Content-Type": {"application/octet-stream"}}
	answer, err := request(ctx, http.MethodPut, withDigest(upload, d.Digest), body, d.Size, header, http.StatusCreated)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// floorPull fetches the files of an artifact, four at once.
func floorPull(ctx context.Context, from floorRef, dir string, fetch fetcher) error {
	m, _, err := getManifest(ctx, from)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(floorAtOnce)
	for _, layer := range m.Layers {
		group.Go(func() error {
			name := filepath.Join(dir, filepath.FromSlash(layer.Annotations[ocispec.AnnotationTitle]))
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				return err
			}
			f, err := os.Create(name)
			if err != nil {
				return err
			}
			defer f.Close()
			h := sha256.New()
			if err := fetch(ctx, from.blob(layer.Digest), layer.Size, f, h); err != nil {
				return err
			}
			if got := digest.NewDigest(digest.SHA256, h); got != layer.Digest {
				return fmt.Errorf("%s is %s, not %s", name, got, layer.Digest)
			}
			return f.Close()
		})
	}
	return group.Wait()
}

// A fetcher writes a blob to a file and to a hash.
type fetcher func(ctx context.Context, blob string, size int64, to *os.File, h hash.Hash) error

// fetchWhole uses one connection.
func fetchWhole(ctx context.Context, blob string, _ int64, to *os.File, h hash.Hash) error {
	answer, err := request(ctx, http.MethodGet, blob, nil, 0, nil, http.StatusOK)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.CopyBuffer(io.MultiWriter(to, h), answer.Body, make([]byte, floorBuffer))
	return err
}

// fetchRanges uses several connections, and hashes what is there in its order
// while the rest is under way.
func fetchRanges(ctx context.Context, blob string, size int64, to *os.File, h hash.Hash) error {
	parts := make([]chan struct{}, (size+floorPart-1)/floorPart)
	for i := range parts {
		parts[i] = make(chan struct{})
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		for i, arrived := range parts {
			select {
			case <-arrived:
			case <-ctx.Done():
				return ctx.Err()
			}
			begin := int64(i) * floorPart
			part := io.NewSectionReader(to, begin, min(floorPart, size-begin))
			if _, err := io.CopyBuffer(h, onlyReader{part}, make([]byte, floorBuffer)); err != nil {
				return err
			}
		}
		return nil
	})
	next := make(chan int, len(parts))
	for i := range parts {
		next <- i
	}
	close(next)
	for range floorConnections {
		group.Go(func() error {
			for i := range next {
				begin := int64(i) * floorPart
				if err := fetchRange(ctx, blob, begin, min(begin+floorPart, size)-1, to); err != nil {
					return err
				}
				close(parts[i])
			}
			return nil
		})
	}
	return group.Wait()
}

func fetchRange(ctx context.Context, blob string, first, last int64, to *os.File) error {
	header := http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", first, last)}}
	answer, err := request(ctx, http.MethodGet, blob, nil, 0, header, http.StatusPartialContent)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	n, err := io.CopyBuffer(io.NewOffsetWriter(to, first), answer.Body, make([]byte, floorBuffer))
	if err == nil && n != last-first+1 {
		err = fmt.Errorf("%s: %d bytes of a range, not %d", blob, n, last-first+1)
	}
	return err
}

// floorCopy passes the blobs of an artifact on, four at once, hashing them on
// the way.
func floorCopy(ctx context.Context, from, to floorRef) error {
	m, text, err := getManifest(ctx, from)
	if err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(floorAtOnce)
	for _, blob := range append(m.Layers, m.Config) {
		group.Go(func() error {
			answer, err := request(groupCtx, http.MethodGet, from.blob(blob.Digest), nil, 0, nil, http.StatusOK)
			if err != nil {
				return err
			}
			defer answer.Body.Close()
			h := sha256.New()
			if err := pushBlob(groupCtx, to, blob, io.TeeReader(answer.Body, h)); err != nil {
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
	return putManifest(ctx, to, ocispec.MediaTypeImageManifest, text)
}
