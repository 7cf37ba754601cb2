package store

import "os"

// closeBeforeRename is whether an open file can have no other name.
const closeBeforeRename = true

// syncDir does nothing: Windows gives no way to sync a directory, and NTFS
// journals its names.
func syncDir(*os.Root, string) error { return nil }

// tryLockFile does nothing: a lock would keep the writer's own other handles from
// the bytes, and a file that somebody has open cannot be removed anyway.
func tryLockFile(*os.File) (lockState, error) { return lockUnknown, nil }
