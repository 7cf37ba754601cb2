//go:build !linux && !darwin

package disk

// Free returns how many bytes fit below dir, when that can be known.
func Free(string) (free int64, known bool) { return 0, false }
