package transfer

import (
	"net"
	"path"
)

// fact is what is known of one trait of a registry.
type fact string

// The facts. The empty one means that nothing is known.
const (
	yes fact = "yes"
	no  fact = "no"
)

// keeps is what a registry keeps of an upload session when the connection
// breaks; empty when nothing is known.
type keeps string

const (
	keepsNothing keeps = "nothing"
	keepsChunks  keeps = "chunks" // what whole requests brought
	keepsBytes   keeps = "bytes"  // every byte that it got
)

// traits is how a registry takes blobs (registries.md §1.2).
type traits struct {
	// Stream is whether it takes a blob of unknown digest in one PATCH.
	Stream fact `json:"stream,omitempty"`
	// Chunks is whether it takes a blob in several PATCH.
	Chunks fact `json:"chunks,omitempty"`
	// Resume is what it keeps of a broken session.
	Resume keeps `json:"resume,omitempty"`
	// MaxChunk bounds a PATCH with Content-Range, in bytes; 0 means no bound.
	MaxChunk int64 `json:"maxChunk,omitempty"`
}

// hosts says what is known of registries by their names. It is the only place
// where names of registries stand; what is learned by using one goes above it.
// The sources are reports of issues, not tests: none of these can be run here.
var hosts = []struct {
	pattern string // of path.Match, without a port
	traits
	source string
}{
	{"ghcr.io", traits{Stream: yes, Resume: keepsNothing, MaxChunk: 4 << 20}, "416 for a PATCH with Content-Range above 4 MiB"},
	{"*.pkg.dev", traits{Stream: no, Chunks: no, Resume: keepsNothing}, "kitops-ml/kitops#777, #780: one PUT and nothing else"},
	{"gcr.io", traits{Stream: no, Chunks: no, Resume: keepsNothing}, "as *.pkg.dev, which serves it"},
	{"*.gcr.io", traits{Stream: no, Chunks: no, Resume: keepsNothing}, "as *.pkg.dev, which serves it"},
	{"*.dkr.ecr.*", traits{Stream: yes, Chunks: no, Resume: keepsNothing}, "aws/containers-roadmap#2831: from the second PATCH on, 201 and the bytes are dropped"},
	{"public.ecr.aws", traits{Stream: yes, Chunks: no, Resume: keepsNothing}, "as *.dkr.ecr.*"},
	{"*.azurecr.io", traits{Stream: yes, Chunks: no, Resume: keepsNothing}, "413 for a PUT above 20 MB seen through a proxy; refuses a body without a length"},
	{"quay.io", traits{Chunks: no, Resume: keepsNothing}, "several PATCH reported broken in 2024"},
}

// traitsOf returns what the table says of a host, with or without a port.
func traitsOf(host string) traits {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	for _, row := range hosts {
		if ok, err := path.Match(row.pattern, name); err == nil && ok {
			return row.traits
		}
	}
	return traits{}
}

// over returns t where it knows something, and below where it does not.
func (t traits) over(below traits) traits {
	if t.Stream != "" {
		below.Stream = t.Stream
	}
	if t.Chunks != "" {
		below.Chunks = t.Chunks
	}
	if t.Resume != "" {
		below.Resume = t.Resume
	}
	if t.MaxChunk != 0 {
		below.MaxChunk = t.MaxChunk
	}
	return below
}
