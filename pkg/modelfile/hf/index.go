package hf

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// Index says which file holds which tensor of sharded weights.
type Index struct {
	// WeightMap names for each tensor a file, by a local path relative to the
	// directory of the index.
	WeightMap map[string]string
	// TotalSize is the size of all tensors, 0 when the index does not say.
	TotalSize uint64
}

// ParseIndex reads model.safetensors.index.json or another index of its shape.
func ParseIndex(data []byte) (*Index, error) {
	o, err := parseObject(data)
	if err != nil {
		return nil, err
	}
	if !o.has("weight_map") {
		return nil, o.wrong("weight_map", "there")
	}
	weights, err := o.object("weight_map")
	if err != nil {
		return nil, err
	}
	x := &Index{WeightMap: make(map[string]string, len(weights.members))}
	for tensor, raw := range weights.members {
		if x.WeightMap[tensor], err = shardPath(raw); err != nil {
			return nil, fmt.Errorf("tensor %.100q: %w", tensor, err)
		}
	}
	metadata, err := o.object("metadata")
	if err != nil {
		return nil, err
	}
	if x.TotalSize, err = totalSize(metadata); err != nil {
		return nil, err
	}
	return x, nil
}

// shardPath reads the name of a file. It is opened relative to the index, so
// it must not lead elsewhere.
func shardPath(raw json.RawMessage) (string, error) {
	var p string
	if err := json.Unmarshal(raw, &p); err != nil || string(raw) == "null" {
		return "", fmt.Errorf("%.100s is not the name of a file", raw)
	}
	if !fs.ValidPath(p) || p == "." || len(p) > MaxTextSize || strings.ContainsAny(p, "\\\x00") || CleanText(p, MaxTextSize) != p {
		return "", fmt.Errorf("%.100q is no local path", p)
	}
	return p, nil
}

// totalSize reads an integer. Versions of transformers wrote it with a fraction
// of zero when weights had less than a byte per element.
func totalSize(metadata object) (uint64, error) {
	const key = "total_size"
	if !metadata.has(key) {
		return 0, nil
	}
	whole, fraction, _ := strings.Cut(string(metadata.members[key]), ".")
	n, err := strconv.ParseUint(whole, 10, 63)
	if err != nil || strings.Trim(fraction, "0") != "" {
		return 0, metadata.wrong(key, "an unsigned integer")
	}
	return n, nil
}
