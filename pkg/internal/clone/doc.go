// Package clone copies files the cheapest way that the file system has: sharing
// blocks, copying in the kernel, or through memory.
package clone
