package hdf5

import (
	"encoding/binary"
	"math/bits"
)

// checksumSize is that of the checksums of superblocks from version 2 on, of object
// headers of version 2, and of trees and heaps of the same time.
const checksumSize = 4

// Bounds on what checksums are compared of, since a file can lead to the same bytes from
// many places. Headers of objects have some kilobytes, and at most eight attributes of
// 64 KiB; it is less than replay.Window, so that it can be read again in compressed files.
const (
	maxSummed    = 896 << 10
	maxSummedAll = 256 << 20
)

// compare compares the checksum that stands at end with that of the bytes from at on. One
// that is wrong is told and not returned: the HDF5 library reads no further, and whoever
// looks for harm wants to see what stands there all the same.
func (f *file) compare(what string, at, end int64) error {
	n := end - at
	if f.summed += n; n > maxSummed || f.summed > maxSummedAll {
		if !f.unsummed {
			f.unsummed = true
			f.breach(unsupported(at, "checksums of more than %d bytes, or of more than %d in all, are not compared", maxSummed, int64(maxSummedAll)))
		}
		return nil
	}
	c, err := f.block(at, n+checksumSize, what)
	if err != nil {
		return err
	}
	b, err := c.bytes(int(n) + checksumSize)
	if err != nil {
		return err
	}
	if want, got := binary.LittleEndian.Uint32(b[n:]), lookup3(b[:n]); want != got {
		f.breach(invalid(at, "checksum of the %s is %08x, and %08x is that of its %d bytes", what, want, got, n))
	}
	return nil
}

// lookup3 is the checksum of metadata: hashlittle of Bob Jenkins's lookup3.c of May 2006
// with the initial value 0, as H5_checksum_lookup3 of the HDF5 library computes it.
func lookup3(text []byte) uint32 {
	a := 0xdeadbeef + uint32(len(text))
	b, c := a, a
	for ; len(text) > 12; text = text[12:] {
		a, b, c = lookup3Mix(a+word(text), b+word(text[4:]), c+word(text[8:]))
	}
	if len(text) == 0 {
		return c
	}
	var last [12]byte
	copy(last[:], text)
	return lookup3Final(a+word(last[:]), b+word(last[4:]), c+word(last[8:]))
}

func word(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }

func lookup3Mix(a, b, c uint32) (x, y, z uint32) {
	a = (a - c) ^ bits.RotateLeft32(c, 4)
	c += b
	b = (b - a) ^ bits.RotateLeft32(a, 6)
	a += c
	c = (c - b) ^ bits.RotateLeft32(b, 8)
	b += a
	a = (a - c) ^ bits.RotateLeft32(c, 16)
	c += b
	b = (b - a) ^ bits.RotateLeft32(a, 19)
	a += c
	c = (c - b) ^ bits.RotateLeft32(b, 4)
	b += a
	return a, b, c
}

func lookup3Final(a, b, c uint32) uint32 {
	c = (c ^ b) - bits.RotateLeft32(b, 14)
	a = (a ^ c) - bits.RotateLeft32(c, 11)
	b = (b ^ a) - bits.RotateLeft32(a, 25)
	c = (c ^ b) - bits.RotateLeft32(b, 16)
	a = (a ^ c) - bits.RotateLeft32(c, 4)
	b = (b ^ a) - bits.RotateLeft32(a, 14)
	return (c ^ b) - bits.RotateLeft32(b, 24)
}
