//go:build linux

package main

import (
	"io/fs"
	"path/filepath"
	"syscall"
	"time"
)

// diskUsage is what directories take on disk, in bytes: blocks, so that holes
// and preallocated space count as they are. A file with several names counts
// once.
func diskUsage(dirs ...string) int64 {
	var total int64
	seen := map[uint64]bool{}
	for _, dir := range dirs {
		_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				total += diskSize(d, seen)
			}
			return nil // what disappears while it is looked at takes no space
		})
	}
	return total
}

func diskSize(d fs.DirEntry, seen map[uint64]bool) int64 {
	info, err := d.Info()
	if err != nil {
		return 0
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return info.Size()
	}
	if s.Nlink > 1 && seen[s.Ino] {
		return 0
	}
	seen[s.Ino] = true
	return s.Blocks * 512
}

// watchDisk looks again and again at what directories take, until the returned
// function is called, which gives the most that was seen.
func watchDisk(dirs ...string) func() int64 {
	stop, most := make(chan struct{}), make(chan int64)
	go func() {
		var peak int64
		for {
			peak = max(peak, diskUsage(dirs...))
			select {
			case <-stop:
				most <- max(peak, diskUsage(dirs...))
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() int64 { close(stop); return <-most }
}
