package sniff_test

import (
	"archive/tar"
	"bytes"
	"compress/zlib"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/modelfile/sniff"
)

func padded(prefix string, n int) string { return prefix + strings.Repeat("\x00", n-len(prefix)) }

func pe(at byte, mark string) string {
	b := []byte(padded("MZ", 256))
	b[0x3c] = at
	copy(b[at:], mark)
	return string(b)
}

func tarFile(format tar.Format) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "a", Mode: 0o644, Format: format}); err != nil {
		panic(err)
	}
	return b.String()
}

// v7 is a header as Unix V7 wrote it: without a mark, and with its checksum.
func v7() string {
	b := []byte(tarFile(tar.FormatUSTAR))
	clear(b[257:265])
	var sum int
	copy(b[148:156], "        ")
	for _, c := range b[:512] {
		sum += int(c)
	}
	digits := []byte("000000\x00 ")
	for i := 5; sum > 0; i-- {
		digits[i] = '0' + byte(sum&7)
		sum >>= 3
	}
	copy(b[148:156], digits)
	return string(b)
}

func zlibOf(text string) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

func TestOf(t *testing.T) {
	long := zlibOf(strings.Repeat("0123456789abcdefghij", 10000))[:100]
	tests := []struct {
		name, prefix string
		want         sniff.Kind
	}{
		{"empty", "", ""},
		{"text", "hello, world", ""},
		{"zip", "PK\x03\x04\x14\x00", sniff.Zip},
		{"empty zip", "PK\x05\x06\x00\x00", sniff.Zip},
		{"spanned zip", "PK\x07\x08PK\x03\x04", sniff.Zip},
		{"directory of a zip alone", "PK\x01\x02", ""},
		{"7z", "7z\xbc\xaf\x27\x1c\x00\x04", sniff.SevenZip},
		{"rar", "Rar!\x1a\x07\x01\x00", sniff.RAR},
		{"gzip", "\x1f\x8b\x08\x00", sniff.Gzip},
		{"gzip with another method", "\x1f\x8b\x07\x00", ""},
		{"zlib", zlibOf("text"), sniff.Zlib},
		{"zlib, cut by the prefix", long, sniff.Zlib},
		{"text with the bytes of zlib", "x^2 + y^2 = z^2, as everybody knows", ""},
		{"zlib with a dictionary", "x\xbb\x00\x00\x00\x00", ""},
		{"bzip2", "BZh91AY&SY\x00", sniff.Bzip2},
		{"empty bzip2", "BZh9\x17\x72\x45\x38\x50\x90", sniff.Bzip2},
		{"text with the bytes of bzip2", "BZh9 is how it begins", ""},
		{"xz", "\xfd7zXZ\x00\x00\x04", sniff.XZ},
		{"lzma", "\x5d\x00\x00\x80\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00", sniff.LZMA},
		{"lzma of known length", "\x5d\x00\x00\x80\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00", sniff.LZMA},
		{"pickle of protocol 1 with an empty list", "\x5d\x00\x00\x81\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00", ""},
		{"lz4", "\x04\x22\x4d\x18\x64", sniff.LZ4},
		{"lz4, legacy", "\x02\x21\x4c\x18\x64", sniff.LZ4},
		{"zstd", "\x28\xb5\x2f\xfd\x00", sniff.Zstd},
		{"zstd behind a skippable frame", "\x5f\x2a\x4d\x18\x01\x00\x00\x00x\x28\xb5\x2f\xfd\x00", sniff.Zstd},
		{"skippable frame alone", "\x5f\x2a\x4d\x18\x01\x00\x00\x00x", ""},
		{"joblib of old", "ZF" + padded("0x4", 19) + zlibOf("text"), sniff.JoblibZ},
		{"joblib of old, Python 2", "ZF" + strings.ReplaceAll(padded("0x4", 19), "\x00", " ") + " " + zlibOf("text"), sniff.JoblibZ},
		{"tar", tarFile(tar.FormatUSTAR), sniff.Tar},
		{"tar of GNU", tarFile(tar.FormatGNU), sniff.Tar},
		{"tar of V7", v7(), sniff.Tar},
		{"tar with a wrong checksum", strings.Replace(v7(), "a\x00", "b\x00", 1), ""},
		{"zeros", padded("", 512), ""},
		{"numpy", "\x93NUMPY\x01\x00", sniff.NumPy},
		{"hdf5", "\x89HDF\r\n\x1a\n\x00", sniff.HDF5},
		{"pickle 2", "\x80\x02}q\x00.", sniff.Pickle},
		{"pickle 5", "\x80\x05\x95", sniff.Pickle},
		{"pickle 6", "\x80\x06\x95", ""},
		{"pickle 0", "(dp0\n.", ""},
		{"torch of old", "\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", sniff.TorchLegacy},
		{"torch of old, protocol 4", "\x80\x04\x95\x0d\x00\x00\x00\x00\x00\x00\x00\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", sniff.TorchLegacy},
		{"another number", "\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x18.", sniff.Pickle},
		{"gguf", "GGUF\x03\x00\x00\x00", sniff.GGUF},
		{"gguf, big-endian", "GGUF\x00\x00\x00\x03", sniff.GGUF},
		{"the word", "GGUF is", ""},
		{"safetensors", "\x08\x00\x00\x00\x00\x00\x00\x00{\"a\":{}}", sniff.Safetensors},
		{"safetensors with a header of 2^60", "\x00\x00\x00\x00\x00\x00\x00\x10{\"a\":{}}", ""},
		{"tflite", "\x1c\x00\x00\x00TFL3\x14\x00", sniff.TFLite},
		{"elf", "\x7fELF\x02\x01\x01", sniff.ELF},
		{"pe", pe(0x80, "PE\x00\x00"), sniff.PE},
		{"pickle of protocol 1 with two bytes of a number", "MZ0." + padded("", 100), ""},
		{"the mark of DOS and no PE", pe(0x80, "NE\x00\x00"), ""},
		{"mach-o", "\xcf\xfa\xed\xfe\x07\x00", sniff.MachO},
		{"mach-o, fat", "\xca\xfe\xba\xbe\x00\x00\x00\x02", sniff.MachO},
		{"java", "\xca\xfe\xba\xbe\x00\x00\x00\x34", sniff.JavaClass},
		{"wasm", "\x00asm\x01\x00\x00\x00", sniff.Wasm},
		{"script", "#!/bin/sh\n", sniff.Script},
		{"script with a space", "#! /usr/bin/env python3\n", sniff.Script},
		{"comment", "#!important", ""},
	}
	for _, test := range tests {
		if got := sniff.Of([]byte(test.prefix)); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestKindsAreOfOneSort(t *testing.T) {
	for kind, want := range map[sniff.Kind][3]bool{ // container, compressed, native
		sniff.Zip: {true, false, false}, sniff.SevenZip: {true, false, false}, sniff.XZ: {true, true, false}, sniff.JoblibZ: {true, true, false},
		sniff.HDF5: {true, false, false}, sniff.Pickle: {}, sniff.ELF: {false, false, true}, sniff.Script: {}, "": {},
	} {
		if got := [3]bool{kind.Container(), kind.Compressed(), kind.Native()}; got != want {
			t.Errorf("%q: %v, want %v", kind, got, want)
		}
	}
}

func FuzzOf(f *testing.F) {
	f.Add([]byte(zlibOf("text")))
	f.Add([]byte(v7()))
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, prefix := sniff.Of(b), sniff.Of(b[:min(len(b), sniff.Size)])
		// What the beginning proves, more of it does not change, but for zlib and PE,
		// whose marks are far behind.
		if prefix != whole && prefix != sniff.Zlib && prefix != sniff.JoblibZ && prefix != sniff.PE && whole != sniff.PE && whole != sniff.Zstd {
			t.Errorf("%q, and %q by the first bytes", whole, prefix)
		}
	})
}
