package ingest

import (
	"fmt"
	"os"
)

// reopen opens the file itself, wherever its name leads by now.
func reopen(file *os.File) (*os.File, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	var own *os.File
	var openErr error
	err = raw.Control(func(fd uintptr) { own, openErr = os.Open(fmt.Sprintf("/proc/self/fd/%d", fd)) })
	if err != nil {
		return nil, err
	}
	if openErr != nil { // without /proc
		return reopenByName(file)
	}
	return own, nil
}
