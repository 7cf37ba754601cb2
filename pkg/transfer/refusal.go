package transfer

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/integrity"
)

// refusal says that the registry does not take a blob in the way it was sent.
type refusal struct {
	what    objection
	err     error
	final   bool // it is about the registry, not about this blob
	resumed bool // what was refused came from more than one request
}

type objection int

const (
	refusedStream objection = iota // of unknown digest
	refusedChunks                  // in several requests
	refusedResume                  // where it said that it goes on
	refusedPut                     // in one PUT, of a size that a stream may have
	refusedDigest                  // it got other bytes than those of the digest
)

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// errAgain says that the same is to be tried again at once.
var errAgain = errors.New("the upload goes on elsewhere than the registry said")

// adapt chooses another way after a refusal. Each is taken away once, so that it
// ends.
func (j *upload) adapt(ctx context.Context, r *refusal) error {
	switch r.what {
	case refusedStream:
		if r.final {
			j.u.learn(ctx, traits{Stream: no})
		}
		j.noStream = true
		return j.hashNow(ctx)
	case refusedChunks:
		if r.final {
			j.u.learn(ctx, traits{Chunks: no})
		}
		j.noChunks = true
		return j.hashNow(ctx) // then one PUT
	case refusedResume:
		j.noResume = true
		return nil
	case refusedPut:
		j.noPut = true
		return nil
	case refusedDigest:
	}
	return j.adaptDigest(ctx, r)
}

// adaptDigest looks for who is wrong about the digest: what was remembered, what
// was put together from several requests, or the registry.
func (j *upload) adaptDigest(ctx context.Context, r *refusal) error {
	j.noResume, j.noChunks = true, true
	switch {
	case j.guessed:
		old := j.desc.Digest
		j.desc.Digest = ""
		if err := j.hashNow(ctx); err != nil {
			return err
		}
		if j.desc.Digest != old {
			j.u.o.Digests.Forget(j.blob.Identity, old)
			j.u.o.Digests.Remember(j.blob.Identity, j.desc.Digest)
			return nil
		}
		if r.resumed {
			return nil
		}
	case j.hasher != nil && j.hasher.told:
		// What it was told is wrong, or what the registry has of an earlier request.
		j.hasher.close()
		if j.hasher = nil; !j.unproven {
			j.desc.Digest = ""
		}
		return j.hashNow(ctx)
	case r.resumed:
		return nil
	case j.streamed && !j.noStream:
		j.noStream = true // it may have dropped bytes of a stream
		return nil
	}
	return j.explain(ctx, r.err)
}

// compareDigest compares what a registry says it stored with what it was to
// store. One that names a digest of another algorithm says nothing.
func compareDigest(resp *http.Response, desc ocispec.Descriptor) error {
	got := digest.Digest(resp.Header.Get("Docker-Content-Digest"))
	ofOneKind := artifacttypes.ValidateDigest(got) == nil && got.Algorithm() == desc.Digest.Algorithm()
	if got == desc.Digest || !ofOneKind {
		return nil
	}
	return fmt.Errorf("stored by the registry as something else: %w",
		&integrity.Error{What: "blob", Want: desc.Digest, Got: got, WantSize: desc.Size, GotSize: desc.Size})
}
