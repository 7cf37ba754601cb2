package artifacttypes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"time"
)

// Modes that a file of a model can have: of the mode on disk only "executable
// by its owner" is kept, so that the same files give the same digest whatever
// the umask was.
const (
	ModeRegular    uint32 = 0o644
	ModeExecutable uint32 = 0o755
)

// FileMetadata is the value of [AnnotationFileMetadata]. All seven keys are
// always written, in this order (ModelPack v0.0.7, annotations.md).
type FileMetadata struct {
	Name     string    `json:"name"`
	Mode     uint32    `json:"mode"`
	UID      uint32    `json:"uid"`
	GID      uint32    `json:"gid"`
	Size     int64     `json:"size"`
	ModTime  time.Time `json:"mtime"`
	Typeflag byte      `json:"typeflag"`
}

// NewFileMetadata describes a file of a model reproducibly: owner and group
// zero and mtime as given, which is the Unix epoch unless the user asked for a
// time.
func NewFileMetadata(filePath string, size int64, executable bool, mtime time.Time) FileMetadata {
	mode := ModeRegular
	if executable {
		mode = ModeExecutable
	}
	return FileMetadata{Name: path.Base(filePath), Mode: mode, Size: size, ModTime: mtime.UTC()}
}

// Encode returns the metadata as compact JSON.
func (m FileMetadata) Encode() (string, error) {
	b, err := Marshal(m)
	return string(b), err
}

// Marshal encodes v as modseal writes JSON everywhere: compact, map keys
// sorted, and no HTML escaping, so that the same value is the same bytes.
func Marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// typeflags that mean a regular file in the wild: 0 (the specification), '0'
// and '7' as tar writes them, and 7.
func regularTypeflag(t byte) bool {
	return t == 0 || t == '0' || t == '7' || t == 7
}

func parseFileMetadata(text string) (FileMetadata, error) {
	// mtime is decoded apart: others write it unparsably, and it is never used.
	var raw struct {
		Name     string `json:"name"`
		Mode     uint32 `json:"mode"`
		UID      uint32 `json:"uid"`
		GID      uint32 `json:"gid"`
		Size     *int64 `json:"size"`
		Typeflag byte   `json:"typeflag"`
	}
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return FileMetadata{}, fmt.Errorf("file metadata: %w", err)
	}
	m := FileMetadata{Name: raw.Name, Mode: raw.Mode, UID: raw.UID, GID: raw.GID, Size: -1, Typeflag: raw.Typeflag}
	if raw.Size != nil {
		m.Size = *raw.Size
	}
	return m, nil
}
