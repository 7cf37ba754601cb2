package store

import "os"

// syncDir does nothing: Windows gives no way to sync a directory, and NTFS
// journals its names.
func syncDir(*os.Root, string) error { return nil }
