package archive

// SetFree makes the disk have so many bytes free until restore is called.
func SetFree(bytes int64) (restore func()) {
	before := freeBytes
	freeBytes = func(string) (int64, bool) { return bytes, true }
	return func() { freeBytes = before }
}
