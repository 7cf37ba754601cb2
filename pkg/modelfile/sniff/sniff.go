// Package sniff tells formats by the first bytes of their content. A name says what
// somebody wants a file to be taken for; loaders go by the content, and so does
// whoever looks for what a loader would run.
//
// What has no mark of its own is not guessed: pickles of protocols 0 and 1 begin like
// text, and protobuf begins with any byte.
package sniff

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"strings"
)

// Size is how much of a file [Of] likes to see. The mark of a tar is the last of it.
const Size = 512

// Kind is a format. It is empty for what is not known.
type Kind string

// Kinds. A name is what reports call the format.
const (
	Zip      Kind = "zip"
	SevenZip Kind = "7z"
	RAR      Kind = "rar"
	Tar      Kind = "tar"

	Gzip  Kind = "gzip"
	Zlib  Kind = "zlib"
	Bzip2 Kind = "bzip2"
	XZ    Kind = "xz"
	// LZMA is the format of lzma_alone, older than xz.
	LZMA Kind = "lzma"
	LZ4  Kind = "lz4"
	Zstd Kind = "zstd"
	// JoblibZ is zlib behind a length, as joblib wrote it before 0.10 and reads it
	// still (joblib.numpy_pickle_compat).
	JoblibZ Kind = "joblib-z"

	NumPy Kind = "numpy"
	HDF5  Kind = "hdf5"

	// Pickle is one of protocols 2 to 5.
	Pickle Kind = "pickle"
	// TorchLegacy is the pickle that begins what torch.save wrote before it wrote
	// zip files.
	TorchLegacy Kind = "torch-legacy"

	GGUF        Kind = "gguf"
	Safetensors Kind = "safetensors"
	TFLite      Kind = "tflite"

	ELF       Kind = "elf"
	PE        Kind = "pe"
	MachO     Kind = "mach-o"
	Wasm      Kind = "wasm"
	JavaClass Kind = "java-class"
	Script    Kind = "script"
)

// Compressed reports whether k is one stream of compressed bytes.
func (k Kind) Compressed() bool {
	switch k {
	case Gzip, Zlib, Bzip2, XZ, LZMA, LZ4, Zstd, JoblibZ:
		return true
	}
	return false
}

// Container reports whether files of kind k hold other content that has a format of
// its own.
func (k Kind) Container() bool {
	switch k {
	case Zip, SevenZip, RAR, Tar, NumPy, HDF5:
		return true
	}
	return k.Compressed()
}

// Native reports whether k is code that a processor, or a machine that plays one,
// runs.
func (k Kind) Native() bool {
	switch k {
	case ELF, PE, MachO, Wasm, JavaClass:
		return true
	}
	return false
}

// torchMagic is the first pickle of [TorchLegacy], behind its protocol: the number
// 0x1950a86a20f9469cfc6c.
const torchMagic = "\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."

// magics are the marks at the very beginning.
var magics = []struct {
	magic string
	kind  Kind
}{
	{"PK\x03\x04", Zip},
	{"PK\x05\x06", Zip}, // without a member
	{"PK\x07\x08", Zip}, // the mark of a spanned archive that came out as one
	{"7z\xbc\xaf\x27\x1c", SevenZip},
	{"Rar!\x1a\x07", RAR},
	{"\x1f\x8b\x08", Gzip},
	{"\xfd7zXZ\x00", XZ},
	{"\x04\x22\x4d\x18", LZ4},
	{"\x02\x21\x4c\x18", LZ4}, // legacy frames
	{"\x28\xb5\x2f\xfd", Zstd},
	{"\x93NUMPY", NumPy},
	{"\x89HDF\r\n\x1a\n", HDF5},
	{"\x7fELF", ELF},
	{"\xfe\xed\xfa\xce", MachO},
	{"\xfe\xed\xfa\xcf", MachO},
	{"\xce\xfa\xed\xfe", MachO},
	{"\xcf\xfa\xed\xfe", MachO},
	{"\x00asm", Wasm},
}

