//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// floorArg makes this program do the work of a tool with the least code that
// does it honestly: every byte is hashed and compared, and that is all. There
// is no authentication, no retry, no resuming, no path check, no signature. It
// is what no tool can be much faster than.
const floorArg = "floor"

const (
	floorAtOnce = 4
	floorBuffer = 1 << 20
)

// floor runs "push DIR REF", "pull REF DIR", "ranges REF DIR", "copy REF REF",
// "save REF FILE" or "load FILE REF".
func floor(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return errors.New("floor push|pull|ranges|copy|save|load FROM TO")
	}
	switch args[0] {
	case "push":
		return floorPush(ctx, args[1], parseFloorRef(args[2]))
	case "pull":
		return floorPull(ctx, parseFloorRef(args[1]), args[2], fetchWhole)
	case "ranges":
		return floorPull(ctx, parseFloorRef(args[1]), args[2], fetchRanges)
	case "copy":
		return floorCopy(ctx, parseFloorRef(args[1]), parseFloorRef(args[2]))
	case "save":
		return floorSave(ctx, parseFloorRef(args[1]), args[2])
	case "load":
		return floorLoad(ctx, args[1], parseFloorRef(args[2]))
	}
	return fmt.Errorf("floor: unknown %q", args[0])
}

// floorRef is host/repository:tag.
type floorRef struct{ base, tag string }

func parseFloorRef(s string) floorRef {
	host, rest, _ := strings.Cut(s, "/")
	repository, tag, _ := strings.Cut(rest, ":")
	return floorRef{"http://" + host + "/v2/" + repository, tag}
}

func (r floorRef) blob(d digest.Digest) string { return r.base + "/blobs/" + d.String() }
func (r floorRef) manifest() string            { return r.base + "/manifests/" + r.tag }

// request sends one and fails when the answer is not the wanted one.
func request(ctx context.Context, method, target string, body io.Reader, size int64, header http.Header, want int) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	if header != nil {
		r.Header = header
	}
	r.ContentLength = size
	answer, err := floorClient.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != want {
		answer.Body.Close()
		return nil, fmt.Errorf("%s %s: %s", method, target, answer.Status)
	}
	return answer, nil
}

var floorClient = &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16}}

// session opens an upload and returns where to.
func session(ctx context.Context, to floorRef) (string, error) {
	answer, err := request(ctx, http.MethodPost, to.base+"/blobs/uploads/", nil, 0, nil, http.StatusAccepted)
	if err != nil {
		return "", err
	}
	return location(answer)
}

func location(answer *http.Response) (string, error) {
	answer.Body.Close()
	u, err := answer.Location()
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

// withDigest is the address that closes an upload.
func withDigest(upload string, d digest.Digest) string {
	separator := "?"
	if strings.Contains(upload, "?") {
		separator = "&"
	}
	return upload + separator + "digest=" + d.String()
}

func putManifest(ctx context.Context, to floorRef, mediaType string, text []byte) error {
	header := http.Header{"Content-Type": {mediaType}}
	answer, err := request(ctx, http.MethodPut, to.manifest(), bytes.NewReader(text), int64(len(text)), header, http.StatusCreated)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// getManifest returns a manifest and its bytes.
func getManifest(ctx context.Context, from floorRef) (m ocispec.Manifest, text []byte, err error) {
	header := http.Header{"Accept": {ocispec.MediaTypeImageManifest}}
	answer, err := request(ctx, http.MethodGet, from.manifest(), nil, 0, header, http.StatusOK)
	if err != nil {
		return m, nil, err
	}
	defer answer.Body.Close()
	if text, err = io.ReadAll(answer.Body); err != nil {
		return m, nil, err
	}
	return m, text, json.Unmarshal(text, &m)
}
