package source

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/modelfile"
)

// ErrLFSPointer means that a file is the pointer that Git LFS leaves where the
// real content was not fetched.
var ErrLFSPointer = errors.New("is a Git LFS pointer, not the file itself (fetch it with: git lfs pull)")

var lfsMagic = []byte("version https://git-lfs.github.com/spec/")

// classify decides the role of f: a rule of the user first, then the content
// where it proves a weight format, then the name.
func (f *File) classify(rules []RoleRule) error {
	prefix, err := f.prefix()
	if err != nil {
		return err
	}
	if bytes.HasPrefix(prefix, lfsMagic) {
		return fmt.Errorf("%q %w", f.Path, ErrLFSPointer)
	}
	for _, rule := range rules {
		if doublestar.MatchUnvalidated(rule.Pattern, f.Path) {
			f.Role = rule.Role
			if f.Role == artifacttypes.RoleWeight {
				f.Format, _ = modelfile.Sniff(f.Path, prefix)
			}
			return nil
		}
	}
	format, proven := modelfile.Sniff(f.Path, prefix)
	if proven {
		f.Role, f.Proven, f.Format = artifacttypes.RoleWeight, true, format
		return nil
	}
	if role := roleByName(f.Path); role != "" {
		f.Role = role
		if role == artifacttypes.RoleWeight {
			f.Format = format
		}
		return nil
	}
	f.Role, f.Proven = roleByContent(prefix, f.Size)
	return nil
}

// roleByContent decides for names that say nothing: a script is code, other
// text is documentation, and bytes that nobody can read belong to the weights
// when they are many.
func roleByContent(prefix []byte, size int64) (role artifacttypes.Role, proven bool) {
	switch {
	case bytes.HasPrefix(prefix, []byte("#!")):
		return artifacttypes.RoleCode, true
	case isText(prefix):
		return artifacttypes.RoleDoc, false
	case size >= 1<<20:
		return artifacttypes.RoleWeight, false
	}
	return artifacttypes.RoleWeightConfig, false
}

func isText(prefix []byte) bool {
	if bytes.IndexByte(prefix, 0) >= 0 {
		return false
	}
	// The last character may be cut by the end of the prefix.
	for cut := 0; cut < utf8.UTFMax && cut <= len(prefix); cut++ {
		if utf8.Valid(prefix[:len(prefix)-cut]) {
			return true
		}
	}
	return false
}

// names holds whole base names in lower case that say more than an extension.
var names = map[string]artifacttypes.Role{
	"merges.txt": artifacttypes.RoleWeightConfig, "vocab.txt": artifacttypes.RoleWeightConfig,
	"spiece.model": artifacttypes.RoleWeightConfig, "tokenizer.model": artifacttypes.RoleWeightConfig,
	"requirements.txt": artifacttypes.RoleCode, "dockerfile": artifacttypes.RoleCode, "makefile": artifacttypes.RoleCode,
	"readme": artifacttypes.RoleDoc, "license": artifacttypes.RoleDoc, "licence": artifacttypes.RoleDoc,
	"changelog": artifacttypes.RoleDoc, "notice": artifacttypes.RoleDoc, "copying": artifacttypes.RoleDoc, "authors": artifacttypes.RoleDoc,
}

var extensions = func() map[string]artifacttypes.Role {
	m := map[string]artifacttypes.Role{}
	for role, list := range map[artifacttypes.Role]string{
		artifacttypes.RoleWeight: "safetensors gguf ggml onnx onnx_data pt pth ckpt bin h5 hdf5 keras tflite pb pkl pickle joblib " +
			"msgpack npz npy pdparams pdmodel pdiparams mlmodel engine plan ot params llamafile dduf",
		artifacttypes.RoleWeightConfig: "json yaml yml toml ini cfg conf jinja jinja2 model tiktoken vocab bpe",
		artifacttypes.RoleDoc:          "md markdown rst txt pdf html htm png jpg jpeg gif svg webp bib tex",
		artifacttypes.RoleCode:         "py pyi ipynb sh bash js ts mjs c cc cpp h hpp cu cuh rs go java lua r jl bat ps1 sql",
		artifacttypes.RoleDataset:      "parquet arrow feather csv tsv jsonl ndjson tfrecord lmdb mp3 wav flac mp4",
	} {
		for ext := range strings.FieldsSeq(list) {
			m["."+ext] = role
		}
	}
	return m
}()

// RoleByName returns the role that the name of a file suggests, and an empty one
// when it suggests none.
func RoleByName(p string) artifacttypes.Role { return roleByName(p) }

// roleByName returns the role that the name alone suggests, or "".
func roleByName(p string) artifacttypes.Role {
	base := strings.ToLower(path.Base(p))
	if role, ok := names[base]; ok {
		return role
	}
	// LICENSE.txt, README.zh.md, NOTICE-third-party
	for _, stem := range []string{"readme", "license", "licence", "notice", "copying", "changelog"} {
		if rest, ok := strings.CutPrefix(base, stem); ok && rest != "" && (rest[0] == '.' || rest[0] == '-' || rest[0] == '_') {
			return artifacttypes.RoleDoc
		}
	}
	return extensions[modelfile.Extension(base)]
}
