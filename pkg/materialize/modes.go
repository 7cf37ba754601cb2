//go:build !windows

package materialize

// modesMatter says that the file system keeps permissions.
const modesMatter = true