// tests are for what no fixed bytes show.
var tests = []struct {
	is   func(prefix []byte) bool
	kind Kind
}{
	{isGGUF, GGUF},
	{isSafetensors, Safetensors},
	{isTorchLegacy, TorchLegacy},
	{isPickle, Pickle},
	{isBzip2, Bzip2},
	{isSkippable, Zstd},
	{isPE, PE},
	{isFat, MachO},
	{isJavaClass, JavaClass},
	{isScript, Script},
	{isTar, Tar},
	{isTFLite, TFLite},
	{isJoblibZ, JoblibZ},
	{isLZMA, LZMA},
	{isZlib, Zlib},
}

// Of returns the kind of a file by its first bytes: [Size] of them, or all that it
// has.
func Of(prefix []byte) Kind {
	for _, m := range magics {
		if strings.HasPrefix(string(prefix[:min(len(prefix), len(m.magic))]), m.magic) {
			return m.kind
		}
	}
	for _, t := range tests {
		if t.is(prefix) {
			return t.kind
		}
	}
	return ""
}

// isGGUF: the magic and a version in either byte order.
func isGGUF(p []byte) bool {
	return len(p) >= 8 && string(p[:4]) == "GGUF" &&
		(p[4] != 0 && p[6] == 0 && p[7] == 0 || p[7] != 0 && p[4] == 0 && p[5] == 0)
}

// maxSafetensorsHeader is MAX_HEADER_SIZE of the reference.
const maxSafetensorsHeader = 100_000_000

// isSafetensors: a length that a header may have, and the begin of an object
// whose first key or end follows.
func isSafetensors(p []byte) bool {
	if len(p) < 10 || p[8] != '{' {
		return false
	}
	n := binary.LittleEndian.Uint64(p)
	inside := bytes.TrimLeft(p[9:], " \t\r\n")
	return n >= 2 && n <= maxSafetensorsHeader && len(inside) > 0 && (inside[0] == '"' || inside[0] == '}')
}

// isPickle: the opcode PROTO, which pickles have from protocol 2 on.
func isPickle(p []byte) bool { return len(p) >= 2 && p[0] == 0x80 && 2 <= p[1] && p[1] <= 5 }

// isTorchLegacy: in protocol 4 and 5, a frame stands before the number.
func isTorchLegacy(p []byte) bool {
	const frame, frameSize = 0x95, 9
	if !isPickle(p) {
		return false
	}
	p = p[2:]
	if len(p) > frameSize && p[0] == frame {
		p = p[frameSize:]
	}
	return bytes.HasPrefix(p, []byte(torchMagic))
}

// isBzip2: a level, and the magic of a block or of the end.
func isBzip2(p []byte) bool {
	if len(p) < 10 || string(p[:3]) != "BZh" || p[3] < '1' || p[3] > '9' {
		return false
	}
	magic := string(p[4:10])
	return magic == "\x31\x41\x59\x26\x53\x59" || magic == "\x17\x72\x45\x38\x50\x90"
}

// isSkippable: a frame that readers of zstd and lz4 step over, before a frame that
// one of them reads. Which of the two is not known before.
func isSkippable(p []byte) bool {
	const head = 8
	if len(p) < head || p[0]&0xf0 != 0x50 || string(p[1:4]) != "\x2a\x4d\x18" {
		return false
	}
	n := uint64(binary.LittleEndian.Uint32(p[4:])) + head
	return n+4 <= uint64(len(p)) && string(p[n:n+4]) == "\x28\xb5\x2f\xfd"
}

// isPE: a DOS header whose e_lfanew leads to a PE header, or behind the prefix by no
// more than a stub has.
func isPE(p []byte) bool {
	const lfanewAt, dosHeader, maxStub = 0x3c, 0x40, 64 << 10
	if len(p) < dosHeader || string(p[:2]) != "MZ" {
		return false
	}
	at := binary.LittleEndian.Uint32(p[lfanewAt:])
	if uint64(at)+4 <= uint64(len(p)) {
		return string(p[at:at+4]) == "PE\x00\x00"
	}
	return at >= dosHeader && at <= maxStub
}

// isFat: a Mach-O file for several processors has the magic of Java classes, and
// fewer parts than the lowest version of those.
func isFat(p []byte) bool {
	return len(p) >= 8 && string(p[:4]) == "\xca\xfe\xba\xbe" && binary.BigEndian.Uint32(p[4:]) < 40
}

func isJavaClass(p []byte) bool {
	return len(p) >= 8 && string(p[:4]) == "\xca\xfe\xba\xbe" && binary.BigEndian.Uint32(p[4:]) >= 40
}

func isScript(p []byte) bool {
	if !bytes.HasPrefix(p, []byte("#!")) {
		return false
	}
	line, _, _ := bytes.Cut(p[2:], []byte("\n"))
	return bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("/"))
}

// isTar: the mark of POSIX and GNU, or a header without one, as Unix V7 wrote it,
// whose checksum is right: tarfile of Python opens both.
func isTar(p []byte) bool {
	const markAt, sumAt, sumEnd, block = 257, 148, 156, 512
	if len(p) >= markAt+5 && string(p[markAt:markAt+5]) == "ustar" {
		return true
	}
	if len(p) < block || p[0] == 0 {
		return false
	}
	want, ok := octal(p[sumAt:sumEnd])
	if !ok {
		return false
	}
	var sum uint64
	for i, b := range p[:block] {
		if i >= sumAt && i < sumEnd {
			b = ' '
		}
		sum += uint64(b)
	}
	return sum == want
}

// octal reads a number of a tar header: digits, with spaces or NUL around them.
func octal(field []byte) (n uint64, ok bool) {
	field = bytes.Trim(field, " \x00")
	for _, b := range field {
		if b < '0' || b > '7' {
			return 0, false
		}
		n = n<<3 | uint64(b-'0')
	}
	return n, len(field) > 0
}

func isTFLite(p []byte) bool { return len(p) >= 8 && string(p[4:8]) == "TFL3" }

// JoblibZHeader is the size of what stands before the zlib stream of [JoblibZ]: the
// mark and a hexadecimal length, padded to what 2**64 needs.
const JoblibZHeader = 2 + 19

func isJoblibZ(p []byte) bool {
	if len(p) < JoblibZHeader+2 || string(p[:4]) != "ZF0x" {
		return false
	}
	stream := p[JoblibZHeader:]
	if stream[0] == ' ' { // Python 2 wrote one more
		stream = stream[1:]
	}
	return isZlib(stream)
}

// isLZMA tests what liblzma's lzma_alone_decoder tests when it is told to be picky:
// usual properties, a dictionary of 2^n or 2^n + 2^(n-1) bytes, and a length that is
// unknown or below 256 GiB.
func isLZMA(p []byte) bool {
	const head = 13
	if len(p) < head || p[0] != 0x5d || p[head-8-4] != 0 {
		return false
	}
	dict := binary.LittleEndian.Uint32(p[1:])
	size := binary.LittleEndian.Uint64(p[5:])
	low := dict & -dict
	pure := dict == low || dict == low|low<<1
	return dict >= 1<<12 && (pure || dict == 1<<32-1) && (size == 1<<64-1 || size < 256<<30)
}

// isZlib: a header, whose two bytes many texts begin with too, and deflated data
// behind it that is right as far as the prefix goes.
func isZlib(p []byte) bool {
	const presetDictionary = 0x20 // which no reader of models has
	if len(p) < 3 || p[0] != 0x78 || (uint16(p[0])<<8|uint16(p[1]))%31 != 0 || p[1]&presetDictionary != 0 {
		return false
	}
	data := p[2:]
	inflated := flate.NewReader(bytes.NewReader(data))
	n, err := io.Copy(io.Discard, io.LimitReader(inflated, 1<<20))
	return err == nil || errors.Is(err, io.ErrUnexpectedEOF) && (n > 0 || len(data) > 16)
}
